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

func newVMGet(r *remote) *cobra.Command {
	return question[api.Service]{
		use: "get REF", short: "Show one machine with its last operation", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) (api.Service, error) {
			return client.GetService(ctx, args[0])
		},
		table: serviceTable,
	}.command(r)
}

func serviceTable(w io.Writer, s api.Service) {
	for _, row := range [][2]string{
		{"ref", s.Ref}, {"status", s.Status}, {"remote", strings.TrimSpace(s.RemoteStatus + " " + s.RemoteLock)},
		{"cluster", s.Cluster}, {"node", s.Node}, {"vmid", vmid(s.VMID)}, {"mac", s.MAC}, {"addresses", addresses(s)},
		{"operation", s.Operation.Type + " " + s.Operation.Status + " (" + s.Operation.ID + ")"},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], dash(row[1]))
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning\t%s\n", warning)
	}
	if p := s.Problem; p != nil {
		fmt.Fprintf(w, "problem\t%s\nkept\t%s\nnext\t%s\n", p.Cause, dash(p.Kept), dash(p.Next))
	}
	fmt.Fprintln(w)
	for _, step := range s.Operation.Steps {
		fmt.Fprintln(w, stepColumns(step))
	}
}

func stepLine(s api.Step) string {
	return fmt.Sprintf("%-29s  %-11s  %-11s  %s", s.Name, s.Owner, s.Status, took(s))
}

func stepColumns(s api.Step) string {
	return strings.Join([]string{s.Name, s.Owner, s.Status, took(s)}, "\t")
}

// took is how long a step has taken.
func took(s api.Step) string {
	if s.FinishedAt.IsZero() || s.StartedAt.IsZero() {
		return "-"
	}
	return s.FinishedAt.Sub(s.StartedAt).Round(time.Millisecond).String()
}

// addresses that the VM has. A terminated one keeps its last ones as history only.
func addresses(s api.Service) string {
	if s.Status == "terminated" {
		return ""
	}
	list := make([]string, len(s.Addresses))
	for i, a := range s.Addresses {
		list[i] = a.Address
	}
	return strings.Join(list, ",")
}

func vmid(id uint32) string {
	if id == 0 {
		return "-"
	}
	return fmt.Sprint(id)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
