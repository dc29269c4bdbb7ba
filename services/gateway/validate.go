package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func (g *gateway) registerValidation(a huma.API) {
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "validate", Method: http.MethodPost, Path: "/v1/services/{ref}/validate", Tags: []string{"services"},
		Summary:     "Say what a command would do, without doing it",
		Description: "The services that own the steps look at the machine and say what each step would call. Nothing is changed.",
		Errors:      []int{400, 404, 413, 422},
	}, g.validate)
}

func (g *gateway) validate(ctx context.Context, in *ActionInput) (*struct{ Body api.Validation }, error) {
	vm, err := g.lastVM(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	cmd, err := g.command(in)
	if err != nil {
		return nil, err
	}
	decision := chain.Admit(vm, cmd)
	v := api.Validation{OK: true, Verdict: decision.Verdict.String(), Changes: []api.Change{}, Steps: []api.PlannedStep{}, Problems: []api.StepProblem{}}
	switch decision.Verdict {
	case chain.Refused:
		v.OK, v.Problems = false, []api.StepProblem{{Cause: decision.Reason, Kept: "Nothing was changed.", Next: decision.Next}}
	case chain.Admitted:
		begun := chain.Begin(vm, cmd, g.bus.Now(), g.bus.NewID)
		if vm != nil {
			v.Changes = api.Changes(vm.GetPackage(), begun.GetPackage())
		}
		err = g.plan(ctx, begun, &v)
	}
	return &struct{ Body api.Validation }{v}, err
}

// plan asks every service that owns a step of the operation what the step would do. Where a step would
// find that others are not needed, its owner is asked first, and the others about what is left.
func (g *gateway) plan(ctx context.Context, vm *vmlinev1.VM, v *api.Validation) error {
	first := &vmlinev1.PlanReply{}
	if planning, _ := chain.StepTo(vmlinev1.Status_STATUS_PLANNED); slices.Contains(ahead(vm), planning.To) {
		if err := g.ask(ctx, planning.Owner, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: vm}, first); err != nil {
			return err
		}
		if first.GetProblem() != nil {
			collect([]*vmlinev1.PlanReply{first}, ahead(vm), v)
			return nil
		}
		if route := first.GetRoute(); len(route) > 0 {
			vm.Operation.Route = route
		}
	}
	owners := ownersOf(ahead(vm))
	replies := make([]*vmlinev1.PlanReply, len(owners))
	asking, ctx := errgroup.WithContext(ctx)
	for i, owner := range owners {
		replies[i] = &vmlinev1.PlanReply{}
		asking.Go(func() error {
			return g.ask(ctx, owner, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: vm}, replies[i])
		})
	}
	if err := asking.Wait(); err != nil {
		return err
	}
	collect(replies, ahead(vm), v)
	return nil
}

// ahead are the statuses that the VM's operation has still to reach.
func ahead(vm *vmlinev1.VM) []vmlinev1.Status {
	return vm.GetOperation().GetRoute()[len(vm.GetOperation().GetReached()):]
}

// ownersOf are the services that own the steps to statuses.
func ownersOf(statuses []vmlinev1.Status) []chain.Service {
	var owners []chain.Service
	for _, status := range statuses {
		if step, ok := chain.StepTo(status); ok && !slices.Contains(owners, step.Owner) {
			owners = append(owners, step.Owner)
		}
	}
	return owners
}

// collect puts what the services have answered into the order of the statuses.
func collect(replies []*vmlinev1.PlanReply, ahead []vmlinev1.Status, v *api.Validation) {
	for _, reply := range replies {
		for _, step := range reply.GetSteps() {
			v.Steps = append(v.Steps, api.FromPlan(step))
		}
		if p := api.FromProblem(reply.GetProblem()); p != nil {
			v.OK, v.Problems = false, append(v.Problems, *p)
		}
	}
	order := map[string]int{}
	for i, status := range slices.Backward(ahead) {
		order[chain.Name(status)] = i
	}
	slices.SortStableFunc(v.Steps, func(a, b api.PlannedStep) int { return order[a.Name] - order[b.Name] })
}

// ask asks a service; its error is a problem.
func (g *gateway) ask(ctx context.Context, service chain.Service, question string, request, reply proto.Message) error {
	err := g.bus.Ask(ctx, service, question, request, reply)
	if err == nil {
		return nil
	}
	p := problem(http.StatusServiceUnavailable, "The service "+string(service)+" could not answer: "+err.Error()+".", "Look at its log, then ask again.")
	p.Type = api.TypeServiceUnavailable
	if errors.Is(err, bus.ErrNobody) {
		p.Detail, p.Next = "The service "+string(service)+" does not run.", "Start it, then ask again."
	}
	g.log.Error("a service could not be asked", "service", service, "question", question, "error", err)
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
}
