package operator

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vmline/vmline/pkg/api"
)

func newVMList(r *remote) *cobra.Command {
	var f api.ServiceFilter
	return question[[]api.Service]{
		use: "list", short: "List machines", args: cobra.NoArgs,
		long:  "List machines. What several flags say must all be so.",
		flags: func(flags *pflag.FlagSet) { addFilter(flags, &f) },
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Service, error) {
			f.Status = underscores(f.Status)
			return services(ctx, client, f)
		},
		table: listTable,
	}.command(r)
}

// services are all machines that match, of every page.
func services(ctx context.Context, client *api.Client, f api.ServiceFilter) ([]api.Service, error) {
	return pages(func(cursor string) ([]api.Service, string, error) {
		l, err := client.FindServices(ctx, f, pageSize, cursor)
		return l.Items, l.NextCursor, err
	})
}

func listTable(w io.Writer, services []api.Service) {
	fmt.Fprintln(w, "REF\tSTATUS\tOPERATION\tCLUSTER\tNODE\tVMID\tADDRESSES\tUPDATED")
	for _, s := range services {
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, dash(s.Status), hyphens(s.Operation.Type), s.Operation.Status,
			dash(s.Cluster), dash(s.Node), vmid(s.VMID), dash(addresses(s)), s.UpdatedAt.Local().Format(time.DateTime))
	}
}
