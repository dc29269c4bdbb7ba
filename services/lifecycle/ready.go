package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// keptRunning is what a machine that is not ready leaves behind.
const keptRunning = "The machine runs."

// demands says whether the operation has switched the machine on, so that it is ready only when it runs.
func demands(vm *vmlinev1.VM) bool {
	return chain.SwitchedOn(vm.GetOperation()) && vm.GetWantedPower() != stopped
}

// ready sees the machine run and, where the package asks, the guest agent answer or cloud-init end. An
// operation that has not switched the machine on leaves it as it is, running or not.
func (l *lifecycle) ready(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if !demands(t.VM) {
		return bus.Done, nil
	}
	answer, asks := guest[t.VM.GetPackage().GetReadiness()]
	if !asks && t.VM.GetRemoteStatus() == running && l.justSeen(t) {
		return bus.Done, nil // the start's task has just ended well: Proxmox has seen it run
	}
	c, err := l.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if _, err := l.look(ctx, c, t); err != nil {
		return 0, err
	}
	if t.VM.GetRemoteStatus() != running {
		return 0, &bus.RetryAfter{Err: fallen(t.VM), After: lookAgain}
	}
	if !asks {
		return bus.Done, nil
	}
	return bus.Done, notYet(answer(ctx, c, t.VM))
}

// fallen says that the machine has been started and does not run. It is not started again and again: somebody may
// have switched it off.
func fallen(vm *vmlinev1.VM) error {
	return &bus.Lasting{
		Err:  fmt.Errorf("VM %d does not run after its start", vm.GetVmid()),
		Next: "Find out on Proxmox why it is off; then retry, which starts it again.",
	}
}

// notYet has a guest that does not answer as it should asked again soon, unless a person is needed.
func notYet(err error) error {
	explained := machine.Explain(err, keptRunning)
	var person *bus.NeedsPerson
	if err == nil || errors.As(explained, &person) {
		return explained
	}
	return &bus.RetryAfter{Err: explained, After: lookAgain}
}

// guest is what is asked inside the machine for each kind of readiness that wants more than power.
var guest = map[vmlinev1.Readiness]func(context.Context, *pve.Client, *vmlinev1.VM) error{
	vmlinev1.Readiness_READINESS_AGENT: func(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) error {
		return c.AgentPing(ctx, vm.GetNode(), int(vm.GetVmid()))
	},
	vmlinev1.Readiness_READINESS_CLOUD_INIT_DONE: cloudInitEnded,
}
