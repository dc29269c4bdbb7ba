package provisioner

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

// place chooses template, nodes and VMID and reserves the VMID, unless the VM has one. avoid is a VMID
// that turned out to be taken; 0 for none.
func (p *provisioner) place(ctx context.Context, t *bus.Trigger, avoid int) error {
	var (
		all    pve.Resources
		choice placement.Choice
	)
	err := orMended(func(fresh bool) (err error) { all, choice, err = p.choose(ctx, t.VM, fresh); return err })
	if no, ok := errors.AsType[*placement.Impossible](err); ok && !no.Passing {
		return &bus.NeedsPerson{Cause: no.Reason, Kept: nothingMade, Next: no.Next, Err: err}
	}
	if err != nil {
		return machine.Explain(err, nothingMade)
	}
	if t.VM.GetVmid() == 0 || avoid != 0 {
		if err := p.reserve(ctx, t, all, avoid); err != nil {
			return err
		}
	}
	t.VM.TemplateVmid = uint32(choice.Template) //nolint:gosec // G115: Proxmox has none above 999,999,999
	t.VM.TemplateNode, t.VM.Node, t.VM.Placement = choice.TemplateNode, choice.CloneNode, choice.Node
	return nil
}

// orMended does what is impossible once more, with everything read now: no person is asked for what may just
// have been mended.
func orMended(do func(fresh bool) error) error {
	err := do(false)
	if _, ok := errors.AsType[*placement.Impossible](err); ok {
		err = do(true)
	}
	return err
}

// nothingMade is what a placement that failed leaves behind.
const nothingMade = "Nothing was made yet; the addresses stay reserved."

// choose looks for template and nodes; fresh has everything read now.
func (p *provisioner) choose(ctx context.Context, vm *vmlinev1.VM, fresh bool) (all pve.Resources, choice placement.Choice, err error) {
	inv, err := p.inventories[vm.GetCluster()].look(ctx, vm.GetPackage(), fresh)
	if err != nil {
		return all, choice, err
	}
	choice, err = p.inFlight.place(ctx, vm, inv, fresh)
	return inv.Resources, choice, err
}

// reserve gives the VM its VMID.
func (p *provisioner) reserve(ctx context.Context, t *bus.Trigger, all pve.Resources, avoid int) error {
	used := map[int]bool{avoid: true}
	for _, vm := range all.VMs {
		used[vm.VMID] = true
	}
	vmid, err := p.vmids.reserve(ctx, t.VM, func(id int) bool { return used[id] }, avoid)
	if vmid != 0 {
		t.Overtaken = func(ctx context.Context) error { return p.keep(ctx, t, vmid) }
		err = errors.Join(err, p.keep(ctx, t, vmid))
	}
	if err != nil {
		return err
	}
	t.VM.Vmid = uint32(vmid) //nolint:gosec // G115: Proxmox has none above 999,999,999
	return nil
}

// keep gives a VMID that is reserved, or may be, back if the VM is being taken away meanwhile: the step to
// vmid_released may have looked for it before. A termination that comes later finds it. What another
// worker has recorded already stays.
func (p *provisioner) keep(ctx context.Context, t *bus.Trigger, vmid int) error {
	last, err := p.Bus.Last(ctx, t.VM.GetRef())
	if err != nil {
		return err
	}
	same := last.VM.GetUid() == t.VM.GetUid()
	if same && (chain.Goal(last.VM.GetOperation()) != vmlinev1.Operation_KIND_TERMINATE || int(last.VM.GetVmid()) == vmid) {
		return nil
	}
	if err := p.vmids.release(ctx, t.VM.GetCluster(), vmid, t.VM.GetUid()); err != nil {
		return err
	}
	return fmt.Errorf("reserve a VMID for %s: %w", t.VM.GetRef(), bus.ErrSuperseded)
}
