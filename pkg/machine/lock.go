package machine

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
)

// Locked says that the key lock stands in the VM's configuration: a task of Proxmox works on it, or one
// died and left the lock behind. It is waited for and never taken away, because the two look the same
// from outside.
type Locked struct {
	VMID int
	// Lock is its name: backup, clone, create, migrate, rollback, snapshot, snapshot-delete, suspending
	// or suspended.
	Lock string
}

func (e *Locked) Error() string {
	return fmt.Sprintf("VM %d is locked by Proxmox (%s)", e.VMID, e.Lock)
}

// lockText is how Proxmox refuses a call, or ends a task, because of the key lock
// (PVE::AbstractConfig check_lock).
var lockText = regexp.MustCompile(`VM is locked \(([a-z-]+)\)`)

// LockOf returns the name of the lock that an error speaks of, and "" where it speaks of none.
func LockOf(err error) string {
	var locked *Locked
	if errors.As(err, &locked) {
		return locked.Lock
	}
	if pve.KindOf(err) != pve.Locked {
		return ""
	}
	if m := lockText.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// ShowLock is the step with the lock that it waits for shown in the VM's state, and taken out of it
// when the step has come past it.
func ShowLock(step bus.StepFunc) bus.StepFunc {
	return func(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
		waited := t.VM.GetRetry() != nil
		outcome, err := step(ctx, t)
		switch lock := LockOf(err); {
		case lock != "":
			t.VM.RemoteLock = lock
		case err == nil && waited:
			t.VM.RemoteLock = ""
		}
		return outcome, err
	}
}
