package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
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
	found, err := machine.Find(ctx, c, t.VM)
	if errors.Is(err, machine.ErrAbsent) {
		return l.absent(t)
	}
	if err != nil {
		return 0, machine.Explain(err, "Its addresses and its VMID stay reserved.")
	}
	t.VM.Node, t.VM.RemoteLock = found.Node, found.Config.Lock
	if found.Config.Lock != "" {
		return 0, fmt.Errorf("VM %d is locked by Proxmox (%s)", t.VM.GetVmid(), found.Config.Lock)
	}
	if ended == machine.PurposeStop {
		return l.destroy(ctx, c, t, found) // it was without backups and snapshots before it was stopped
	}
	return l.takeApart(ctx, c, t, found)
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

// takeApart makes the first of the calls that are still needed.
func (l *lifecycle) takeApart(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (bus.Outcome, error) {
	for _, part := range []func(context.Context, *pve.Client, *bus.Trigger, machine.Found) (pve.UPID, string, error){
		l.backup, l.snapshot, l.power,
	} {
		upid, purpose, err := part(ctx, c, t, found)
		if err != nil {
			return 0, machine.Explain(err, "The machine is not destroyed; its addresses and its VMID stay reserved.")
		}
		if upid != "" {
			l.started(t, upid, purpose)
			return bus.Recorded, nil
		}
	}
	return l.destroy(ctx, c, t, found)
}

// destroy removes the machine with every disk that its configuration names. Disks that it does not
// name are left alone, even those whose names bear the VMID: they are nobody's that we can prove.
func (l *lifecycle) destroy(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (bus.Outcome, error) {
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.Destroy(ctx, found.Node, int(t.VM.GetVmid()), pve.DestroyOptions{Purge: true})
	if kind := pve.KindOf(err); kind == pve.Gone || kind == pve.Conflict {
		return 0, &bus.RetryAfter{Err: err, After: 0} // it is not as it was a moment ago: look again
	}
	if err != nil {
		return 0, machine.Explain(err, "The machine is not destroyed; its addresses and its VMID stay reserved.")
	}
	l.started(t, upid, machine.PurposeDestroy)
	return bus.Recorded, nil
}

// backup deletes the first of the VM's backups. They go before the machine, because Proxmox shows
// them only to those who have rights on it. A protected one was meant to stay: a person decides.
func (l *lifecycle) backup(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (pve.UPID, string, error) {
	backups, err := c.Backups(ctx, found.Node, int(t.VM.GetVmid()))
	if err != nil || len(backups) == 0 {
		return "", "", err
	}
	var protected []string
	for _, b := range backups {
		if b.Protected {
			protected = append(protected, b.VolID)
		}
	}
	if len(protected) > 0 {
		return "", "", &bus.NeedsPerson{
			Cause: "these backups are protected: " + strings.Join(protected, ", "),
			Kept:  "No backup was deleted and the machine is not destroyed; its addresses and its VMID stay reserved.",
			Next:  "Take the protection away or move the backups, then repeat the termination.",
		}
	}
	if err := t.Current(ctx); err != nil {
		return "", "", err
	}
	upid, err := c.DeleteBackup(ctx, found.Node, backups[0])
	return upid, machine.PurposeDeleteBackup, err
}

// snapshot deletes one snapshot. The configuration's parent says whether there is any.
func (l *lifecycle) snapshot(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (pve.UPID, string, error) {
	parent := found.Config.Values["parent"]
	if parent == "" {
		return "", "", nil
	}
	if err := t.Current(ctx); err != nil {
		return "", "", err
	}
	upid, err := c.DeleteSnapshot(ctx, found.Node, int(t.VM.GetVmid()), parent)
	return upid, machine.PurposeDeleteSnap, err
}

// power takes the machine's power away if it runs.
func (l *lifecycle) power(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found) (pve.UPID, string, error) {
	status, err := c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	if err != nil || status.Status == "stopped" {
		return "", "", err
	}
	if err := t.Current(ctx); err != nil {
		return "", "", err
	}
	upid, err := c.Stop(ctx, found.Node, int(t.VM.GetVmid()))
	return upid, machine.PurposeStop, err
}
