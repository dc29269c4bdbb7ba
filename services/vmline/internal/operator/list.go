package operator

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

func newVMList(r *remote) *cobra.Command {
	var f filter
	return question[[]api.Service]{
		use: "list", short: "List machines", args: cobra.NoArgs,
		long:  "List machines. What several flags say must all be so.",
		flags: f.addFlags,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Service, error) {
			return services(ctx, client, f.keeps)
		},
		table: listTable,
	}.command(r)
}

// services are all machines of every page that are to be kept.
func services(ctx context.Context, client *api.Client, keep func(api.Service) bool) ([]api.Service, error) {
	all, err := pages(func(cursor string) ([]api.Service, string, error) {
		l, err := client.ListServices(ctx, pageSize, cursor)
		return l.Items, l.NextCursor, err
	})
	return slices.DeleteFunc(all, func(s api.Service) bool { return !keep(s) }), err
}

func listTable(w io.Writer, services []api.Service) {
	fmt.Fprintln(w, "REF\tSTATUS\tOPERATION\tCLUSTER\tNODE\tVMID\tADDRESSES\tUPDATED")
	for _, s := range services {
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, s.Status, s.Operation.Type, s.Operation.Status,
			dash(s.Cluster), dash(s.Node), vmid(s.VMID), dash(addresses(s)), s.UpdatedAt.Local().Format(time.DateTime))
	}
}
