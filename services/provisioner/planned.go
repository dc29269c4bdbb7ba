package provisioner

import (
	"context"
	"errors"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// planned looks at the machine once and decides what a change of package comes to: it refuses what is
// impossible before anything stops, and takes the steps that have nothing to do out of the route. Before a
// reinstallation it sees that there is a template to make the machine of again.
func (p *provisioner) planned(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if chain.Goal(t.VM.GetOperation()) == vmlinev1.Operation_KIND_REINSTALL {
		return bus.Done, p.replaceable(ctx, t.VM)
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, refusal(err)
	}
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, refusal(machine.Explain(err, kept))
	}
	t.VM.Node = found.Node
	m, err := p.observe(ctx, c, t, found)
	if err != nil {
		return 0, refusal(err)
	}
	decision, err := p.decide(ctx, c, t.VM, m)
	if err != nil && m.Halted {
		return 0, halfway(refusal(err))
	}
	if err != nil {
		return 0, refusal(err)
	}
	op := t.VM.GetOperation()
	op.Route = decision.Route(op.GetRoute(), len(op.GetReached())+1)
	t.VM.Warnings = append(t.VM.Warnings, decision.Warnings...)
	others := plan.AddressesChange(t.VM, op.GetBefore().GetPackage())
	if others && m.Running && len(decision.Stop) == 0 {
		note(op, "The guest learns of changed addresses at its next boot.")
	}
	recognized(t.VM, found)
	return bus.Done, nil
}

// replaceable refuses a reinstallation whose template does not exist, or does not fit: the machine that
// stands is kept. A template that cannot be reached now is waited for.
func (p *provisioner) replaceable(ctx context.Context, vm *vmlinev1.VM) error {
	err := orMended(func(fresh bool) error { return p.hasTemplate(ctx, vm, fresh) })
	if no, ok := errors.AsType[*placement.Impossible](err); ok && !no.Passing {
		return &bus.Refused{Cause: no.Reason, Next: no.Next}
	}
	return machine.Explain(err, kept)
}

func (p *provisioner) hasTemplate(ctx context.Context, vm *vmlinev1.VM, fresh bool) error {
	if _, err := p.cluster(vm); err != nil {
		return refusal(err)
	}
	inv, err := p.inventories[vm.GetCluster()].look(ctx, vm.GetPackage(), fresh)
	if err == nil {
		_, err = placement.Usable(inv, vm.GetPackage())
	}
	return err
}

// observe adds what the configuration does not show of a running machine.
func (p *provisioner) observe(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (plan.Machine, error) {
	m := plan.Machine{Config: found.Config}
	status, err := c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	if err != nil {
		return m, machine.Explain(err, kept)
	}
	noteStatus(t.VM, status)
	before := t.VM.GetOperation().GetBefore()
	if before != nil && before.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED {
		before.RemoteStatus = t.VM.GetRemoteStatus()
	}
	m.Halted = before.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING && status.Status != "running"
	if m.Running = status.Status == "running"; !m.Running {
		return m, nil
	}
	m.Pending, err = c.Pending(ctx, found.Node, int(t.VM.GetVmid()))
	return m, machine.Explain(err, kept)
}

// decide is the plan of a change of package. A package without a password keeps the one there is.
func (p *provisioner) decide(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, m plan.Machine) (plan.Decision, error) {
	before := vm.GetOperation().GetBefore().GetPackage()
	if old := before.GetCloudInit().GetSealedPassword(); len(old) > 0 && len(vm.GetPackage().GetCloudInit().GetSealedPassword()) == 0 {
		if vm.Package.CloudInit == nil {
			vm.Package.CloudInit = &vmlinev1.CloudInit{}
		}
		vm.Package.CloudInit.SealedPassword = old
	}
	password, err := p.open(vm.GetPackage())
	if err != nil {
		return plan.Decision{}, err
	}
	undo := vm.GetOperation().GetUndoes()
	o := plan.Options{Before: setBefore(vm.GetOperation()), Password: password, Fresh: p.newPassword(vm, password)}
	decision, err := plan.Change(m, vm, o, undo)
	if err == nil && !undo {
		err = p.roomFor(ctx, c, vm, m.Config)
	}
	return decision, err
}

// refusal has an operation that has changed nothing yet end, where it would otherwise wait for a person.
func refusal(err error) error {
	var (
		person *bus.NeedsPerson
		no     *plan.Impossible
	)
	switch {
	case errors.As(err, &no):
		return &bus.Refused{Cause: err.Error(), Next: no.Next}
	case errors.As(err, &person):
		return &bus.Refused{Cause: person.Cause, Next: person.Next}
	default:
		return err
	}
}

// halfway has a refusal wait for a person where an earlier attempt has stopped the machine: what the VM
// was before, it is not any more.
func halfway(err error) error {
	var refused *bus.Refused
	if !errors.As(err, &refused) {
		return err
	}
	return &bus.NeedsPerson{
		Cause: refused.Cause, Kept: "An earlier attempt has stopped the machine and may have changed a part of it. " + kept,
		Next: refused.Next + " Cancel takes the change back and starts the machine.",
	}
}

// note adds a line for the billing system's notes to an operation's result.
func note(op *vmlinev1.Operation, line string) {
	if op.Result == nil {
		op.Result = &vmlinev1.Result{}
	}
	if !strings.Contains(op.Result.Note, line) {
		op.Result.Note = strings.TrimSpace(op.Result.Note + " " + line)
	}
}
