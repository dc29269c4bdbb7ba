package operator

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

const aboutDrift = `List machines that are not what vmline believes of them: missing, somebody else's, stopped or running though
they should not, with other hardware or without rules of their firewall. The clusters are read at intervals.`

// newDrift asks by itself: it has no commands below it.
func newDrift() *cobra.Command {
	var r remote
	c := question[[]api.Service]{
		use: "drift", short: "List machines that are not what they should be", long: aboutDrift, args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Service, error) {
			return services(ctx, client, api.ServiceFilter{Drift: true})
		},
		table: driftTable,
	}.command(&r)
	r.addFlags(c)
	return c
}

func driftTable(w io.Writer, services []api.Service) {
	fmt.Fprintln(w, "REF\tSTATUS\tNODE\tVMID\tDRIFT\tSINCE\tDETAIL\tNEXT")
	for _, s := range services {
		for _, d := range s.Drift {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, s.Status, dash(s.Node), vmid(s.VMID), d.Kind, moment(d.Since), d.Detail, d.Next)
		}
	}
}
