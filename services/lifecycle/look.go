package lifecycle

import (
	"context"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const keptAsIs = "The machine is left as it is."

// newsAge is how old what the step before has seen may be when the next one relies on it.
const newsAge = 10 * time.Second

// lookAgain is how soon a machine is looked at again that is about to change.
const lookAgain = time.Second

// What Proxmox says of a machine's power, as the VM's state shows it.
const (
	running = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	stopped = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
)

// justSeen says that what the operation's step before this one ended with is still news, and nothing has
// failed since. The first step of an operation has seen nothing yet.
func (l *lifecycle) justSeen(t *bus.Trigger) bool {
	first := len(t.VM.GetOperation().GetReached()) < 2
	age := l.Bus.Now().Sub(t.VM.GetUpdatedAt().AsTime())
	return !first && t.VM.GetRetry() == nil && age.Abs() <= newsAge // another process's clock may be ahead
}

// look asks Proxmox for the machine's power, wherever the machine is, and notes what it says.
func (l *lifecycle) look(ctx context.Context, c *pve.Client, t *bus.Trigger) (pve.VMStatus, error) {
	status, err := c.Status(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if kind := pve.KindOf(err); kind == pve.Gone || kind == pve.Unreachable {
		// It may have moved meanwhile.
		found, findErr := machine.Find(ctx, c, t.VM)
		if findErr != nil {
			return pve.VMStatus{}, machine.Explain(findErr, keptAsIs)
		}
		t.VM.Node = found.Node
		status, err = c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	}
	if err != nil {
		return pve.VMStatus{}, machine.Explain(err, keptAsIs)
	}
	t.VM.RemoteLock, t.VM.RemoteStatus = status.Lock, stopped
	if status.Status == "running" {
		t.VM.RemoteStatus = running
	}
	return status, nil
}

// prove finds the machine and proves that it is ours, right before it is touched. A lock of Proxmox is
// waited for.
func (l *lifecycle) prove(ctx context.Context, c *pve.Client, t *bus.Trigger) error {
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return machine.Explain(err, keptAsIs)
	}
	t.VM.Node, t.VM.RemoteLock = found.Node, found.Config.Lock
	if found.Config.Lock != "" {
		return machine.Explain(&machine.Locked{VMID: int(t.VM.GetVmid()), Lock: found.Config.Lock}, keptAsIs)
	}
	return t.Current(ctx)
}

// awaited is the task that a step has found in the VM's state, once it has ended.
type awaited struct {
	// purpose of a task that ended well; "" for none.
	purpose string
	// handed says that the task only told high availability what to do, which does it in its own time.
	handed bool
}

// await waits for the task that the VM's state has recorded.
func (l *lifecycle) await(ctx context.Context, c *pve.Client, t *bus.Trigger) (awaited, error) {
	task := pve.UPID(t.VM.GetTask().GetUpid())
	purpose, err := machine.Await(ctx, c, t)
	return awaited{purpose, task.Type() == "hastart" || task.Type() == "hastop"}, err
}
