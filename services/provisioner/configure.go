package provisioner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// carriedByOneCall are the steps whose settings the first step's one configuration call carries as
// well. They publish their status without a call.
var carriedByOneCall = []vmlinev1.Status{
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_NETWORK,
}

// carriedBy returns the steps that are done once the plan's call is made: also those about a size,
// where the disk is large enough, and set_cloudinit of a machine that stands still and whose MAC is known.
// One that runs has its drive written anew by that step, and an unknown MAC is read by it.
func carriedBy(todo plan.Plan, vm *vmlinev1.VM) []vmlinev1.Status {
	carried := slices.Clone(carriedByOneCall)
	if vm.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING && vm.GetMac() != "" {
		carried = append(carried, vmlinev1.Status_STATUS_SET_CLOUDINIT)
	}
	for _, d := range []struct {
		key  string
		size vmlinev1.Status
	}{
		{todo.SystemDisk, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE},
		{todo.AdditionalDisk, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE},
	} {
		if _, small := todo.Grow[d.key]; !small {
			carried = append(carried, d.size)
		}
	}
	return carried
}

// configure makes the machine's configuration what the package says, in one call and one resize of
// each disk that is too small. It serves every step that is about the configuration: the first one
// of an operation does the work for all of them, those that it carried pass, and a step that runs
// alone (after a crash, from a button) does its own part.
func (p *provisioner) configure(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if slices.Contains(t.VM.GetCarried(), t.Step.To) {
		if t.Step.To == vmlinev1.Status_STATUS_SET_CLOUDINIT {
			enlarged(t.VM)
		}
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
	if ended == machine.PurposeResize && slices.Contains(chain.Ahead(t.VM.GetOperation())[1:], vmlinev1.Status_STATUS_SET_CLOUDINIT) {
		return bus.Done, nil // that step notes the size
	}
	found, err := p.find(ctx, c, t)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	todo, err := p.plan(t, found, ended != machine.PurposeConfigure)
	if err != nil {
		return 0, err
	}
	return (&configuring{provisioner: p, c: c, t: t, found: found, todo: todo}).run(ctx)
}

// find finds the machine, proves that it is ours and notes when.
func (p *provisioner) find(ctx context.Context, c *pve.Client, t *bus.Trigger) (machine.Found, error) {
	now := timestamppb.New(p.Bus.Now())
	found, err := machine.Find(ctx, c, t.VM)
	if err == nil {
		t.VM.Node, t.VM.ProvenAt = found.Node, now
	}
	return found, err
}

// configuring is one machine whose configuration is being set.
type configuring struct {
	*provisioner
	c     *pve.Client
	t     *bus.Trigger
	found machine.Found
	todo  plan.Plan
}

func (w *configuring) run(ctx context.Context) (bus.Outcome, error) {
	vm := w.t.VM
	vm.RemoteLock = w.found.Config.Lock
	if settled := len(vm.GetCarried()) > 0; w.todo.HasChange() || !settled { // else the operation has looked already
		if outcome, err := w.settle(ctx); err != nil || outcome == bus.Recorded {
			return outcome, err
		}
	}
	w.see()
	vm.Carried = carriedBy(w.todo, vm)
	return w.grow(ctx)
}

// settle makes the change and sees that a running machine has taken it.
func (w *configuring) settle(ctx context.Context) (bus.Outcome, error) {
	runs, err := w.runs(ctx, w.c, w.t)
	if err != nil {
		return 0, err
	}
	if w.todo.HasChange() {
		if upid, err := w.change(ctx, runs); err != nil || upid != "" {
			return bus.Recorded, err
		}
	}
	if !runs || builds(w.t.VM.GetOperation()) {
		return bus.Done, nil
	}
	return bus.Done, w.taken(ctx)
}

// change makes the one call. The UPID is empty where Proxmox has done it at once.
func (w *configuring) change(ctx context.Context, runs bool) (pve.UPID, error) {
	if needStop := plan.NeedStop(w.found.Config, w.todo.Change); runs && len(needStop) > 0 {
		return "", mustStop(w.t, needStop)
	}
	if err := w.t.Current(ctx); err != nil {
		return "", err
	}
	sent := timestamppb.New(w.Bus.Now())
	upid, err := w.c.SetVMConfig(ctx, w.found.Node, int(w.t.VM.GetVmid()), w.todo.Change)
	if err != nil {
		return "", machine.Explain(err, kept)
	}
	w.t.VM.ProvenAt = sent // Proxmox has taken it for the very configuration that was read, by its digest
	if upid != "" {
		w.started(w.t, upid, w.t.Step.To, machine.PurposeConfigure)
	}
	return upid, nil
}

// mustStop refuses, or parks where something was changed already, what a running machine would take
// only at its next stop.
func mustStop(t *bus.Trigger, keys []string) error {
	cause := fmt.Sprintf("VM %d runs, and these settings need it stopped: %s", t.VM.GetVmid(), strings.Join(keys, ", "))
	if untouched(t.VM.GetOperation()) {
		return &bus.Refused{Cause: cause, Next: "Stop the machine first, or change its package, which stops it where that is needed."}
	}
	return &bus.NeedsPerson{
		Cause: cause, Kept: "Nothing was changed on the machine. " + kept,
		Next: "Stop the machine, then retry the operation.",
	}
}

// untouched says that an operation on a finished machine has changed nothing yet.
func untouched(op *vmlinev1.Operation) bool {
	return !builds(op) && len(op.GetReached()) <= 1 && op.GetBefore().GetStatus() == vmlinev1.Status_STATUS_READY
}

// taken looks whether a running machine has taken what was set. The configuration shows all of it, also
// what waits for the next stop.
func (w *configuring) taken(ctx context.Context) error {
	if w.todo.Parts == plan.CloudInit {
		return nil // of that Proxmox keeps nothing back
	}
	pending, err := w.c.Pending(ctx, w.found.Node, int(w.t.VM.GetVmid()))
	if err != nil {
		return machine.Explain(err, kept)
	}
	if waiting := plan.Waiting(pending, w.todo); len(waiting) > 0 {
		return &bus.NeedsPerson{
			Cause: fmt.Sprintf("VM %d runs and has not taken these settings: %s", w.t.VM.GetVmid(), strings.Join(waiting, ", ")),
			Kept:  "They are in its configuration and take effect at its next stop. " + kept,
			Next:  "Stop and start the machine, then retry the operation.",
		}
	}
	return nil
}

// see notes what identifies the machine from now on, and the sizes of its disks.
func (w *configuring) see() {
	found := w.found
	if card, ok := w.todo.Change.Set["net0"]; ok { // it was just set
		found.Config.Values = maps.Clone(found.Config.Values)
		found.Config.Values["net0"] = card
	}
	seen(w.t.VM, found)
}

// seen notes what identifies the machine from now on. It is called once the machine has its tag.
func seen(vm *vmlinev1.VM, found machine.Found) {
	if nic, err := found.Config.Net("net0"); err == nil && nic.MAC != "" {
		vm.Mac = nic.MAC
	}
	genid := found.Config.VMGenID()
	if vm.GetVmgenid() != "" && vm.GetVmgenid() != genid {
		vm.Warnings = append(vm.Warnings, "the machine was rolled back to a snapshot or restored from a backup")
	}
	vm.Vmgenid = genid
	vm.SystemDiskGb, vm.AdditionalDiskGb = plan.Sizes(found.Config, vm)
}

// enlarged notes the sizes that the operation's calls have made of the disks.
func enlarged(vm *vmlinev1.VM) {
	pkg := vm.GetPackage()
	if chain.Passed(vm, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE) {
		vm.SystemDiskGb = max(vm.GetSystemDiskGb(), pkg.GetSystemDisk().GetSizeGb())
	}
	if chain.Passed(vm, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE) {
		vm.AdditionalDiskGb = max(vm.GetAdditionalDiskGb(), pkg.GetAdditionalDisk().GetSizeGb())
	}
}

// recognized is seen of a machine whose tag may be missing, because a person has taken the chain up after the steps
// that set it. Until it has one, its mark alone proves it.
func recognized(vm *vmlinev1.VM, found machine.Found) {
	if slices.Contains(found.Config.Tags(), machine.Tag) {
		seen(vm, found)
	}
}

// grow enlarges the first disk that is too small. A resize that belongs to a later step is only started:
// that step waits for it.
func (w *configuring) grow(ctx context.Context) (bus.Outcome, error) {
	if len(w.todo.Grow) == 0 {
		return w.regenerate(ctx)
	}
	disk, step := w.todo.SystemDisk, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE
	if _, system := w.todo.Grow[disk]; !system {
		disk, step = w.todo.AdditionalDisk, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE
	}
	if err := w.t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := w.c.Resize(ctx, w.found.Node, int(w.t.VM.GetVmid()), disk, w.todo.Grow[disk], "")
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	if slices.Contains(chain.Ahead(w.t.VM.GetOperation())[1:], step) {
		w.started(w.t, upid, step, machine.PurposeResize)
		return bus.Done, nil
	}
	w.started(w.t, upid, w.t.Step.To, machine.PurposeResize)
	return bus.Recorded, nil
}

// regenerate writes the cloud-init drive of a running machine anew, so that nothing of it is pending. A
// machine that is stopped gets a new drive with its start. Proxmox does not show every change of it, so
// only a machine that is just being built, and may run because its order is repeated, is asked.
func (w *configuring) regenerate(ctx context.Context) (bus.Outcome, error) {
	vmid := int(w.t.VM.GetVmid())
	if w.t.Step.To != vmlinev1.Status_STATUS_SET_CLOUDINIT || w.t.VM.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING {
		return bus.Done, nil
	}
	if builds(w.t.VM.GetOperation()) {
		pending, err := w.c.CloudInitPending(ctx, w.found.Node, vmid)
		if err != nil || len(pending) == 0 {
			return bus.Done, machine.Explain(err, kept)
		}
	}
	if err := w.t.Current(ctx); err != nil {
		return 0, err
	}
	return bus.Done, machine.Explain(w.c.RegenerateCloudInit(ctx, w.found.Node, vmid), kept)
}

// runs says whether the machine runs. Nobody but us starts one that this operation builds, or has stopped.
func (p *provisioner) runs(ctx context.Context, c *pve.Client, t *bus.Trigger) (bool, error) {
	if builds(t.VM.GetOperation()) || chain.Passed(t.VM, vmlinev1.Status_STATUS_STOPPED) {
		return t.VM.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING, nil
	}
	status, err := c.Status(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if err != nil {
		return false, machine.Explain(err, kept)
	}
	noteStatus(t.VM, status)
	return status.Status == "running", nil
}

func noteStatus(vm *vmlinev1.VM, status pve.VMStatus) {
	vm.RemoteStatus, vm.RemoteLock = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED, status.Lock
	if status.Status == "running" {
		vm.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	}
}
