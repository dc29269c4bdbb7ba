package operator

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
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

// observed is what was seen of a machine on Proxmox: where it is not as it should be, else how it is.
func observed(s api.Service) string {
	var details []string
	for _, d := range s.Drift {
		details = append(details, d.Detail)
	}
	if len(details) == 0 {
		return remoteState(s)
	}
	return strings.Join(details, "; ")
}

func eventLine(e api.Event) string {
	s := e.Service
	line := fmt.Sprintf("%s  %-20s  %-9s  %-29s  %s %s", s.UpdatedAt.Local().Format("15:04:05.000"), s.Ref, s.Event, s.Status,
		hyphens(s.Operation.Type), s.Operation.Status)
	if s.Event == api.EventName(vmlinev1.Event_EVENT_OBSERVED) {
		line += "  " + observed(s)
	}
	if s.Retry != nil {
		line += fmt.Sprintf("  attempt %d failed, again at %s", s.Retry.Attempts, s.Retry.NotBefore.Local().Format(time.TimeOnly))
	}
	if s.Problem != nil {
		line += "  " + s.Problem.Cause
	}
	return line
}
