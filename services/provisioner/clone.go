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
// after a crash, also to terminate, knows where to look. A VM that has its VMID and no template is made
// anew under the VMID that it holds.
func (p *provisioner) clone(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if t.VM.GetVmid() == 0 || t.VM.GetTemplateVmid() == 0 {
		return bus.Recorded, p.place(ctx, t, 0)
	}
	done, err := p.await(ctx, c, t)
	switch {
	case done == machine.PurposeClone:
		return bus.Done, nil
	case pve.KindOf(err) == pve.Exists, pve.KindOf(err) == pve.Locked:
		return p.inTheWay(ctx, c, t, err)
	case err != nil:
		return 0, machine.Explain(err, cloneKept)
	}
	if t.VM.GetRetry().GetAttempts() > 0 {
		// The answer to an earlier order may have been lost: what it led to is looked for first.
		found, err := machine.Find(ctx, c, t.VM)
		if !errors.Is(err, machine.ErrAbsent) {
			return p.met(ctx, c, t, found, err)
		}
	}
	if err := p.placeTaken(ctx, t.VM); err != nil {
		var no *placement.Impossible
		if !errors.As(err, &no) {
			return 0, machine.Explain(err, nothingMade)
		}
		p.Logger.Info("the VM gets another place", "ref", t.VM.GetRef(), "error", err)
		return bus.Recorded, p.place(ctx, t, 0)
	}
	return p.orderClone(ctx, c, t)
}

// cloneKept is what a clone that failed leaves behind.
const cloneKept = "No machine was made. Its addresses and its VMID stay reserved."

// placeTaken says why the VM's place is taken after all, as *placement.Impossible, where the cluster has
// limits. What cannot be read now is no permission to clone.
func (p *provisioner) placeTaken(ctx context.Context, vm *vmlinev1.VM) error {
	inv := p.inventories[vm.GetCluster()]
	if inv.rules.limits() == (placement.Limits{}) {
		return nil
	}
	all, err := inv.list(ctx, inventoryAge)
	if err != nil {
		return err
	}
	return p.inFlight.over(ctx, vm, placement.Inventory{Resources: all, Limits: inv.rules.limits()})
}

// orderClone asks Proxmox for the clone, when its turn has come, and records the task.
func (p *provisioner) orderClone(ctx context.Context, c *pve.Client, t *bus.Trigger) (bus.Outcome, error) {
	order := p.cloneOrder(t.VM)
	turn, err := p.turn(ctx, t, p.cloneUses(ctx, t.VM))
	if err != nil {
		return 0, err
	}
	defer turn.end(ctx)
	if err := p.overtaken(ctx, t, turn); err != nil {
		return 0, err
	}
	upid, err := c.Clone(ctx, t.VM.GetTemplateNode(), int(t.VM.GetTemplateVmid()), order)
	switch {
	case pve.KindOf(err) == pve.Exists:
		outcome, err := p.inTheWay(ctx, c, t, err)
		if errors.Is(err, machine.ErrBeingMade) {
			turn.runs() // whoever has ordered it
		}
		return outcome, err
	case pve.KindOf(err) == pve.MaybeCommitted:
		turn.runs() // perhaps
		return 0, err
	case err != nil:
		return 0, machine.Explain(err, cloneKept)
	}
	turn.runs()
	p.started(t, upid, vmlinev1.Status_STATUS_CLONE, machine.PurposeClone)
	return bus.Recorded, nil
}

func (p *provisioner) cloneOrder(vm *vmlinev1.VM) pve.CloneOptions {
	pkg := vm.GetPackage()
	order := pve.CloneOptions{NewID: int(vm.GetVmid()), Name: pkg.GetName(), Description: machine.Mark(vm), Full: copies(vm)}
	if order.Full {
		order.Storage = pkg.GetSystemDisk().GetStorage()
	}
	if vm.GetNode() != vm.GetTemplateNode() {
		order.Target = vm.GetNode()
	}
	return order
}

// copies says that the VM's clone is a full one. A linked clone cannot leave its template's local storage.
func copies(vm *vmlinev1.VM) bool {
	return vm.GetPackage().GetCloneType() == vmlinev1.CloneType_CLONE_TYPE_FULL || home(vm) != vm.GetNode()
}

// inTheWay looks at the machine that has the VMID already. It is ours, whole or still being cloned
// after a crash, or it is somebody else's: then nothing of it is touched and another VMID is taken.
func (p *provisioner) inTheWay(ctx context.Context, c *pve.Client, t *bus.Trigger, cause error) (bus.Outcome, error) {
	found, err := machine.Find(ctx, c, t.VM)
	if errors.Is(err, machine.ErrAbsent) {
		return 0, fmt.Errorf("the clone did not come about, it is tried again: %w", cause)
	}
	return p.met(ctx, c, t, found, err)
}

// met goes on with what was found under the VM's VMID.
func (p *provisioner) met(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found, err error) (bus.Outcome, error) {
	var foreign *machine.NotOurs
	switch {
	case err == nil && found.Config.Lock == "clone":
		p.keepTurn(ctx, t.VM) // a clone whose task nobody knows still loads its storage
		return 0, &bus.RetryAfter{Err: machine.ErrBeingMade, After: time.Second}
	case err == nil:
		return p.adopt(ctx, c, t, found)
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
