package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// What a failed removal leaves behind.
const (
	keptReserved = "Its addresses and its VMID stay reserved."
	keptWhole    = "The machine is not destroyed; its addresses and its VMID stay reserved."
)

// lookAgain is how soon a VM that may still appear is looked for again.
const lookAgain = time.Second

// remove takes the machine away: backups, snapshots, power, the machine itself. Each call is made
// right after the machine was found and proven to be ours, each task is recorded and the look
// starts anew when it has ended. It is done when Proxmox itself confirms that no guest has the VMID.
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
		// Its node has just said that it is gone; now the whole cluster is asked.
		if free, err := c.VMIDFree(ctx, int(t.VM.GetVmid())); err == nil && free {
			return l.absent(t)
		}
	}
	found, err := machine.Find(ctx, c, t.VM)
	if errors.Is(err, machine.ErrAbsent) {
		return l.absent(t)
	}
	if err != nil {
		return 0, machine.Explain(err, keptReserved)
	}
	t.VM.Node, t.VM.RemoteLock = found.Node, found.Config.Lock
	if found.Config.Lock != "" {
		return 0, fmt.Errorf("VM %d is locked by Proxmox (%s)", t.VM.GetVmid(), found.Config.Lock)
	}
	return l.takeApart(ctx, t, removal{c, t, found}, ended)
}

// absent ends the step, unless a clone that was ordered may still be on its way.
func (l *lifecycle) absent(t *bus.Trigger) (bus.Outcome, error) {
	if at := t.VM.GetSettleAt(); at != nil {
		if wait := at.AsTime().Sub(l.Bus.Now()); wait > 0 {
			return 0, &bus.RetryAfter{After: min(wait, lookAgain), Err: fmt.Errorf(
				"VM %d is not there, but its clone had been ordered when the termination came; it is looked for again until %s",
				t.VM.GetVmid(), at.AsTime().Format(time.TimeOnly))}
		}
	}
	t.VM.RemoteStatus, t.VM.RemoteLock, t.VM.SettleAt = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, "", nil
	t.VM.Vmgenid = "" // the next machine of this VM has another
	return bus.Done, nil
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

// part of a machine is taken away by calls that start a task of its purpose. It makes none when there
// is nothing left.
type part struct {
	purpose string
	take    func(removal, context.Context) (pve.UPID, error)
}

// parts go in this order. When a task of one has ended well, those before it are gone already.
var parts = []part{
	{machine.PurposeDeleteBackup, removal.backups},
	{machine.PurposeDeleteSnap, removal.snapshot},
	{machine.PurposeStop, removal.power},
}

// takeApart makes the first of the calls that are still needed.
func (l *lifecycle) takeApart(ctx context.Context, t *bus.Trigger, r removal, ended string) (bus.Outcome, error) {
	done := max(0, slices.IndexFunc(parts, func(p part) bool { return p.purpose == ended }))
	if ended == machine.PurposeStop {
		done++ // whether the machine still runs, its destruction shows
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
	}
	for _, p := range parts[done:] {
		upid, err := p.take(r, ctx)
		if err != nil {
			return 0, machine.Explain(err, keptWhole)
		}
		if upid != "" {
			l.started(t, upid, p.purpose)
			return bus.Recorded, nil
		}
	}
	return l.destroy(ctx, t, r, ended)
}

// destroy removes the machine with every disk that its configuration names. Disks that it does not
// name are left alone, even those whose names bear the VMID: they are nobody's that we can prove.
func (l *lifecycle) destroy(ctx context.Context, t *bus.Trigger, r removal, ended string) (bus.Outcome, error) {
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := r.Destroy(ctx, r.found.Node, r.vmid(), pve.DestroyOptions{Purge: true})
	switch again := (&bus.RetryAfter{Err: err}); pve.KindOf(err) {
	case pve.Gone: // it is not where it was a moment ago
		return 0, again
	case pve.Conflict: // it runs
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
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

// removal is a machine that was found, proven to be ours and is being taken away.
type removal struct {
	*pve.Client
	t     *bus.Trigger
	found machine.Found
}

func (r removal) vmid() int { return int(r.t.VM.GetVmid()) }

// backups deletes the VM's backups. They go before the machine, because Proxmox shows them only to
// those who have rights on it. A protected one was meant to stay: a person decides. The last task
// stands for all: deleting twice is harmless, and the next look shows what is left.
func (r removal) backups(ctx context.Context) (pve.UPID, error) {
	backups, err := r.Backups(ctx, r.found.Node, r.vmid())
	if err != nil || len(backups) == 0 {
		return "", err
	}
	var protected []string
	for _, b := range backups {
		if b.Protected {
			protected = append(protected, b.VolID)
		}
	}
	if len(protected) > 0 {
		return "", &bus.NeedsPerson{
			Cause: "these backups are protected: " + strings.Join(protected, ", "),
			Kept:  "No backup was deleted and the machine is not destroyed; its addresses and its VMID stay reserved.",
			Next:  "Take the protection away or move the backups, then repeat the termination.",
		}
	}
	var last pve.UPID
	for _, b := range backups {
		if err := r.t.Current(ctx); err != nil {
			return "", err
		}
		if last, err = r.DeleteBackup(ctx, r.found.Node, b); err != nil {
			return "", err
		}
	}
	return last, nil
}

// snapshot deletes the snapshot that the machine stands on, so the newest first. Others of a branch
// that it does not stand on go with its disks.
func (r removal) snapshot(ctx context.Context) (pve.UPID, error) {
	parent := r.found.Config.Values["parent"]
	if parent == "" {
		return "", nil
	}
	if err := r.t.Current(ctx); err != nil {
		return "", err
	}
	return r.DeleteSnapshot(ctx, r.found.Node, r.vmid(), parent)
}

// power takes the machine's power away if it was last seen running. Nothing is asked first: stopping a
// stopped machine succeeds, and Proxmox refuses to destroy one that runs.
func (r removal) power(ctx context.Context) (pve.UPID, error) {
	if r.t.VM.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING {
		return "", nil
	}
	if err := r.t.Current(ctx); err != nil {
		return "", err
	}
	return r.Stop(ctx, r.found.Node, r.vmid())
}
