package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/output"
	"github.com/vmline/vmline/services/vmline/internal/watch"
)

func newVMWatch(r *remote) *cobra.Command {
	var (
		format  output.Format
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "watch REF",
		Short: "Show each step of a machine's operation until it ends",
		Long: `Show each step of the machine's last operation as it is done, and of what is queued behind it, until it
has ended. The exit code is 0 if it succeeded, 1 if it did not or waits for a person, 4 if --timeout ran out.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.completeRef,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			ctx, cancel := within(c.Context(), timeout)
			defer cancel()
			s, err := client.GetService(ctx, args[0])
			if err != nil {
				return err
			}
			for _, op := range ahead(s) {
				last, err := watch.Operation(ctx, client, op, func(step api.Step) error {
					return format.PrintLine(c.OutOrStdout(), step, stepLine(step))
				})
				if errors.Is(err, context.DeadlineExceeded) {
					return goesOn(last, timeout)
				}
				if err := errors.Join(err, outcome(last)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	format.AddFlag(c)
	c.Flags().DurationVar(&timeout, "timeout", 0, "how long to watch, for example 10m; 0 means until the end")
	return c
}

// ahead are the operations that are to be seen: the VM's own and what is queued behind it, or what was asked
// for last where that is stored and not admitted yet.
func ahead(s api.Service) []api.Operation {
	switch n := len(s.Pending); {
	case n > 0:
		return s.Pending[n-1:]
	case s.Queued != nil:
		return []api.Operation{s.Operation, *s.Queued}
	}
	return []api.Operation{s.Operation}
}

// within bounds a context; 0 leaves it as it is.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// outcome is an error unless the operation succeeded.
func outcome(op api.Operation) error {
	if op.Status == api.StatusSucceeded {
		return nil
	}
	return fmt.Errorf("%s: %s%s", name(op), op.Status, problemText(op.Error))
}

// problemText says what happened, what was kept safe and what is next, a line each.
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
