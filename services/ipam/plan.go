package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// plan answers what ipam's steps of an operation would do, and does none of it.
func (s *service) plan(ctx context.Context, req *vmlinev1.PlanRequest) (*vmlinev1.PlanReply, error) {
	vm := proto.CloneOf(req.GetVm())
	op := vm.GetOperation()
	reply := &vmlinev1.PlanReply{}
	for _, status := range chain.Ahead(op) {
		row, ok := chain.StepTo(status)
		if !ok || row.Owner != chain.IPAM {
			continue
		}
		step := &vmlinev1.PlannedStep{Step: status}
		reply.Steps = append(reply.Steps, step)
		problem, err := s.planStep(ctx, vm, step)
		if err != nil {
			return nil, err
		}
		if problem != nil {
			problem.Step, problem.Since = status, timestamppb.New(s.bus.Now())
			reply.Problem = problem
			break
		}
	}
	reply.Vm = vm
	return reply, nil
}

// planStep notes what the step would do and leaves the VM as the next step would find it.
func (s *service) planStep(ctx context.Context, vm *vmlinev1.VM, step *vmlinev1.PlannedStep) (*vmlinev1.Problem, error) {
	switch step.GetStep() {
	case vmlinev1.Status_STATUS_SET_IP:
		return s.planSetIP(ctx, vm, step)
	case vmlinev1.Status_STATUS_IP_RELEASED:
		for _, a := range vm.GetAddresses() {
			if a.GetLeaving() {
				step.Notes = append(step.Notes, fmt.Sprintf("releases %s", named(a)))
			}
		}
	case vmlinev1.Status_STATUS_TERMINATED:
		for _, a := range vm.GetAddresses() {
			if a.GetPool() != "" {
				step.Notes = append(step.Notes, fmt.Sprintf("releases %s", named(a)))
			}
		}
	}
	return nil, nil
}

func (s *service) planSetIP(ctx context.Context, vm *vmlinev1.VM, step *vmlinev1.PlannedStep) (*vmlinev1.Problem, error) {
	if chain.Goal(vm.GetOperation()) == vmlinev1.Operation_KIND_ADOPT {
		step.Notes = []string{"claims the addresses that the machine has"}
		return nil, nil
	}
	src, o := s.peek(), ownerOf(vm)
	listed, err := s.listed(ctx, src, vm, o)
	if err != nil {
		return nil, err
	}
	p, err := s.propose(ctx, src, vm, o, listed)
	var person *bus.NeedsPerson
	if errors.As(err, &person) {
		return &vmlinev1.Problem{Cause: person.Cause, Kept: "Nothing was changed.", Next: person.Next}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, h := range p.stay {
		switch {
		case h.listed != nil:
		case slices.Contains(vm.GetPackage().GetNetwork().GetAddresses(), h.addr.String()):
			step.Notes = append(step.Notes, fmt.Sprintf("gives %s, as chosen", named(h.stay())))
		default:
			step.Notes = append(step.Notes, fmt.Sprintf("gives %s, or the next that is free", named(h.stay())))
		}
	}
	for _, h := range p.leave {
		step.Notes = append(step.Notes, fmt.Sprintf("takes away %s", named(h.listed)))
	}
	vm.Addresses = p.addresses(marked(vm.GetOperation()))
	return nil, nil
}

// named is an address as a note names it.
func named(a *vmlinev1.Address) string {
	if a.GetPool() == "" {
		return a.GetAddress() + " (not managed)"
	}
	return fmt.Sprintf("%s of pool %s", a.GetAddress(), a.GetPool())
}
