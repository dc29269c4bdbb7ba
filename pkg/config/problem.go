package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// File is the configuration file, or empty where an environment variable is to blame.
	File string
	// Line in File, from 1; 0 means the file as a whole.
	Line int
	// Key is the path to the value, for example clusters[0].url, or the environment variable.
	Key string
	// Reason says what is wrong and what is wanted.
	Reason string
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:", p.Line)
		}
		b.WriteString(" ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Reason
}

// Problems are all that is wrong with a configuration, in the order of its lines.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report collects problems and knows where each value came from.
type report struct {
	file     string
	lines    map[string]int
	env      map[string]string
	problems Problems
}

// add blames a key. A key that the file does not have is blamed on the line of what it would stand in.
func (r *report) add(key, format string, args ...any) {
	p := Problem{File: r.file, Key: key, Reason: fmt.Sprintf(format, args...)}
	if name, ok := r.env[key]; ok {
		p.File, p.Key = "", name
	} else {
		p.Line = r.lineOf(key)
	}
	r.problems = append(r.problems, p)
}

func (r *report) lineOf(key string) int {
	for {
		if line, ok := r.lines[key]; ok {
			return line
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return 0
		}
		key = key[:cut]
	}
}

// err is nil, or every problem in the order of the lines.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return r.problems
}
