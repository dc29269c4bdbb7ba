package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const keptAsIs = "The machine is left as it is."

// proofAge is how old the last look at the machine may be when it is started or counted as ready. The
// step before each of these ends with that look.
const proofAge = 10 * time.Second

// readyPause is how soon a machine that does not answer yet is asked again.
const readyPause = time.Second

// start switches the machine on. That it runs already is success: a step may be repeated.
func (l *lifecycle) start(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := machine.Await(ctx, c, t)
	if ended == machine.PurposeStart || pve.KindOf(err) == pve.Exists {
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
		return bus.Done, nil
	}
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	if !l.justSeen(t) {
		found, err := machine.Find(ctx, c, t.VM)
		if err != nil {
			return 0, machine.Explain(err, keptAsIs)
		}
		t.VM.Node = found.Node
	}
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.Start(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if err != nil {
		return 0, machine.Explain(err, keptAsIs)
	}
	l.started(t, upid, machine.PurposeStart)
	return bus.Recorded, nil
}

// justSeen says that what the step before this one ended with is still news, and nothing has failed
// since.
func (l *lifecycle) justSeen(t *bus.Trigger) bool {
	return t.VM.GetRetry() == nil && l.Bus.Now().Sub(t.VM.GetUpdatedAt().AsTime()) <= proofAge
}

// ready sees the machine run and, where the package asks, the guest agent answer.
func (l *lifecycle) ready(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	agent := t.VM.GetPackage().GetReadiness() == vmlinev1.Readiness_READINESS_AGENT
	running := t.VM.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	if !agent && running && l.justSeen(t) {
		return bus.Done, nil // the start's task has just ended well: Proxmox has seen it run
	}
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if err := l.sees(ctx, c, t); err != nil {
		return 0, err
	}
	if !agent {
		return bus.Done, nil
	}
	if err := c.AgentPing(ctx, t.VM.GetNode(), int(t.VM.GetVmid())); err != nil {
		explained := machine.Explain(err, "The machine runs.")
		var person *bus.NeedsPerson
		if errors.As(explained, &person) {
			return 0, explained
		}
		return 0, &bus.RetryAfter{Err: explained, After: readyPause}
	}
	return bus.Done, nil
}

// sees asks Proxmox whether the machine runs, wherever it is, and notes what it says.
func (l *lifecycle) sees(ctx context.Context, c *pve.Client, t *bus.Trigger) error {
	status, err := c.Status(ctx, t.VM.GetNode(), int(t.VM.GetVmid()))
	if kind := pve.KindOf(err); kind == pve.Gone || kind == pve.Unreachable {
		// It may have moved between the two steps.
		found, findErr := machine.Find(ctx, c, t.VM)
		if findErr != nil {
			return machine.Explain(findErr, keptAsIs)
		}
		t.VM.Node = found.Node
		status, err = c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	}
	if err != nil {
		return machine.Explain(err, keptAsIs)
	}
	t.VM.RemoteLock = status.Lock
	if status.Status != "running" {
		t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
		return &bus.RetryAfter{Err: fmt.Errorf("VM %d does not run after its start", t.VM.GetVmid()), After: readyPause}
	}
	t.VM.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	return nil
}
