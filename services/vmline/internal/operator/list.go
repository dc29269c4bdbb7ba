package operator

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

func newVMList(r *remote) *cobra.Command {
	return question[[]api.Service]{
		use: "list", short: "List machines", args: cobra.NoArgs,
		ask: func(ctx context.Context, client *api.Client, _ []string) ([]api.Service, error) {
			return allServices(ctx, client)
		},
		table: listTable,
	}.command(r)
}

// pageSize is the most that the gateway gives at once.
const pageSize = 200

// allServices reads every page.
func allServices(ctx context.Context, client *api.Client) ([]api.Service, error) {
	services := []api.Service{}
	for cursor := ""; ; {
		page, err := client.ListServices(ctx, pageSize, cursor)
		if err != nil {
			return nil, err
		}
		services = append(services, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return services, nil
		}
	}
}

func listTable(w io.Writer, services []api.Service) {
	fmt.Fprintln(w, "REF\tSTATUS\tOPERATION\tCLUSTER\tNODE\tVMID\tADDRESSES\tUPDATED")
	for _, s := range services {
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\n", s.Ref, s.Status, s.Operation.Type, s.Operation.Status,
			dash(s.Cluster), dash(s.Node), vmid(s.VMID), dash(addresses(s)), s.UpdatedAt.Local().Format(time.DateTime))
	}
}
