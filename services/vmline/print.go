package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

// format is how a command prints its result: table or json.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) addFlag(c *cobra.Command) {
	*f = formatTable
	c.Flags().VarP(f, "output", "o", "table for people, json for programs")
}

func (f *format) String() string { return string(*f) }

// Set takes a flag's value.
func (f *format) Set(s string) error {
	if s != string(formatTable) && s != string(formatJSON) {
		return fmt.Errorf("want table or json")
	}
	*f = format(s)
	return nil
}

// Type is what the help calls the value.
func (f *format) Type() string { return "table|json" }

// print writes a result as indented JSON or as a table.
func (f *format) print(w io.Writer, v any, table func(io.Writer)) error {
	if *f == formatJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(t)
	return t.Flush()
}

// printLine writes one of many results as one line.
func (f *format) printLine(w io.Writer, v any, line string) error {
	if *f == formatJSON {
		return json.NewEncoder(w).Encode(v)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func listTable(w io.Writer, services []api.Service) {
	fmt.Fprintln(w, "REF\tSTATUS\tOPERATION\tCLUSTER\tNODE\tVMID\tADDRESSES\tUPDATED")
	for _, s := range services {
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, s.Status, s.Operation.Type, s.Operation.Status,
			dash(s.Cluster), dash(s.Node), vmid(s.VMID), dash(addresses(s)), s.UpdatedAt.Local().Format(time.DateTime))
	}
}

func serviceTable(w io.Writer, s api.Service) {
	for _, row := range [][2]string{
		{"ref", s.Ref}, {"status", s.Status}, {"remote", strings.TrimSpace(s.RemoteStatus + " " + s.RemoteLock)},
		{"cluster", s.Cluster}, {"node", s.Node}, {"vmid", vmid(s.VMID)}, {"mac", s.MAC}, {"addresses", addresses(s)},
		{"operation", s.Operation.Type + " " + s.Operation.Status + " (" + s.Operation.ID + ")"},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], dash(row[1]))
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", warning)
	}
	if p := s.Problem; p != nil {
		fmt.Fprintf(w, "problem\t%s\nkept\t%s\nnext\t%s\n", p.Cause, dash(p.Kept), dash(p.Next))
	}
	fmt.Fprintln(w)
	for _, step := range s.Operation.Steps {
		fmt.Fprintln(w, stepColumns(step))
	}
}

func stepLine(s api.Step) string {
	return fmt.Sprintf("%-29s  %-11s  %-11s  %s", s.Name, s.Owner, s.Status, took(s))
}

func stepColumns(s api.Step) string {
	return strings.Join([]string{s.Name, s.Owner, s.Status, took(s)}, "\t")
}

// took is how long a step has taken.
func took(s api.Step) string {
	if s.FinishedAt.IsZero() || s.StartedAt.IsZero() {
		return "-"
	}
	return s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond).String()
}

// addresses that the VM has. A terminated one keeps its last ones as history only.
func addresses(s api.Service) string {
	if s.Status == "terminated" {
		return ""
	}
	list := make([]string, len(s.Addresses))
	for i, a := range s.Addresses {
		list[i] = a.Address
	}
	return strings.Join(list, ",")
}

func vmid(id uint32) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprint(id)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func problemText(p *api.StepProblem) string {
	if p == nil {
		return ""
	}
	text := ": " + p.Cause
	for _, s := range []string{p.Kept, p.Next} {
		if s != "" {
			text += "\n  " + s
		}
	}
	return text
}
