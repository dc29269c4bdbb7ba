package operator

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

// command is a row of the table of commands, as it is printed.
type command struct {
	Verb      string        `json:"verb"`
	Label     string        `json:"label"`
	Mark      string        `json:"mark,omitempty"`
	Continues bool          `json:"continues"`
	Operator  bool          `json:"operator"`
	Package   bool          `json:"package"`
	Needs     []chain.Param `json:"needs,omitempty"`
	Takes     []chain.Param `json:"takes,omitempty"`
	Does      string        `json:"does"`
}

func newCommands() *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "commands",
		Short: "List what can be done with a machine",
		Long: `List the commands that can be given to a machine with "vmline vm COMMAND REF".

  *   may be given while the machine runs
  **  only while it is stopped
  ->  a step of the chain: where the chain is broken, the steps after it follow`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			rows := commandRows()
			return format.Print(c.OutOrStdout(), rows, func(w io.Writer) { commandsTable(w, rows) })
		},
	}
	format.AddFlag(c)
	return c
}

func commandRows() []command {
	var rows []command
	for _, r := range chain.Routes() {
		rows = append(rows, command{
			Verb: r.Verb(), Label: r.Label, Mark: r.Mark(), Continues: r.Continues(), Operator: r.Operator, Package: r.Package,
			Needs: r.Needs, Takes: r.Takes, Does: r.Does,
		})
	}
	return rows
}

func commandsTable(w io.Writer, rows []command) {
	fmt.Fprintln(w, "COMMAND\tBUTTON\tPARAMETERS\tDOES")
	for _, c := range rows {
		button := c.Mark + c.Label
		if c.Continues {
			button += " ->"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Verb, button, dash(c.parameters()), c.Does)
	}
}

// parameters are the flags of the command; those in brackets may be left out.
func (c command) parameters() string {
	var list []string
	if c.Package {
		list = append(list, "--file")
	}
	for _, p := range c.Needs {
		if p == chain.ParamPassword {
			list = append(list, "(asked for)")
			continue
		}
		list = append(list, flagOf(p))
	}
	for _, p := range c.Takes {
		list = append(list, "["+flagOf(p)+"]")
	}
	return strings.Join(list, " ")
}
