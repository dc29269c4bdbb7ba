package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// defaultPatience is how long a guest may take to shut down where the command does not say.
const defaultPatience = time.Minute

// patience is how long the guest may take to shut down.
func patience(vm *vmlinev1.VM) time.Duration {
	if s := vm.GetOperation().GetParams().GetTimeoutSeconds(); s > 0 {
		return time.Duration(s) * time.Second
	}
	return defaultPatience
}

// off takes the machine's power away. The guest is asked to shut down first, and Proxmox ends it when
// its time is over, in one call. Nothing is called when the machine does not run.
func (l *lifecycle) off(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := l.awaitSwitch(ctx, c, t, machine.PurposeStart)
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	if ended.purpose == machine.PurposeStop && !ended.handed {
		t.VM.RemoteStatus = stopped
	}
	if t.VM.GetRemoteStatus() == stopped && (ended.purpose == machine.PurposeStop || l.justStopped(t)) {
		return bus.Done, nil
	}
	status, err := l.look(ctx, c, t)
	if err != nil {
		return 0, err
	}
	if t.VM.GetRemoteStatus() == stopped {
		if starts, err := l.underWay(ctx, c, t, machine.PurposeStart); starts || err != nil {
			return bus.Recorded, err
		}
		return bus.Done, nil
	}
	if ended.handed {
		return 0, &bus.RetryAfter{Err: fmt.Errorf("high availability has not stopped VM %d yet", t.VM.GetVmid()), After: lookAgain}
	}
	return l.cut(ctx, c, t, hard(t.VM) || status.QMPStatus == "paused")
}

// justStopped says that the step before this one has stopped the machine.
func (l *lifecycle) justStopped(t *bus.Trigger) bool {
	return t.VM.GetStatus() == vmlinev1.Status_STATUS_STOPPED && l.justSeen(t)
}

// hard says whether the guest is not asked: a stop was ordered, or a suspended machine was started
// behind our back.
func hard(vm *vmlinev1.VM) bool {
	op := vm.GetOperation()
	return chain.Goal(op) == vmlinev1.Operation_KIND_STOP || op.GetBefore().GetStatus() == vmlinev1.Status_STATUS_SUSPENDED
}

// cut orders the stop. A guest that is paused cannot shut down, so it is never asked.
func (l *lifecycle) cut(ctx context.Context, c *pve.Client, t *bus.Trigger, hard bool) (bus.Outcome, error) {
	if err := l.prove(ctx, c, t); err != nil {
		return 0, err
	}
	var (
		upid pve.UPID
		err  error
	)
	if hard {
		upid, err = c.Stop(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	} else {
		upid, err = c.Shutdown(ctx, t.VM.GetNode(), int(t.VM.GetVmid()), patience(t.VM), true)
	}
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	l.started(t, upid, machine.PurposeStop)
	return bus.Recorded, nil
}
