package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// What a failed removal leaves behind.
const (
	keptReserved = "Its addresses and its VMID stay reserved."
	keptWhole    = "The machine is not destroyed; its addresses and its VMID stay reserved."
)

// manner is how a kind of operation takes a machine away, and what of it stays.
type manner struct {
	// parts are taken in this order. When a task of one has ended well, those before it are gone already.
	parts []part
	// purge takes the VMID out of backup jobs, replication and high availability: it will not come back.
	purge bool
	// objects returns why the removal cannot begin. It is asked before anything is taken.
	objects func(context.Context, removal) error
}

// manners by the goal of the operation.
var manners = map[vmlinev1.Operation_Kind]manner{
	vmlinev1.Operation_KIND_TERMINATE: {parts: []part{backups, snapshots, power}, purge: true},
	vmlinev1.Operation_KIND_REINSTALL: {parts: []part{snapshots, power}},
	vmlinev1.Operation_KIND_REDEPLOY:  {parts: []part{snapshots, power}},
	vmlinev1.Operation_KIND_REMOVE:    {parts: []part{snapshots, unusedDisks}, objects: objection},
}

// remove takes the machine away: what its operation's manner says, then the machine itself. Each call is
// made right after the machine was found and proven to be ours, each task is recorded and the look
// starts anew when it has ended. It is done when Proxmox itself confirms that the machine is gone: its task
// to destroy it, which ends with the configuration, has ended well, or no guest has the VMID.
func (l *lifecycle) remove(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if t.VM.GetVmid() == 0 {
		return bus.Done, nil // no VMID was ever recorded, so no clone was ever ordered
	}
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := l.endTask(ctx, c, t)
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	if ended == machine.PurposeDestroy {
		return l.absent(t)
	}
	found, err := machine.Find(ctx, c, t.VM)
	if errors.Is(err, machine.ErrAbsent) {
		return l.absent(t)
	}
	if err != nil {
		return 0, machine.Explain(err, keptReserved)
	}
	t.VM.Node, t.VM.RemoteLock = found.Node, found.Config.Lock
	if lock := found.Config.Lock; lock != "" {
		return 0, machine.Explain(&machine.Locked{VMID: int(t.VM.GetVmid()), Lock: lock}, keptWhole)
	}
	return l.takeApart(ctx, t, l.removal(c, t, found), ended)
}

// absent ends the step, unless a clone that was ordered may still be on its way.
func (l *lifecycle) absent(t *bus.Trigger) (bus.Outcome, error) {
	if at := t.VM.GetSettleAt(); at != nil {
		if wait := at.AsTime().Sub(l.Bus.Now()); wait > 0 {
			return 0, &bus.Waiting{After: min(wait, lookAgain), Reason: fmt.Sprintf(
				"VM %d is not there, but its clone had been ordered when the termination came; it is looked for again until %s",
				t.VM.GetVmid(), at.AsTime().Format(time.TimeOnly))}
		}
	}
	forget(t.VM)
	return bus.Done, nil
}

// forget takes out of the state what was seen of a machine that is gone. Its VMID, its addresses and its
// MAC may be another's soon, which is made for the same VM.
func forget(vm *vmlinev1.VM) {
	vm.RemoteStatus, vm.RemoteLock, vm.SettleAt, vm.ProvenAt = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, "", nil, nil
	vm.Vmgenid, vm.SystemDiskGb, vm.AdditionalDiskGb, vm.Drift = "", 0, 0, nil
}

// endTask waits for the task in flight and returns the purpose of one that ended well. What a create
// has left running is stopped first: nobody needs its result any more.
func (l *lifecycle) endTask(ctx context.Context, c *pve.Client, t *bus.Trigger) (purpose string, err error) {
	task := t.VM.GetTask()
	if task == nil {
		return "", nil
	}
	left := task.GetStep() != t.Step.To
	if left {
		if err := c.StopTask(ctx, pve.UPID(task.GetUpid())); err != nil && pve.KindOf(err) != pve.TaskUnknown {
			return "", err
		}
	}
	purpose, err = machine.Await(ctx, c, t)
	var failed *pve.TaskError
	if left && errors.As(err, &failed) {
		return "", nil
	}
	// A task of ours that failed because its object is gone is what was wanted.
	if kind := pve.KindOf(err); kind == pve.Gone || kind == pve.Missing {
		return "", nil
	}
	return purpose, err
}

// takeApart makes the first of the calls that are still needed.
func (l *lifecycle) takeApart(ctx context.Context, t *bus.Trigger, r removal, ended string) (bus.Outcome, error) {
	how := manners[chain.Goal(t.VM.GetOperation())]
	if how.objects != nil && ended == "" {
		if err := how.objects(ctx, r); err != nil {
			return 0, machine.Explain(err, keptWhole)
		}
	}
	done := max(0, slices.IndexFunc(how.parts, func(p part) bool { return p.purpose == ended }))
	if ended == machine.PurposeStop {
		done++ // whether the machine still runs, its destruction shows
		t.VM.RemoteStatus = stopped
	}
	for _, p := range how.parts[done:] {
		upid, err := p.take(ctx, r)
		if err != nil {
			return 0, machine.Explain(err, keptWhole)
		}
		if upid != "" {
			l.started(t, upid, p.purpose)
			return bus.Recorded, nil
		}
	}
	return l.destroy(ctx, t, r, how.purge, ended)
}

// destroy removes the machine with every disk that its configuration names. Disks that it does not
// name are left alone, even those whose names bear the VMID: they are nobody's that we can prove.
func (l *lifecycle) destroy(ctx context.Context, t *bus.Trigger, r removal, purge bool, ended string) (bus.Outcome, error) {
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := r.Destroy(ctx, r.found.Node, r.vmid(), pve.DestroyOptions{Purge: purge})
	switch again := (&bus.RetryAfter{Err: err}); pve.KindOf(err) {
	case pve.Gone: // it is not where it was a moment ago
		return 0, again
	case pve.Conflict: // it runs
		t.VM.RemoteStatus = running
		if ended == machine.PurposeStop {
			again.After = lookAgain // high availability stops it in its own time
		}
		return 0, again
	}
	if err != nil {
		return 0, machine.Explain(err, keptWhole)
	}
	l.started(t, upid, machine.PurposeDestroy)
	return bus.Recorded, nil
}
