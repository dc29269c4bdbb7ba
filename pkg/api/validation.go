package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Validation is what a command would do, without doing it.
type Validation struct {
	// OK says that nothing is known that stands against the command.
	OK      bool   `json:"ok" doc:"Nothing is known that stands against the command."`
	Verdict string `json:"verdict" enum:"accepted,queued,joined,refused" doc:"What admission says."`
	// Changes are the fields of the package that would change.
	Changes  []Change      `json:"changes" nullable:"false" doc:"Fields of the package that would change."`
	Steps    []PlannedStep `json:"steps" nullable:"false" doc:"In the order of the route."`
	Problems []StepProblem `json:"problems" nullable:"false" doc:"What would refuse the command, or hold it up until a person comes."`
}

// Change is one field of a package.
type Change struct {
	Field string `json:"field" doc:"For example system_disk.size_gb."`
	From  any    `json:"from,omitempty"`
	To    any    `json:"to,omitempty"`
}

// PlannedStep is one step of a plan.
type PlannedStep struct {
	Name  string        `json:"name"`
	Owner string        `json:"owner"`
	Calls []PlannedCall `json:"calls" nullable:"false" doc:"That change something on Proxmox. Without any, the step finds its part done."`
	Notes []string      `json:"notes,omitempty" nullable:"false"`
}

// PlannedCall is one request to the Proxmox VE API.
type PlannedCall struct {
	Method string            `json:"method"`
	Path   string            `json:"path" doc:"Below /api2/json."`
	Params map[string]string `json:"params,omitempty"`
}

// Validate returns what a command would do. Nothing is changed.
func (c *Client) Validate(ctx context.Context, ref string, a Action) (Validation, error) {
	var v Validation
	err := c.call(ctx, http.MethodPost, "/v1/services/"+url.PathEscape(ref)+"/validate", a, &v, IdempotencyKey(newKey()))
	return v, err
}

// Changes lists the fields in which two packages differ, in the order of their names. Secrets are not
// compared.
func Changes(from, to *vmlinev1.Package) []Change {
	before, after := flat(from), flat(to)
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	changes := []Change{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if fmt.Sprint(before[name]) != fmt.Sprint(after[name]) {
			changes = append(changes, Change{Field: name, From: before[name], To: after[name]})
		}
	}
	return changes
}

// flat is a package as its fields under their whole names.
func flat(p *vmlinev1.Package) map[string]any {
	data, err := json.Marshal(FromPackage(p))
	var tree map[string]any
	if err != nil || json.Unmarshal(data, &tree) != nil {
		return nil // a package is always an object
	}
	fields := map[string]any{}
	flatten(fields, "", tree)
	return fields
}

func flatten(fields map[string]any, above string, tree map[string]any) {
	for name, value := range tree {
		if below, ok := value.(map[string]any); ok {
			flatten(fields, above+name+".", below)
			continue
		}
		fields[above+name] = value
	}
}

// FromPlan returns a planned step. What may be a secret is not shown.
func FromPlan(s *vmlinev1.PlannedStep) PlannedStep {
	out := PlannedStep{Name: chain.Name(s.GetStep()), Owner: owner(s.GetStep()), Calls: []PlannedCall{}, Notes: s.GetNotes()}
	for _, call := range s.GetCalls() {
		params := maps.Clone(call.GetParams())
		for name := range params {
			if strings.Contains(name, "password") {
				params[name] = "(sealed)"
			}
		}
		out.Calls = append(out.Calls, PlannedCall{Method: call.GetMethod(), Path: call.GetPath(), Params: params})
	}
	return out
}

// FromProblem returns what keeps a VM from going on, nil for nil.
func FromProblem(p *vmlinev1.Problem) *StepProblem { return fromProblem(p) }
