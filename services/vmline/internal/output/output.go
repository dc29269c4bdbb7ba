// Package output is how results are printed: as a table for people, or as JSON for programs.
package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Format is how a command prints its result: table or json.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
)

// AddFlag adds -o to a command.
func (f *Format) AddFlag(c *cobra.Command) {
	*f = Table
	c.Flags().VarP(f, "output", "o", "table for people, json for programs")
	if err := c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(Table), string(JSON)}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // two commands cannot share a flag
	}
}

func (f *Format) String() string { return string(*f) }

// Set takes a flag's value.
func (f *Format) Set(s string) error {
	if s != string(Table) && s != string(JSON) {
		return errors.New("want table or json")
	}
	*f = Format(s)
	return nil
}

// Type is what the help calls the value.
func (f *Format) Type() string { return "table|json" }

// Print writes a result as indented JSON, or as a table whose columns are separated by tabs.
func (f *Format) Print(w io.Writer, v any, table func(io.Writer)) error {
	if *f == JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(t)
	return t.Flush()
}

// PrintLine writes one of many results as one line.
func (f *Format) PrintLine(w io.Writer, v any, line string) error {
	if *f == JSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// Coloured says whether text may have colours: on a terminal, unless NO_COLOR is set (no-color.org).
func Coloured(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Terminal(w) }

// Terminal says whether a person reads from, or types into, a stream.
func Terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
