package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// cloudInitStatus is the program that knows how far cloud-init is. It changes nothing.
var cloudInitStatus = []string{"cloud-init", "status"}

// A guest's program is given a few looks to end, in which a Python interpreter starts even on a busy
// machine. One that takes longer is started anew with the step's next attempt.
const (
	programLooks = 10
	programPause = 300 * time.Millisecond
)

// errNotEnded says that cloud-init is still at work.
var errNotEnded = errors.New("cloud-init has not ended yet")

// cloudInitEnded asks inside the guest, through its agent, whether cloud-init has ended.
func cloudInitEnded(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) error {
	node, vmid := vm.GetNode(), int(vm.GetVmid())
	pid, err := c.AgentRun(ctx, node, vmid, cloudInitStatus)
	if err != nil {
		return err
	}
	for range programLooks {
		result, err := c.AgentResult(ctx, node, vmid, pid)
		if err != nil {
			return err
		}
		if result.Exited {
			return ended(result)
		}
		if err := bus.Pause(ctx, programPause); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s has not ended within %s", strings.Join(cloudInitStatus, " "), programLooks*programPause)
}

// ended reads what cloud-init says of itself: "status: done" with exit code 0, or 2 where it has
// recovered from errors (cloud-init's documentation, "cloud-init status").
func ended(r pve.AgentResult) error {
	state := field(r.Out, "status:")
	switch state {
	case "done", "degraded done":
		return nil
	case "running", "not started", "not run":
		return fmt.Errorf("%w: %s", errNotEnded, state)
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("cloud-init says %q in the guest (exit code %d)", strings.TrimSpace(r.Out+" "+r.Err), r.ExitCode),
		Kept:  keptRunning,
		Next:  "Look at /var/log/cloud-init.log in the guest. Mend the template or the package's cloud-init settings, or ask for another readiness; then repeat the command.",
	}
}

// field returns what follows a name at the beginning of a line.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
