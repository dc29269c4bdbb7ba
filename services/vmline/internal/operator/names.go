package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

const (
	// namesTime bounds the look at a machine's names: DNS servers are asked, and the rest is known already.
	namesTime = 5 * time.Second
	// lagTime is how long a machine's records may lag behind its last change before that is worth a line.
	lagTime = time.Minute
)

// named is a machine with what the DNS servers hold of it.
type named struct {
	api.Service
	// DNS is how its records differ; left out for a machine that gets none.
	DNS *api.DNSDiff `json:"dns,omitempty"`
}

// withNames asks how the records of a machine differ. That it cannot be said is a part of the answer.
func withNames(ctx context.Context, client *api.Client, s api.Service) named {
	if s.Package == nil || s.Package.DNS == (api.DNS{}) || s.Status == "" {
		return named{Service: s}
	}
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	l, err := client.DNSDiff(ctx, s.Ref, 0, "")
	switch {
	case err != nil:
		return named{s, &api.DNSDiff{Ref: s.Ref, UID: s.UID, Names: []api.NameDiff{}, Error: unanswered(err)}}
	case len(l.Items) == 0:
		return named{Service: s}
	}
	return named{s, &l.Items[0]}
}

// unanswered is in one line why a question has no answer.
func unanswered(err error) string {
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Detail != "" {
		return problem.Detail
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("there was no answer within %s", namesTime)
	}
	return err.Error()
}

// namesTable are the lines about the names of a machine, none where all is well.
func (n named) namesTable() [][2]string {
	var rows [][2]string
	add := func(format string, args ...any) { rows = append(rows, [2]string{"dns", fmt.Sprintf(format, args...)}) }
	if n.DNS == nil {
		return nil
	}
	for _, name := range n.DNS.Names {
		switch {
		case name.Holder != "":
			add("conflict %s, held by %s", name.Name, name.Holder)
		case time.Since(n.UpdatedAt) >= lagTime: // else it may mend itself right now
			add("%s %s", name.Action, name.Name)
		}
	}
	for _, note := range n.DNS.Notes {
		add("%s", note)
	}
	if n.DNS.Error != "" {
		add("cannot be compared now: %s", n.DNS.Error)
	}
	if len(rows) > 0 {
		rows = append(rows, [2]string{"next", `Look at "vmline dns diff ` + n.Ref + `".`})
	}
	return rows
}
