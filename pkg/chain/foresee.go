package chain

import (
	"slices"

	"google.golang.org/protobuf/proto"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Foreseen is what an operation would do, in the order of its steps, and why it would not end well.
type Foreseen struct {
	Steps    []*vmlinev1.PlannedStep
	Problems []*vmlinev1.Problem
}

// Foresee plans the operation of a VM without beginning it. ask asks a service what its steps would do.
// Where a step would find that others are not needed, its owner is asked first, and then everybody about
// what is left. Each is told what those before it have foreseen.
func Foresee(vm *vmlinev1.VM, ask func(Service, *vmlinev1.VM) (*vmlinev1.PlanReply, error)) (Foreseen, error) {
	var f Foreseen
	vm = proto.CloneOf(vm)
	op := vm.GetOperation()
	order := slices.Clone(Ahead(op))
	if len(order) > 0 && order[0] == vmlinev1.Status_STATUS_PLANNED {
		planning, _ := StepTo(order[0])
		reply, err := ask(planning.Owner, vm)
		if err != nil || reply.GetProblem() != nil {
			f.add(reply)
			return f.sorted(order), err
		}
		f.Steps = slices.DeleteFunc(reply.GetSteps(), func(s *vmlinev1.PlannedStep) bool { return s.GetStep() != order[0] })
		if route := reply.GetRoute(); len(route) > 0 {
			op.Route = route
		}
		op.Reached = append(op.Reached, &vmlinev1.Reached{Status: order[0]})
	}
	for _, service := range Services {
		if !slices.ContainsFunc(Ahead(op), service.leadsTo) {
			continue
		}
		reply, err := ask(service, vm)
		if err != nil {
			return f, err
		}
		f.add(reply)
		foreseen(vm, reply.GetVm())
	}
	return f.sorted(order), nil
}

// leadsTo says that the service owns the step to a status.
func (s Service) leadsTo(status vmlinev1.Status) bool {
	step, ok := StepTo(status)
	return ok && step.Owner == s
}

// foreseen puts into the VM what a service's steps would find or choose.
func foreseen(vm, then *vmlinev1.VM) {
	if then == nil {
		return
	}
	vm.Addresses, vm.Node, vm.Vmid = then.GetAddresses(), then.GetNode(), then.GetVmid()
	vm.TemplateVmid, vm.TemplateNode, vm.Placement = then.GetTemplateVmid(), then.GetTemplateNode(), then.GetPlacement()
}

func (f *Foreseen) add(reply *vmlinev1.PlanReply) {
	f.Steps = append(f.Steps, reply.GetSteps()...)
	if p := reply.GetProblem(); p != nil {
		f.Problems = append(f.Problems, p)
	}
}

func (f *Foreseen) sorted(order []vmlinev1.Status) Foreseen {
	slices.SortStableFunc(f.Steps, func(a, b *vmlinev1.PlannedStep) int {
		return slices.Index(order, a.GetStep()) - slices.Index(order, b.GetStep())
	})
	return *f
}
