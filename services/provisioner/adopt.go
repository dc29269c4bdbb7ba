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

// adopted binds the VM to a machine that exists: it reserves the machine's VMID, writes our mark beside
// what stands in the description, adds our tag, and learns what the machine is. Nothing else of the
// machine changes. The VMID stands in the VM's state only once the mark was ordered, so that nobody
// takes a machine for ours that is not.
func (p *provisioner) adopted(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, refusal(err)
	}
	if t.VM.GetVmid() == 0 {
		return p.claim(ctx, c, t)
	}
	if _, err := machine.Await(ctx, c, t); err != nil {
		return 0, machine.Explain(err, adoptKept)
	}
	found, err := machine.Find(ctx, c, t.VM)
	if _, unmarked := errors.AsType[*machine.NotOurs](err); unmarked {
		// The order to mark it may have failed. Whose it is is looked at as before the first one.
		if node, cfg, strange := p.lookAtStranger(ctx, c, t.VM); strange == nil {
			return p.mark(ctx, c, t, node, cfg)
		}
	}
	if err != nil {
		return 0, machine.Explain(err, adoptKept)
	}
	return p.learn(ctx, c, t, found)
}

const adoptKept = "The machine is left as it is; its VMID stays reserved."

// claim checks that the machine may be ours, reserves its VMID and has it marked.
func (p *provisioner) claim(ctx context.Context, c *pve.Client, t *bus.Trigger) (bus.Outcome, error) {
	node, cfg, err := p.lookAtStranger(ctx, c, t.VM)
	if err != nil {
		return 0, refusal(machine.Explain(err, adoptKept))
	}
	if err := p.reserveKnown(ctx, t, int(t.VM.GetOperation().GetParams().GetVmid())); err != nil {
		return 0, err
	}
	return p.mark(ctx, c, t, node, cfg)
}

// mark has our mark written.
func (p *provisioner) mark(ctx context.Context, c *pve.Client, t *bus.Trigger, node string, cfg pve.VMConfig) (bus.Outcome, error) {
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	vmid := int(t.VM.GetOperation().GetParams().GetVmid())
	upid, err := c.SetVMConfig(ctx, node, vmid, markChange(cfg, t.VM))
	if err == nil || pve.KindOf(err) == pve.MaybeCommitted { // a mark that may be there must be found again
		t.VM.Vmid, t.VM.Node, t.VM.Placement = uint32(vmid), node, node //nolint:gosec // G115: it came as a uint32
		t.Overtaken = func(ctx context.Context) error { return p.unmarkLate(ctx, c, t.VM, upid) }
	}
	if err != nil {
		return 0, machine.Explain(err, adoptKept)
	}
	if upid != "" {
		p.started(t, upid, t.Step.To, machine.PurposeConfigure)
	}
	return bus.Recorded, nil
}

