package provisioner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// carriedByOneCall are the steps whose settings the first step's one configuration call carries as
// well. They publish their status without a call. set_cloudinit is not among them although its
// settings are: the configuration is read once more, by this step or by the one to set_firewall,
// and so verified before the start.
var carriedByOneCall = []vmlinev1.Status{
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_NETWORK,
}

// carriedBy returns the steps that are done once the plan's call is made: also those about a size,
// where the disk is large enough.
func carriedBy(todo plan.Plan) []vmlinev1.Status {
	carried := slices.Clone(carriedByOneCall)
	_, system := todo.Grow[todo.SystemDisk]
	if !system {
		carried = append(carried, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE)
	}
	if others := len(todo.Grow); others == 0 || (system && others == 1) {
		carried = append(carried, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE)
	}
	return carried
}

// configure makes the machine's configuration what the package says, in one call and one resize of
// each disk that is too small. It serves every step that is about the configuration: the first one
// does the work, those that it carried pass, and a step that runs alone (after a crash, from a
// button) does what is missing then.
func (p *provisioner) configure(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if slices.Contains(t.VM.GetCarried(), t.Step.To) {
		return bus.Done, nil
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := machine.Await(ctx, c, t)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	if ended == machine.PurposeResize && t.Step.To == vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE {
		return bus.Done, nil
	}
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	fresh := t.Step.To == vmlinev1.Status_STATUS_SET_CPU_RAM && ended != machine.PurposeConfigure &&
		t.VM.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING // one that runs has had its password
	return p.converge(ctx, c, t, found, fresh)
}

func (p *provisioner) converge(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found, fresh bool) (bus.Outcome, error) {
	todo, err := p.plan(t.VM, found, fresh)
	if err != nil {
		return 0, err
	}
	t.VM.Node, t.VM.RemoteLock = found.Node, found.Config.Lock
	if len(todo.Change.Set) > 0 {
		if err := stopped(t, todo); err != nil {
			return 0, err
		}
		if err := t.Current(ctx); err != nil {
			return 0, err
		}
		upid, err := c.SetVMConfig(ctx, found.Node, int(t.VM.GetVmid()), todo.Change)
		if err != nil {
			return 0, machine.Explain(err, kept)
		}
		if upid != "" {
			p.started(t, upid, t.Step.To, machine.PurposeConfigure)
			return bus.Recorded, nil
		}
	}
	t.VM.Carried = carriedBy(todo)
	seen(t.VM, found)
	return p.grow(ctx, c, t, todo)
}

// seen notes what identifies the machine from now on. It is called once the machine has its tag.
func seen(vm *vmlinev1.VM, found machine.Found) {
	if nic, err := found.Config.Net("net0"); err == nil {
		vm.Mac = nic.MAC
	}
	vm.Vmgenid = found.Config.VMGenID()
}

// stopped holds the table's precondition: what a step marked ** sets, a running machine would take
// only at its next stop. A machine that was just cloned is stopped.
func stopped(t *bus.Trigger, todo plan.Plan) error {
	if t.Step.Power != chain.Stopped || t.VM.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING {
		return nil
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("VM %d runs, and these settings need it stopped: %s", t.VM.GetVmid(), strings.Join(todo.Keys(), ", ")),
		Kept:  "Nothing was changed on the machine. " + kept,
		Next:  "Stop the machine on Proxmox, then repeat the order.",
	}
}

// plan works out what is missing. A fresh machine gets its password even if the configuration has
// one, because that one came with the template.
func (p *provisioner) plan(vm *vmlinev1.VM, found machine.Found, fresh bool) (plan.Plan, error) {
	password := ""
	if sealed := vm.GetPackage().GetCloudInit().GetSealedPassword(); len(sealed) > 0 {
		opened, err := p.Opener.Open(sealed)
		if err != nil {
			return plan.Plan{}, &bus.NeedsPerson{
				Cause: "the order's password cannot be opened with this service's key", Kept: kept, Err: err,
				Next: "Give gateway and provisioner the same key pair, then repeat the order with its password.",
			}
		}
		password = string(opened)
	}
	todo, err := plan.Make(found.Config, vm, plan.Options{Password: password, Fresh: fresh})
	if err != nil { // a plan is pure: the same configuration would fail again
		return plan.Plan{}, &bus.NeedsPerson{
			Cause: fmt.Sprintf("VM %d cannot be configured: %v", vm.GetVmid(), err), Err: err,
			Kept: "Nothing was changed on the machine. " + kept, Next: "Correct the package or the template, then repeat the order.",
		}
	}
	return todo, nil
}

// grow enlarges the first disk that is too small. On the first step the system disk's resize is
// only started: the step that it belongs to waits for it.
func (p *provisioner) grow(ctx context.Context, c *pve.Client, t *bus.Trigger, todo plan.Plan) (bus.Outcome, error) {
	if len(todo.Grow) == 0 {
		return bus.Done, nil
	}
	disk := slices.Sorted(maps.Keys(todo.Grow))[0]
	_, system := todo.Grow[todo.SystemDisk]
	if system {
		disk = todo.SystemDisk
	}
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.Resize(ctx, t.VM.GetNode(), int(t.VM.GetVmid()), disk, todo.Grow[disk], "")
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	if system && t.Step.To == vmlinev1.Status_STATUS_SET_CPU_RAM {
		p.started(t, upid, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, machine.PurposeResize)
		return bus.Done, nil
	}
	p.started(t, upid, t.Step.To, machine.PurposeResize)
	return bus.Recorded, nil
}
