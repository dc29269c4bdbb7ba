// Package operator is the commands that ask a running gateway. What can be done with a machine is made
// from the table of commands in pkg/chain; the rest are questions with a table as answer.
package operator

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

// Commands returns all of them, to stand below the program's root.
func Commands() []*cobra.Command {
	return []*cobra.Command{newVM(), newTail(), newCommands(), newDrift(), newPool(), newIP(), newDNS(), newDeadLetter(), newWebhook(), newKey()}
}

// group is a command that does nothing itself: it has others below it, which share the way to the gateway.
func group(use, short, long string, below ...func(*remote) *cobra.Command) *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	r.addFlags(c)
	for _, b := range below {
		c.AddCommand(b(&r))
	}
	return c
}

// question is a command that asks the gateway for one thing and prints it.
type question[T any] struct {
	use, short, long string
	args             cobra.PositionalArgs
	flags            func(*pflag.FlagSet)
	// destroys says what cannot be taken back, so that a person is asked first; nil asks nobody.
	destroys func(args []string) string
	ask      func(ctx context.Context, client *api.Client, args []string) (T, error)
	table    func(io.Writer, T)
}

func (q question[T]) command(r *remote) *cobra.Command {
	var (
		format output.Format
		yes    bool
	)
	c := &cobra.Command{
		Use: q.use, Short: q.short, Long: q.long, Args: q.args, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			if q.destroys != nil && !yes {
				if err := personAt(c.InOrStdin(), c.ErrOrStderr()).confirm(q.destroys(args)); err != nil {
					return err
				}
			}
			answer, err := q.ask(c.Context(), client, args)
			if err != nil {
				return err
			}
			return format.Print(c.OutOrStdout(), answer, func(w io.Writer) { q.table(w, answer) })
		},
	}
	format.AddFlag(c)
	if strings.Contains(q.use, "REF") {
		c.ValidArgsFunction = r.completeRef
	}
	if q.flags != nil {
		q.flags(c.Flags())
	}
	if q.destroys != nil {
		addYes(c, &yes)
	}
	return c
}

func addYes(c *cobra.Command, yes *bool) {
	c.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
}
