package operator

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
)

func newDNS() *cobra.Command {
	return group("dns", "Look at what DNS servers hold", "", newDNSDiff)
}

// dnsDiff is what was found in all pages.
type dnsDiff struct {
	Compared uint32        `json:"compared"`
	VMs      []api.DNSDiff `json:"vms"`
}

func newDNSDiff(r *remote) *cobra.Command {
	return question[dnsDiff]{
		use: "diff [REF]", short: "Show where the DNS servers hold something else than they should", args: cobra.MaximumNArgs(1),
		long: `Show where the DNS servers hold something else than they should, of one machine or of all. What differs is
mended by itself; "vmline vm set-dns-records REF" does it now.`,
		ask: func(ctx context.Context, client *api.Client, args []string) (dnsDiff, error) {
			var (
				d   dnsDiff
				err error
			)
			if len(args) == 1 {
				if _, err := client.GetService(ctx, args[0]); err != nil {
					return d, err // no such VM, most of all
				}
			}
			d.VMs, err = pages(func(cursor string) ([]api.DNSDiff, string, error) {
				l, err := client.DNSDiff(ctx, strings.Join(args, ""), 0, cursor)
				d.Compared += l.Compared
				return l.Items, l.NextCursor, err
			})
			return d, err
		},
		table: dnsDiffTable,
	}.command(r)
}

func dnsDiffTable(w io.Writer, d dnsDiff) {
	differ := 0
	for _, vm := range d.VMs {
		for _, n := range vm.Names {
			line := []string{vm.Ref, n.Action, n.Name}
			if n.Holder != "" {
				line = append(line, "held by "+n.Holder)
			}
			fmt.Fprintln(w, strings.Join(line, "\t"))
			for _, s := range records("+", n.Wanted) {
				fmt.Fprintln(w, "\t\t"+s)
			}
			for _, s := range records("-", n.Standing) {
				fmt.Fprintln(w, "\t\t"+s)
			}
		}
		for _, note := range vm.Notes {
			fmt.Fprintf(w, "%s\tnote\t%s\n", vm.Ref, note)
		}
		if vm.Error != "" {
			fmt.Fprintf(w, "%s\tunknown\t%s\n", vm.Ref, vm.Error)
		}
		if len(vm.Names) > 0 || vm.Error != "" {
			differ++
		}
	}
	fmt.Fprintf(w, "%d compared, %d as they should be.\n", d.Compared, int(d.Compared)-differ)
}

func records(sign string, sets []api.RRset) []string {
	var lines []string
	for _, s := range sets {
		for _, value := range s.Values {
			lines = append(lines, fmt.Sprintf("%s %s %d %s", sign, s.Type, s.TTL, value))
		}
	}
	return lines
}
