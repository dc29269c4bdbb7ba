package operator

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

const aboutDrift = `List machines that are not what vmline believes of them: missing, somebody else's, stopped or running though
they should not, with other hardware or without rules of their firewall. The clusters are read at intervals.

Below stands what cannot be seen: a cluster that cannot be read, with since when, or a node that is offline.
Nothing is known of the machines there; none of them is taken for gone.`

// drifting are the machines with drift, and the clusters with what cannot be seen of them.
type drifting struct {
	VMs      []api.Service `json:"vms"`
	Clusters []api.Sight   `json:"clusters"`
}

// newDrift asks by itself: it has no commands below it.
func newDrift() *cobra.Command {
	var r remote
	c := question[drifting]{
		use: "drift", short: "List machines that are not what they should be", long: aboutDrift, args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) (d drifting, err error) {
			if d.Clusters, err = client.Sight(ctx); err != nil {
				return d, err
			}
			d.VMs, err = services(ctx, client, api.ServiceFilter{Drift: true})
			return d, err
		},
		table: driftTable,
	}.command(&r)
	r.addFlags(c)
	return c
}

func driftTable(w io.Writer, d drifting) {
	fmt.Fprintln(w, "REF\tSTATUS\tNODE\tVMID\tDRIFT\tSINCE\tDETAIL\tNEXT")
	for _, s := range d.VMs {
		for _, d := range s.Drift {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, s.Status, dash(s.Node), vmid(s.VMID), d.Kind, moment(d.Since), d.Detail, d.Next)
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "CLUSTER\tLAST READ\tNOT SEEN")
	for _, c := range d.Clusters {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Cluster, moment(c.ReadAt), dash(unseen(c)))
	}
}

// unseen is what cannot be seen of a cluster, empty where all can.
func unseen(c api.Sight) string {
	switch {
	case c.Error != "":
		return fmt.Sprintf("any machine, for %s: %s", time.Since(c.ReadAt).Round(time.Second), c.Error)
	case len(c.OfflineNodes) > 0:
		return "the machines on " + strings.Join(c.OfflineNodes, ", ") + ": offline"
	}
	return ""
}
