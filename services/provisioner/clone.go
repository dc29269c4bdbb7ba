package provisioner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

// clone makes the VM. VMID and node are recorded before the clone is ordered, so that whoever comes
// after a crash, also to terminate, knows where to look. The order itself may be repeated: Proxmox
// makes one VMID only once.
func (p *provisioner) clone(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if t.VM.GetVmid() == 0 {
		return bus.Recorded, p.place(ctx, t, 0)
	}
	done, err := machine.Await(ctx, c, t)
	switch {
	case done == machine.PurposeClone:
		return bus.Done, nil
	case pve.KindOf(err) == pve.Exists, pve.KindOf(err) == pve.Locked:
		return p.inTheWay(ctx, c, t, err)
	case err != nil:
		return 0, machine.Explain(err, "No machine was made. Its addresses and its VMID stay reserved.")
	}
	return p.orderClone(ctx, c, t)
}

// orderClone asks Proxmox for the clone and records the task.
func (p *provisioner) orderClone(ctx context.Context, c *pve.Client, t *bus.Trigger) (bus.Outcome, error) {
	pkg := t.VM.GetPackage()
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	order := pve.CloneOptions{
		NewID: int(t.VM.GetVmid()), Name: pkg.GetName(), Description: machine.Mark(t.VM),
		Full: pkg.GetCloneType() == vmlinev1.CloneType_CLONE_TYPE_FULL,
	}
	if home(t.VM) != t.VM.GetNode() {
		order.Full = true // a linked clone cannot leave its template's local storage
	}
	if order.Full {
		order.Storage = pkg.GetSystemDisk().GetStorage()
	}
	if t.VM.GetNode() != t.VM.GetTemplateNode() {
		order.Target = t.VM.GetNode()
	}
	upid, err := c.Clone(ctx, t.VM.GetTemplateNode(), int(t.VM.GetTemplateVmid()), order)
	switch {
	case pve.KindOf(err) == pve.Exists:
		return p.inTheWay(ctx, c, t, err)
	case err != nil:
		return 0, machine.Explain(err, "No machine was made. Its addresses and its VMID stay reserved.")
	}
	p.started(t, upid, vmlinev1.Status_STATUS_CLONE, machine.PurposeClone)
	return bus.Recorded, nil
}

// inTheWay looks at the machine that has the VMID already. It is ours, whole or still being cloned
// after a crash, or it is somebody else's: then nothing of it is touched and another VMID is taken.
func (p *provisioner) inTheWay(ctx context.Context, c *pve.Client, t *bus.Trigger, cause error) (bus.Outcome, error) {
	found, err := machine.Find(ctx, c, t.VM)
	var foreign *machine.NotOurs
	switch {
	case err == nil && found.Config.Lock == "clone":
		return 0, &bus.RetryAfter{Err: machine.ErrBeingMade, After: time.Second}
	case err == nil:
		return p.adopt(ctx, c, t, found)
	case errors.Is(err, machine.ErrAbsent):
		return 0, fmt.Errorf("the clone did not come about, it is tried again: %w", cause)
	case errors.As(err, &foreign) && foreign.Name != t.VM.GetPackage().GetName():
		return bus.Recorded, p.place(ctx, t, foreign.VMID)
	default:
		return 0, machine.Explain(err, "Its addresses and its VMID stay reserved.")
	}
}

// adopt goes on with a machine that an earlier attempt, or an earlier order, has made. It may even run.
func (p *provisioner) adopt(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (bus.Outcome, error) {
	status, err := c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	t.VM.Node, t.VM.RemoteStatus = found.Node, vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
	if status.Status == "running" {
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	}
	return bus.Done, nil
}

// place chooses template, nodes and VMID and reserves the VMID. avoid is a VMID that turned out to
// be taken; 0 for none.
func (p *provisioner) place(ctx context.Context, t *bus.Trigger, avoid int) error {
	all, choice, tpl, err := p.choose(ctx, t.VM, inventoryAge)
	var no *placement.Impossible
	if errors.As(err, &no) {
		// No person is asked for what may just have been mended.
		all, choice, tpl, err = p.choose(ctx, t.VM, 0)
	}
	if errors.As(err, &no) && !no.Passing {
		return &bus.NeedsPerson{Cause: no.Reason, Kept: nothingMade, Next: no.Next, Err: err}
	}
	if err != nil {
		return machine.Explain(err, nothingMade)
	}
	used := map[int]bool{avoid: true}
	for _, vm := range all.VMs {
		used[vm.VMID] = true
	}
	vmid, fresh, err := p.vmids.reserve(ctx, t.VM, func(id int) bool { return used[id] }, avoid)
	if err != nil {
		return err
	}
	if fresh {
		if err := p.keep(ctx, t, vmid); err != nil {
			return err
		}
	}
	t.VM.Vmid, t.VM.TemplateVmid = uint32(vmid), uint32(tpl.VMID) //nolint:gosec // G115: Proxmox has none above 999,999,999
	t.VM.TemplateNode, t.VM.Node, t.VM.Placement = choice.TemplateNode, choice.CloneNode, choice.Node
	return nil
}

// nothingMade is what a placement that failed leaves behind.
const nothingMade = "Nothing was made yet; the addresses stay reserved."

// choose looks for template and nodes in a list of the cluster's resources that is at most so old.
// keep gives a VMID that was just reserved back if the VM is being taken away meanwhile: the step to
// vmid_released may have looked for it before. A termination that comes later finds it. What another
// worker has recorded already stays.
func (p *provisioner) keep(ctx context.Context, t *bus.Trigger, vmid int) error {
	last, err := p.Bus.Last(ctx, t.VM.GetRef())
	if err != nil {
		return err
	}
	same := last.VM.GetUid() == t.VM.GetUid()
	if same && (last.VM.GetOperation().GetKind() != vmlinev1.Operation_KIND_TERMINATE || int(last.VM.GetVmid()) == vmid) {
		return nil
	}
	if err := p.vmids.release(ctx, t.VM.GetCluster(), vmid, t.VM.GetUid()); err != nil {
		return err
	}
	return fmt.Errorf("reserve a VMID for %s: %w", t.VM.GetRef(), bus.ErrSuperseded)
}

func (p *provisioner) choose(ctx context.Context, vm *vmlinev1.VM, age time.Duration) (all pve.Resources, choice placement.Choice, tpl pve.VM, err error) {
	inv, pkg := p.inventories[vm.GetCluster()], vm.GetPackage()
	if all, err = inv.list(ctx, age); err != nil {
		return
	}
	if tpl, err = placement.Template(all, pkg.GetTemplate(), pkg.GetNode()); err != nil {
		return
	}
	from, err := inv.templateStorages(ctx, tpl)
	if err != nil {
		return
	}
	to := from
	if named := pkg.GetSystemDisk().GetStorage(); named != "" && pkg.GetCloneType() == vmlinev1.CloneType_CLONE_TYPE_FULL {
		to = []string{named}
	}
	memory := int64(pkg.GetMemoryMib()) << 20
	err = p.inFlight.place(vm.GetCluster(), memory, p.Bus.Now(), func(planned map[string]int64) (string, error) {
		choice, err = placement.Choose(all, tpl, from, to, pkg, planned)
		return choice.Node, err
	})
	return all, choice, tpl, err
}
