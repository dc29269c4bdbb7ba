package operator

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

func newPool() *cobra.Command {
	return group("pool", "Look at the pools of addresses", "", newPoolList, newPoolShow)
}

func newPoolList(r *remote) *cobra.Command {
	var cluster string
	return question[[]api.Pool]{
		use: "list", short: "List the pools and how much of each is given", args: cobra.NoArgs,
		flags: func(f *pflag.FlagSet) { f.StringVar(&cluster, "cluster", "", "only this cluster's") },
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Pool, error) {
			return client.Pools(ctx, cluster)
		},
		table: func(w io.Writer, pools []api.Pool) {
			fmt.Fprintln(w, "POOL\tCLUSTER\tBRIDGE\tPREFIX\tGATEWAY\tTOTAL\tUSED\tFREE")
			for _, p := range pools {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\n", p.Name, p.Cluster, bridge(p), p.Prefix, dash(p.Gateway), p.Total, p.Used, p.Free)
			}
		},
	}.command(r)
}

// bridge with its VLAN, if it has one.
func bridge(p api.Pool) string {
	if p.VLAN == 0 {
		return p.Bridge
	}
	return fmt.Sprintf("%s vlan %d", p.Bridge, p.VLAN)
}

func newPoolShow(r *remote) *cobra.Command {
	return question[[]api.HeldAddress]{
		use: "show POOL", short: "List the addresses of a pool that machines have", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) ([]api.HeldAddress, error) {
			pools, err := client.Pools(ctx, "")
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(pools, func(p api.Pool) bool { return p.Name == args[0] }) {
				return nil, notFound("pool "+args[0], `Look at "vmline pool list".`)
			}
			return pages(func(cursor string) ([]api.HeldAddress, string, error) {
				l, err := client.PoolAddresses(ctx, args[0], pageSize, cursor)
				return l.Items, l.NextCursor, err
			})
		},
		table: func(w io.Writer, held []api.HeldAddress) {
			fmt.Fprintln(w, "ADDRESS\tREF\tSINCE")
			for _, a := range held {
				fmt.Fprintf(w, "%s\t%s\t%s\n", a.Address, a.Ref, moment(a.Since))
			}
		},
	}.command(r)
}

func newIP() *cobra.Command {
	return group("ip", "Look at single addresses", "", newIPHistory)
}

func newIPHistory(r *remote) *cobra.Command {
	return question[[]api.Holding]{
		use: "history ADDRESS", short: "Show which machines have had an address, and when", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) ([]api.Holding, error) {
			address, err := netip.ParseAddr(strings.TrimSpace(args[0]))
			if err != nil {
				return nil, exit.BadUsagef("%q is no address: want for example 203.0.113.7", args[0])
			}
			return client.AddressHistory(ctx, address)
		},
		table: func(w io.Writer, holdings []api.Holding) {
			fmt.Fprintln(w, "REF\tPOOL\tFROM\tTO\tUID")
			for _, h := range holdings {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.Ref, h.Pool, moment(h.From), moment(h.To), h.UID)
			}
		},
	}.command(r)
}
