package lifecycle

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// restart is how a machine that runs is started anew.
type restart struct {
	purpose string
	order   func(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (pve.UPID, error)
	// done says whether the status shows that it was done, perhaps by an attempt that was cut off.
	done func(pve.VMStatus, time.Duration) bool
	// failed explains an order that did not come about; nil where there is nothing special.
	failed func(error) error
}

var (
	reboot = restart{
		purpose: machine.PurposeReboot,
		order: func(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (pve.UPID, error) {
			return c.Reboot(ctx, vm.GetNode(), int(vm.GetVmid()), patience(vm))
		},
		done:   bootedWithin,
		failed: deaf,
	}
	reset = restart{
		purpose: machine.PurposeReset,
		order: func(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (pve.UPID, error) {
			return c.Reset(ctx, vm.GetNode(), int(vm.GetVmid()))
		},
		done: func(pve.VMStatus, time.Duration) bool { return false }, // nothing shows it; twice is harmless
	}
)

// bootedWithin says whether the machine has been booted within that time. Proxmox counts full seconds.
func bootedWithin(s pve.VMStatus, span time.Duration) bool { return s.Uptime+time.Second < span }

// deaf explains a reboot that a guest did not take part in: Proxmox lets it run on.
func deaf(err error) error {
	task, failed := errors.AsType[*pve.TaskError](err)
	if !failed || !strings.Contains(task.ExitStatus, "quit/powerdown failed") {
		return err
	}
	return &bus.Refused{
		Cause: "the guest did not shut down in time and runs on as before: " + err.Error(),
		Next:  "Give it more time, look at its console, or reset it.", AsBefore: true,
	}
}

func (l *lifecycle) reboot(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	return l.restart(ctx, t, reboot)
}

func (l *lifecycle) reset(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	return l.restart(ctx, t, reset)
}

// restart has the machine restart in its way. One that does not run is started.
func (l *lifecycle) restart(ctx context.Context, t *bus.Trigger, how restart) (bus.Outcome, error) {
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ordered := t.VM.GetTask().GetPurpose() == how.purpose
	ended, err := l.await(ctx, c, t)
	switch {
	case err != nil && ordered && how.failed != nil:
		return 0, machine.Explain(how.failed(err), keptAsIs)
	case err != nil && pve.KindOf(err) != pve.Exists:
		return 0, machine.Explain(err, keptAsIs)
	case err != nil, ended.purpose == how.purpose, ended.purpose == machine.PurposeStart:
		t.VM.RemoteStatus = running
		if ended.handed || ended.purpose == machine.PurposeReboot {
			// Proxmox ends the task of a reboot when the guest is down; what starts it again is another
			// program. So the next step looks.
			t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED
		}
		return bus.Done, nil
	}
	status, err := l.look(ctx, c, t)
	if err != nil {
		return 0, err
	}
	switch {
	case t.VM.GetRemoteStatus() == stopped:
		return l.switchOn(ctx, c, t)
	case how.done(status, l.Bus.Now().Sub(began(t.VM))):
		return bus.Done, nil
	}
	if err := l.prove(ctx, c, t); err != nil {
		return 0, err
	}
	upid, err := how.order(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	l.started(t, upid, how.purpose)
	return bus.Recorded, nil
}

// began is when the VM's operation was admitted.
func began(vm *vmlinev1.VM) time.Time { return vm.GetOperation().GetReached()[0].GetAt().AsTime() }
