package lifecycle

import (
	"context"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// part of a machine is taken away by calls that start a task of its purpose. It makes none when there
// is nothing left.
type part struct {
	purpose string
	take    func(context.Context, removal) (pve.UPID, error)
}

// The parts.
var (
	backups     = part{machine.PurposeDeleteBackup, takeBackups}
	snapshots   = part{machine.PurposeDeleteSnap, takeSnapshot}
	power       = part{machine.PurposeStop, takePower}
	unusedDisks = part{machine.PurposeMoveDisk, handOver}
)

// removal is a machine that was found, proven to be ours and is being taken away.
type removal struct {
	*pve.Client
	t     *bus.Trigger
	found machine.Found
	// parking are the machines of the cluster that keep disks which nobody uses.
	parking []int
	// storages returns the storages for backups that the machine's node has.
	storages func(context.Context) ([]string, error)
}

// storagesAge is how old the list of a node's storages may be: terminations that come together share one.
const storagesAge = 10 * time.Second

func (l *lifecycle) removal(c *pve.Client, t *bus.Trigger, found machine.Found) removal {
	cluster := t.VM.GetCluster()
	return removal{c, t, found, l.Parking[cluster], func(ctx context.Context) ([]string, error) {
		return l.storages.Of(cluster+"/"+found.Node).Get(ctx, l.Bus.Now, storagesAge, func() ([]string, error) {
			return c.BackupStorages(ctx, found.Node)
		})
	}}
}

func (r removal) vmid() int { return int(r.t.VM.GetVmid()) }

// takeBackups deletes the VM's backups. They go before the machine, because Proxmox shows them only to
// those who have rights on it. The last task stands for all: deleting twice is harmless, and the next look
// shows what is left.
func takeBackups(ctx context.Context, r removal) (last pve.UPID, err error) {
	all, err := deletable(ctx, r)
	if err != nil {
		return "", err
	}
	for _, b := range all {
		if err := r.t.Current(ctx); err != nil {
			return "", err
		}
		if last, err = r.DeleteBackup(ctx, r.found.Node, b); err != nil {
			return "", err
		}
	}
	return last, nil
}

// backups are all of the VM.
func (r removal) backups(ctx context.Context) ([]pve.Backup, error) {
	storages, err := r.storages(ctx)
	if err != nil {
		return nil, err
	}
	return r.Backups(ctx, r.found.Node, storages, r.vmid())
}

// deletable are the VM's backups. A protected one was meant to stay: a person decides.
func deletable(ctx context.Context, r removal) ([]pve.Backup, error) {
	all, err := r.backups(ctx)
	if err != nil {
		return nil, err
	}
	var protected []string
	for _, b := range all {
		if b.Protected {
			protected = append(protected, b.VolID)
		}
	}
	if len(protected) > 0 {
		return nil, &bus.NeedsPerson{
			Cause: "these backups are protected: " + strings.Join(protected, ", "),
			Kept:  "No backup was deleted and the machine is not destroyed; its addresses and its VMID stay reserved.",
			Next:  "Take the protection away or move the backups, then repeat the termination.",
		}
	}
	return all, nil
}

// takeSnapshot deletes the snapshot that the machine stands on, so the newest first. Others of a branch
// that it does not stand on go with its disks.
func takeSnapshot(ctx context.Context, r removal) (pve.UPID, error) {
	parent := r.found.Config.Values["parent"]
	if parent == "" {
		return "", nil
	}
	if err := r.t.Current(ctx); err != nil {
		return "", err
	}
	upid, err := r.DeleteSnapshot(ctx, r.found.Node, r.vmid(), parent)
	if ordered(err) && chain.Goal(r.t.VM.GetOperation()) == vmlinev1.Operation_KIND_REMOVE {
		r.note("snapshot "+parent, "goes") // from here on the removal is no longer refused: see no
	}
	return upid, err
}

// takePower takes the machine's power away if it was last seen running. Nothing is asked first: stopping a
// stopped machine succeeds, and Proxmox refuses to destroy one that runs.
func takePower(ctx context.Context, r removal) (pve.UPID, error) {
	if r.t.VM.GetRemoteStatus() != running {
		return "", nil
	}
	if err := r.t.Current(ctx); err != nil {
		return "", err
	}
	return r.Stop(ctx, r.found.Node, r.vmid())
}
