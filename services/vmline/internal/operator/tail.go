package operator

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

func newTail() *cobra.Command {
	var (
		r      remote
		format output.Format
	)
	c := &cobra.Command{
		Use:   "tail [REF]",
		Short: "Show every change of all machines, or of one, as it happens",
		Long: `Show every change of all machines, or of one, as it happens, until interrupted. Nothing is shown
of what was before.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: r.completeRef,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := r.client()
			if err != nil {
				return err
			}
			ref := ""
			if len(args) == 1 {
				ref = args[0]
			}
			return client.Events(c.Context(), ref, func(e api.Event) error {
				return format.PrintLine(c.OutOrStdout(), e, eventLine(e))
			})
		},
	}
	r.addFlags(c)
	format.AddFlag(c)
	return c
}

func eventLine(e api.Event) string {
	s := e.Service
	line := fmt.Sprintf("%s  %-20s  %-9s  %-29s  %s %s", s.UpdatedAt.Local().Format("15:04:05.000"), s.Ref, s.Event, s.Status,
		s.Operation.Type, s.Operation.Status)
	if s.Retry != nil {
		line += fmt.Sprintf("  attempt %d failed, again at %s", s.Retry.Attempts, s.Retry.NotBefore.Local().Format(time.TimeOnly))
	}
	if s.Problem != nil {
		line += "  " + s.Problem.Cause
	}
	return line
}
