package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// planned looks at the machine once and decides what a change of package comes to: it refuses what is
// impossible before anything stops, and takes the steps that have nothing to do out of the route.
func (p *provisioner) planned(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
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
	// A change that is taken back may have got as far as to the addresses.
	others := plan.AddressesChange(t.VM, op.GetBefore().GetPackage()) || len(plan.Staying(t.VM)) < len(t.VM.GetAddresses())
	if others && m.Running && len(decision.Stop) == 0 {
		note(op, "The guest learns of changed addresses at its next boot.")
	}
	seen(t.VM, found)
	return bus.Done, nil
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

// roomFor refuses what Proxmox would accept and the machine's next start, or its task, would fail with.
func (p *provisioner) roomFor(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, cfg pve.VMConfig) error {
	pkg, before := vm.GetPackage(), vm.GetOperation().GetBefore().GetPackage()
	todo, err := plan.Make(cfg, vm, plan.Options{})
	if err != nil {
		return err
	}
	newDisk := todo.AdditionalDisk != "" && !cfg.Has(todo.AdditionalDisk)
	if pkg.GetCores() > before.GetCores() || pkg.GetMemoryMib() > before.GetMemoryMib() || newDisk {
		all, err := p.inventories[vm.GetCluster()].list(ctx, inventoryAge)
		if err != nil {
			return machine.Explain(err, kept)
		}
		if err := fits(all, vm, newDisk); err != nil {
			return err
		}
	}
	if bridge := pkg.GetNetwork().GetBridge(); bridge != "" && bridge != before.GetNetwork().GetBridge() {
		return hasBridge(ctx, c, vm.GetNode(), bridge)
	}
	return nil
}

// fits compares the package with the machine's node as a whole. How much of it others use is for Proxmox
// to say.
func fits(all pve.Resources, vm *vmlinev1.VM, newDisk bool) error {
	pkg := vm.GetPackage()
	for _, n := range all.Nodes {
		switch memory := int64(pkg.GetMemoryMib()) << 20; {
		case n.Name != vm.GetNode():
		case n.MaxCPU > 0 && float64(pkg.GetCores()) > n.MaxCPU:
			return &plan.Impossible{Reason: fmt.Sprintf("the package has %d cores and node %s has %.0f", pkg.GetCores(), n.Name, n.MaxCPU), Next: "Migrate the machine to a larger node first."}
		case n.MaxMem > 0 && memory > n.MaxMem:
			return &plan.Impossible{Reason: fmt.Sprintf("the package has %d MiB of memory and node %s has %d", pkg.GetMemoryMib(), n.Name, n.MaxMem>>20), Next: "Migrate the machine to a larger node first."}
		}
	}
	storage := pkg.GetAdditionalDisk().GetStorage()
	if newDisk && !slices.ContainsFunc(all.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Node == vm.GetNode() }) {
		return &plan.Impossible{Reason: fmt.Sprintf("node %s has no storage %q for the additional disk", vm.GetNode(), storage), Next: "Correct the storage in the package."}
	}
	return nil
}

func hasBridge(ctx context.Context, c *pve.Client, node, bridge string) error {
	bridges, err := c.Bridges(ctx, node)
	if pve.KindOf(err) == pve.NoPermission {
		return nil // Proxmox itself says when the card is set
	}
	if err != nil {
		return machine.Explain(err, kept)
	}
	if !slices.ContainsFunc(bridges, func(b pve.Bridge) bool { return b.Name == bridge }) {
		return &plan.Impossible{Reason: fmt.Sprintf("node %s has no bridge %q", node, bridge), Next: "Correct the bridge in the package, or make it on the node."}
	}
	return nil
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