// lookAtStranger finds the machine that is to be adopted and refuses one that cannot be.
func (p *provisioner) lookAtStranger(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (node string, cfg pve.VMConfig, err error) {
	vmid := int(vm.GetOperation().GetParams().GetVmid())
	all, err := p.inventories[vm.GetCluster()].list(ctx, 0)
	if err != nil {
		return "", cfg, err
	}
	i := slices.IndexFunc(all.VMs, func(v pve.VM) bool { return v.VMID == vmid })
	if i < 0 {
		return "", cfg, &bus.Refused{
			Cause: fmt.Sprintf("the cluster %s shows no machine %d", vm.GetCluster(), vmid),
			Next:  "Name the VMID of a KVM machine that the API token may see.",
		}
	}
	node = all.VMs[i].Node
	if cfg, err = c.VMConfig(ctx, node, vmid); err != nil {
		return "", cfg, err
	}
	return node, cfg, adoptable(vm, cfg)
}

// adoptable refuses what is somebody else's, or no machine to give to a customer.
func adoptable(vm *vmlinev1.VM, cfg pve.VMConfig) error {
	vmid := vm.GetOperation().GetParams().GetVmid()
	other := machine.MarkIn(cfg)
	switch {
	case cfg.Template():
		return &bus.Refused{Cause: fmt.Sprintf("%d is a template", vmid), Next: "Order a machine that is cloned from it."}
	case other != "" && other != machine.Mark(vm):
		return &bus.Refused{
			Cause: fmt.Sprintf("the machine %d belongs to another VM: its description says %q", vmid, other),
			Next:  "Terminate that VM. If it is not known here any more, take the line out of the machine's description.",
		}
	case cfg.Lock != "":
		return &bus.Refused{Cause: fmt.Sprintf("the machine %d is locked (%s)", vmid, cfg.Lock), Next: "Repeat this when Proxmox has ended what it does with the machine."}
	}
	return nil
}

// reserveKnown reserves a VMID that is given, unless another VM holds it.
func (p *provisioner) reserveKnown(ctx context.Context, t *bus.Trigger, vmid int) error {
	key := vmidKey(t.VM.GetCluster(), vmid)
	err := p.vmids.bucket.Create(ctx, key, reservation(t.VM, p.Bus.Now()))
	if errors.Is(err, bus.ErrTaken) {
		if err := p.vmids.unheld(ctx, t.VM, vmid); err != nil {
			return err
		}
		if !p.vmids.isOurs(ctx, key, t.VM.GetUid()) {
			return fmt.Errorf("the VMID %d was reserved and is free again, it is tried again", vmid)
		}
		err = nil
	}
	return errors.Join(err, p.keep(ctx, t, vmid)) // after a lost answer it may be reserved
}

// unheld refuses a VMID that another VM holds.
func (v *vmids) unheld(ctx context.Context, vm *vmlinev1.VM, vmid int) error {
	held := &vmlinev1.VMIDReservation{}
	_, err := v.bucket.Get(ctx, vmidKey(vm.GetCluster(), vmid), held)
	switch {
	case errors.Is(err, bus.ErrNotFound), err == nil && held.GetUid() == vm.GetUid():
		return nil
	case err != nil:
		return err
	}
	return &bus.Refused{
		Cause: fmt.Sprintf("the VMID %d is reserved for the VM %s", vmid, held.GetRef()),
		Next:  "Terminate that VM first, or choose another machine.",
	}
}

// markChange writes mark and tag and keeps what stands there.
func markChange(cfg pve.VMConfig, vm *vmlinev1.VM) pve.Change {
	ch := pve.Change{Set: map[string]string{}, Digest: cfg.Digest}
	if machine.MarkIn(cfg) == "" {
		ch.Set["description"] = strings.TrimPrefix(strings.TrimRight(cfg.Description(), "\n")+"\n"+machine.Mark(vm), "\n")
	}
	if tags := cfg.Tags(); !slices.Contains(tags, machine.Tag) {
		ch.Set["tags"] = strings.Join(append(tags, machine.Tag), ";")
	}
	return ch
}

// learn fills the VM's state with what the machine is: what the package leaves out is as it is there.
func (p *provisioner) learn(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (bus.Outcome, error) {
	vmid := int(t.VM.GetVmid())
	status, err := c.Status(ctx, found.Node, vmid)
	if err != nil {
		return 0, machine.Explain(err, adoptKept)
	}
	noteStatus(t.VM, status)
	t.VM.WantedPower = t.VM.GetRemoteStatus() // to adopt a machine is not to start it
	have, err := p.strangersFirewall(ctx, c, found.Node, vmid)
	if err != nil {
		return 0, machine.Explain(err, adoptKept)
	}
	t.VM.Node, t.VM.Placement = found.Node, found.Node
	t.VM.AdditionalDiskKey = plan.SecondDisk(found.Config)
	seen(t.VM, found)
	t.VM.Addresses = plan.AddressesOf(found.Config, have)
	plan.Learn(t.VM, found.Config, have)
	return bus.Done, nil
}

// strangersFirewall reads options and IP set; the rules of others are theirs.
func (p *provisioner) strangersFirewall(ctx context.Context, c *pve.Client, node string, vmid int) (have plan.Firewall, err error) {
	if have.Options, err = c.FirewallOptions(ctx, node, vmid); err != nil {
		return have, err
	}
	have.Set, err = c.IPSet(ctx, node, vmid, ipFilterSet)
	if have.HasSet = err == nil; pve.KindOf(err) == pve.Missing {
		err = nil
	}
	return have, err
}
