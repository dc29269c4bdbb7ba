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
	return question[named]{
		use: "get REF", short: "Show one machine with its last operation", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) (named, error) {
			s, err := client.GetService(ctx, args[0])
			if err != nil {
				return named{}, err
			}
			return withNames(ctx, client, s), nil
		},
		table: serviceTable,
	}.command(r)
}

func newVMHistory(r *remote) *cobra.Command {
	return question[[]api.Operation]{
		use: "history REF", short: "List a machine's operations, newest first", args: cobra.ExactArgs(1),
		ask: func(ctx context.Context, client *api.Client, args []string) ([]api.Operation, error) {
			if _, err := client.GetService(ctx, args[0]); err != nil {
				return nil, err // no such VM, most of all
			}
			return pages(func(cursor string) ([]api.Operation, string, error) {
				l, err := client.ListOperations(ctx, args[0], "", "", 0, cursor)
				return l.Items, l.NextCursor, err
			})
		},
		table: func(w io.Writer, operations []api.Operation) {
			fmt.Fprintln(w, "BEGUN\tOPERATION\tENDED\tBY\tID\tWHY")
			for _, op := range operations {
				fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\t%s\n", moment(op.CreatedAt), hyphens(op.Type), op.Status, moment(op.FinishedAt), dash(op.RequestedBy), op.ID, dash(why(op)))
			}
		},
	}.command(r)
}

// why is what an operation ended with or waits for, empty where there was no problem.
func why(op api.Operation) string {
	if op.Error == nil {
		return ""
	}
	return op.Error.Cause
}

func serviceTable(w io.Writer, s named) {
	rows := [][2]string{
		{"ref", s.Ref}, {"status", dash(s.Status)}, {"remote", remoteState(s.Service)},
		{"cluster", s.Cluster}, {"node", s.Node}, {"vmid", vmid(s.VMID)}, {"mac", s.MAC}, {"addresses", addresses(s.Service)},
		{"operation", operationText(s.Operation)},
	}
	rows = append(rows, troubles(s.Service)...)
	rows = append(rows, s.namesTable()...)
	if len(s.Possible) > 0 {
		rows = append(rows, [2]string{"possible", hyphens(strings.Join(s.Possible, " "))})
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\n", row[0], dash(row[1]))
	}
	fmt.Fprintln(w)
	for _, step := range s.Operation.Steps {
		fmt.Fprintln(w, stepColumns(step))
	}
}

// remoteState is what Proxmox says of the machine, and what else it should be.
func remoteState(s api.Service) string {
	text := s.RemoteStatus
	if s.WantedPower != "" && s.RemoteStatus != "" && s.WantedPower != s.RemoteStatus && s.Status != "suspended" {
		text += ", wanted " + s.WantedPower
	}
	if s.RemoteLock != "" {
		text += ", locked by " + s.RemoteLock
	}
	return text
}

func operationText(op api.Operation) string {
	text := hyphens(op.Type) + " " + op.Status
	if op.Goal != "" {
		text += ", goal " + op.Goal
	}
	if op.Result != nil && op.Result.Note != "" {
		text += ", " + op.Result.Note
	}
	return text + " (" + op.ID + ")"
}

// troubles are what waits, what is queued, what keeps the machine and where it is not as it should be.
func troubles(s api.Service) [][2]string {
	var rows [][2]string
	if r := s.Retry; r != nil {
		rows = append(rows, [2]string{"waits", fmt.Sprintf("since %s, attempt %d at %s", since(r.FirstFailedAt), r.Attempts+1, moment(r.NotBefore))})
	}
	if p := s.Problem; p != nil {
		rows = append(rows, [2]string{"problem", p.Cause}, [2]string{"kept", p.Kept}, [2]string{"next", p.Next})
		if p.Step != "" {
			rows = append(rows, [2]string{"step", p.Step + ", since " + since(p.Since)})
		}
	}
	if s.Queued != nil {
		rows = append(rows, [2]string{"queued", operationText(*s.Queued)})
	}
	for _, op := range s.Pending {
		rows = append(rows, [2]string{"sent", operationText(op)})
	}
	for _, d := range s.Drift {
		rows = append(rows, [2]string{"drift", d.Kind + ": " + d.Detail + ", since " + since(d.Since)}, [2]string{"next", d.Next})
	}
	for _, warning := range s.Warnings {
		rows = append(rows, [2]string{"warning", warning})
	}
	return rows
}

func stepLine(s api.Step) string {
	return fmt.Sprintf("%-29s  %-11s  %-11s  %s", s.Name, s.Owner, s.Status, took(s))
}

func stepColumns(s api.Step) string {
	return strings.Join([]string{s.Name, s.Owner, s.Status, took(s)}, "\t")
}

// took is how long a step has taken, and of one that runs so far: a service that is not there leaves no other
// trace of it.
func took(s api.Step) string {
	switch {
	case s.StartedAt.IsZero():
		return "-"
	case s.Status == api.StatusRunning:
		return time.Since(s.StartedAt).Round(time.Second).String()
	case s.FinishedAt.IsZero():
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

// since is a time and how long ago that was.
func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s)", moment(t), time.Since(t).Round(time.Second))
}
