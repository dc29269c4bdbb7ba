package lifecycle

import (
	"context"
	"errors"
	"slices"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
)

// switches are Proxmox's names of the tasks that switch a machine on or off, by the purpose that they have here.
var switches = map[string][]string{
	machine.PurposeStart: {"qmstart", "hastart"},
	machine.PurposeStop:  {"qmstop", "qmshutdown", "hastop"},
}

// underWay records a task of this purpose that the operation before has left running, and says whether there is
// one. Its UPID may have been lost with the answer to its order, and the machine does not stay as it was just
// seen. Only a cancellation has to look: every other operation goes on in the direction of the one before.
func (l *lifecycle) underWay(ctx context.Context, c *pve.Client, t *bus.Trigger, purpose string) (bool, error) {
	if !t.VM.GetOperation().GetUndoes() {
		return false, nil
	}
	tasks, err := c.ActiveTasks(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if err != nil {
		return false, machine.Explain(err, keptAsIs)
	}
	i := slices.IndexFunc(tasks, func(u pve.UPID) bool { return slices.Contains(switches[purpose], u.Type()) })
	if i < 0 {
		return false, nil
	}
	l.started(t, tasks[i], purpose)
	return true, nil
}

// awaitSwitch is await, where a task of the other purpose may be in flight: that it failed is no failure of this
// step, which looks at the machine.
func (l *lifecycle) awaitSwitch(ctx context.Context, c *pve.Client, t *bus.Trigger, other string) (awaited, error) {
	was := t.VM.GetTask().GetPurpose()
	ended, err := l.await(ctx, c, t)
	var failed *pve.TaskError
	if was == other && errors.As(err, &failed) {
		return awaited{}, nil
	}
	return ended, err
}
