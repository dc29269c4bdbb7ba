package provisioner

import (
	"cmp"
	"context"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// home is the node where the VM is to live: the one that its package names, also when a repeated order
// names another than the first one did, or the one that was chosen.
func home(vm *vmlinev1.VM) string { return cmp.Or(vm.GetPackage().GetNode(), vm.GetPlacement()) }

// migrate takes the VM to the node where it is to live, when the template's storage forced the
// clone to appear on another.
func (p *provisioner) migrate(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if t.VM.GetTask() == nil && t.VM.GetNode() == home(t.VM) {
		return bus.Done, nil
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if _, err := p.await(ctx, c, t); err != nil {
		return 0, machine.Explain(err, kept)
	}
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	t.VM.Node = found.Node
	if found.Node == home(t.VM) {
		return bus.Done, nil
	}
	turn, err := p.turn(ctx, t, p.migrateUses(ctx, t.VM))
	if err != nil {
		return 0, err
	}
	defer turn.end(ctx)
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.Migrate(ctx, found.Node, int(t.VM.GetVmid()), home(t.VM), pve.MigrateOptions{})
	if pve.KindOf(err) == pve.MaybeCommitted {
		turn.runs() // perhaps; where the machine is, is looked for before it is moved again
	}
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	turn.runs()
	p.started(t, upid, vmlinev1.Status_STATUS_MIGRATED, machine.PurposeMigrate)
	return bus.Recorded, nil
}
