package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
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

// plan asks the services that own the steps of the operation what they would do.
func (g *gateway) plan(ctx context.Context, vm *vmlinev1.VM, v *api.Validation) error {
	foreseen, err := chain.Foresee(vm, func(service chain.Service, vm *vmlinev1.VM) (*vmlinev1.PlanReply, error) {
		reply := &vmlinev1.PlanReply{}
		return reply, g.ask(ctx, service, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: vm}, reply)
	})
	if err != nil {
		return err
	}
	for _, step := range foreseen.Steps {
		v.Steps = append(v.Steps, api.FromPlan(step))
	}
	for _, p := range foreseen.Problems {
		v.OK, v.Problems = false, append(v.Problems, *api.FromProblem(p))
	}
	return nil
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
