package pvesim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FaultSyntax explains to people what ParseFault reads.
const FaultSyntax = `METHOD PATH: WHAT[, times N][, skip N]

METHOD may be left out. In PATH "*" stands for one part, and "**" at the end for the rest. WHAT is one of

  500 TEXT              refuse with this code and reason, do nothing (any code from 400 on)
  596 committed         do the work, then answer so (any code from 400 on, TEXT may follow)
  drop                  close the connection, do nothing
  drop committed        do the work, then close the connection
  slow 5s               answer rightly, but later
  lock timeout          the lock file of the VM is held by somebody else
  task error TEXT       the task ends with this, without effect
  task warnings N       the task does its work and ends with N warnings
  storage full [NAME]   a storage has no room
  node down [TEXT]      the node of the path cannot be reached (595)

times N hits that many calls (default all), skip N lets the first ones pass. TEXT may be put in double
quotes, and must be where it has a comma in it. For example:

  POST /nodes/*/qemu/*/clone: 596 committed, times 2
  /nodes/pve2/**: node down
  PUT /nodes/*/qemu/*/config: 500 "VM is locked (backup)", skip 3, times 1`

// ParseFault reads a fault as FaultSyntax says. An error names the place and what was expected there.
func ParseFault(text string) (Fault, error) {
	calls, what, ok := strings.Cut(text, ": ")
	if !ok {
		return Fault{}, fmt.Errorf("fault %q: after the path comes a colon with a blank, and then what happens", text)
	}
	var f Fault
	if err := f.parseCalls(strings.Fields(calls)); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	parts, err := splitQuoted(what)
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	if err := f.parseWhat(parts[0]); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	for _, option := range parts[1:] {
		if err := f.parseOption(option); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f, nil
}

func (f *Fault) parseCalls(words []string) error {
	if len(words) > 0 && !strings.HasPrefix(words[0], "/") {
		if !contains(knownMethods, words[0]) {
			return fmt.Errorf("%q is no method; there are %s", words[0], strings.Join(knownMethods, ", "))
		}
		f.Method, words = words[0], words[1:]
	}
	switch {
	case len(words) == 0:
		return nil // all paths
	case len(words) > 1:
		return fmt.Errorf("%q after the path: want a colon", words[1])
	case !strings.HasPrefix(words[0], "/"):
		return fmt.Errorf("path %q does not start with a slash", words[0])
	}
	f.Path = words[0]
	for _, r := range routeTable {
		if (f.Method == "" || f.Method == r.method) && r.mayMatch(f.Path) {
			return nil
		}
	}
	return fmt.Errorf("no call %s is simulated", strings.TrimSpace(f.Method+" "+f.Path))
}

// mayMatch reports whether a path of the route can match a pattern.
func (r *route) mayMatch(pattern string) bool {
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, w := range want {
		switch {
		case w == "**" && i == len(want)-1:
			return i < len(r.parts)
		case i >= len(r.parts):
			return strings.HasSuffix(r.path, "/{volume}")
		case w != "*" && w != r.parts[i] && !strings.HasPrefix(r.parts[i], "{"):
			return false
		}
	}
	return len(want) == len(r.parts)
}

// splitQuoted splits at commas outside of double quotes.
func splitQuoted(s string) ([]string, error) {
	var parts []string
	for {
		end := strings.IndexByte(s, ',')
		if open := strings.IndexByte(s, '"'); open >= 0 && (end < 0 || open < end) {
			quoted, err := strconv.QuotedPrefix(s[open:])
			if err != nil {
				return nil, fmt.Errorf("the quote at %q has no end", s[open:])
			}
			past := open + len(quoted)
			if end = strings.IndexByte(s[past:], ','); end >= 0 {
				end += past
			}
		}
		if end < 0 {
			return append(parts, strings.TrimSpace(s)), nil
		}
		parts = append(parts, strings.TrimSpace(s[:end]))
		s = s[end+1:]
	}
}

// faultWords are the words that say what happens, longest first where they begin alike.
var faultWords = []struct {
	words string
	kind  FaultKind
	rest  string // what follows: "", text, maybe text, count, duration, maybe storage
}{
	{"drop committed", DropAfter, ""},
	{"drop", DropBefore, ""},
	{"slow", Slow, "duration"},
	{"lock timeout", LockTimeout, ""},
	{"task error", TaskError, "text"},
	{"task warnings", TaskWarnings, "count"},
	{"storage full", StorageFull, "maybe storage"},
	{"node down", NodeDown, "maybe text"},
}

func (f *Fault) parseWhat(s string) error {
	for _, w := range faultWords {
		rest, ok := strings.CutPrefix(s, w.words)
		if !ok || rest != "" && rest[0] != ' ' {
			continue
		}
		f.Kind = w.kind
		if err := f.parseRest(w.rest, strings.TrimSpace(rest)); err != nil {
			return fmt.Errorf("%s: %w", w.words, err)
		}
		return nil
	}
	first, rest, _ := strings.Cut(s, " ")
	code, err := strconv.Atoi(first)
	if err != nil || code < 400 || code > 599 {
		return fmt.Errorf("%q is nothing that can happen: want a code from 400 to 599, drop, slow, lock timeout, task error, task warnings, storage full or node down", s)
	}
	f.Kind, f.Code = Refuse, code
	if after, ok := strings.CutPrefix(rest, "committed"); ok && (after == "" || after[0] == ' ') {
		f.Kind, rest = RefuseAfter, after
	}
	f.Text, err = unquoted(strings.TrimSpace(rest))
	return err
}

func (f *Fault) parseRest(kind, s string) (err error) {
	switch kind {
	case "":
		if s != "" {
			return fmt.Errorf("%q is too much", s)
		}
	case "text", "maybe text":
		if s == "" && kind == "text" {
			return fmt.Errorf("the text is missing")
		}
		f.Text, err = unquoted(s)
	case "maybe storage":
		f.Storage = s
		if _, bad := isStorage("", s); s != "" && bad != nil {
			return bad
		}
	case "count":
		f.Warnings, err = count(s)
	case "duration":
		if f.Delay, err = time.ParseDuration(s); err != nil || f.Delay <= 0 {
			return fmt.Errorf("%q is no duration such as 5s or 300ms", s)
		}
	}
	return err
}

func (f *Fault) parseOption(s string) (err error) {
	name, value, _ := strings.Cut(s, " ")
	switch name {
	case "times":
		f.Times, err = count(value)
	case "skip":
		f.Skip, err = count(value)
	default:
		return fmt.Errorf("%q is no option: want times N or skip N", s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func count(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no number from 1 on", s)
	}
	return n, nil
}

// unquoted is a text without its double quotes, if it has any.
func unquoted(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	text, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("%s is not one text in double quotes", s)
	}
	return text, nil
}

// String writes a fault as ParseFault reads it.
func (f Fault) String() string {
	calls := strings.TrimSpace(f.Method + " " + f.Path)
	what := ""
	switch f.Kind {
	case Refuse:
		what = strconv.Itoa(f.code(500))
	case RefuseAfter:
		what = strconv.Itoa(f.code(596)) + " committed"
	case Slow:
		what = "slow " + f.Delay.String()
	case TaskWarnings:
		what = "task warnings " + strconv.Itoa(max(1, f.Warnings))
	case StorageFull:
		what = strings.TrimSpace("storage full " + f.Storage)
	default:
		for _, w := range faultWords {
			if w.kind == f.Kind {
				what = w.words
			}
		}
	}
	if f.Text != "" {
		what += " " + strconv.Quote(f.Text)
	}
	if f.Times > 0 {
		what += fmt.Sprintf(", times %d", f.Times)
	}
	if f.Skip > 0 {
		what += fmt.Sprintf(", skip %d", f.Skip)
	}
	return calls + ": " + what
}
