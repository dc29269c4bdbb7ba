package lifecycle

import (
	"context"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// start switches the machine on, unless its customer wants it to stand still. That it runs already is
// success: a step may be repeated.
func (l *lifecycle) start(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if t.VM.GetWantedPower() == stopped {
		return bus.Done, nil
	}
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := l.awaitSwitch(ctx, c, t, machine.PurposeStop)
	switch {
	case ended.purpose == machine.PurposeStart && ended.handed:
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED // the next step looks
		return bus.Done, nil
	case ended.purpose == machine.PurposeStart, pve.KindOf(err) == pve.Exists:
		t.VM.RemoteStatus = running
		return bus.Done, nil
	case err != nil:
		return 0, machine.Explain(err, keptAsIs)
	case t.VM.GetRemoteStatus() != running && machine.Proven(t.VM, l.Bus.Now()): // and it was left stopped
		if err := t.Current(ctx); err != nil {
			return 0, err
		}
		return l.orderStart(ctx, c, t)
	}
	if _, err := l.look(ctx, c, t); err != nil {
		return 0, err
	}
	if t.VM.GetRemoteStatus() == running {
		if stops, err := l.underWay(ctx, c, t, machine.PurposeStop); stops || err != nil {
			return bus.Recorded, err
		}
		return bus.Done, nil
	}
	return l.switchOn(ctx, c, t)
}

// switchOn orders the start.
func (l *lifecycle) switchOn(ctx context.Context, c *pve.Client, t *bus.Trigger) (bus.Outcome, error) {
	if err := l.prove(ctx, c, t); err != nil {
		return 0, err
	}
	return l.orderStart(ctx, c, t)
}

func (l *lifecycle) orderStart(ctx context.Context, c *pve.Client, t *bus.Trigger) (bus.Outcome, error) {
	upid, err := c.Start(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	l.started(t, upid, machine.PurposeStart)
	return bus.Recorded, nil
}
