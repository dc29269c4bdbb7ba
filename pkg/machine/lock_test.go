package machine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// locks are what Proxmox puts under the key lock (PVE::QemuServer, option lock).
var locks = []string{"backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

func TestLockOf(t *testing.T) {
	for _, lock := range locks {
		for name, err := range map[string]error{
			"seen in the configuration": fmt.Errorf("stop: %w", &Locked{VMID: 101, Lock: lock}),
			"refused":                   &pve.Error{Op: "change VM 101", Message: "VM is locked (" + lock + ")", Kind: pve.Locked},
			"refused in the task":       &pve.TaskError{ExitStatus: "VM is locked (" + lock + ")", Kind: pve.Locked},
			"explained":                 Explain(fmt.Errorf("start: %w", &Locked{VMID: 101, Lock: lock}), "kept"),
		} {
			if got := LockOf(err); got != lock {
				t.Errorf("%s, %s: got %q", lock, name, got)
			}
		}
	}
	for _, err := range []error{
		nil, errors.New("VM is locked (backup)"), &pve.Error{Message: "VM is locked (backup)", Kind: pve.Transient},
		&pve.Error{Message: "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", Kind: pve.Locked},
	} {
		if got := LockOf(err); got != "" {
			t.Errorf("%v: got %q", err, got)
		}
	}
}

// TestShowLock: the lock that a step waits for is shown, and no longer than it waits.
func TestShowLock(t *testing.T) {
	locked := &Locked{VMID: 101, Lock: "backup"}
	for _, tt := range []struct {
		name   string
		shown  string
		waited bool
		err    error
		want   string
	}{
		{"locked", "", false, locked, "backup"},
		{"another lock", "clone", true, locked, "backup"},
		{"past it", "backup", true, nil, ""},
		{"another error says nothing of it", "backup", true, errors.New("no route"), "backup"},
		{"a lock that was seen by the step itself", "backup", false, nil, "backup"},
	} {
		trigger := &bus.Trigger{VM: &vmlinev1.VM{RemoteLock: tt.shown}}
		if tt.waited {
			trigger.VM.Retry = &vmlinev1.Retry{Attempts: 1, NotBefore: timestamppb.Now()}
		}
		outcome, err := ShowLock(func(context.Context, *bus.Trigger) (bus.Outcome, error) { return bus.Done, tt.err })(t.Context(), trigger)
		if outcome != bus.Done || !errors.Is(err, tt.err) || trigger.VM.GetRemoteLock() != tt.want {
			t.Errorf("%s: shown is %q, want %q; %v", tt.name, trigger.VM.GetRemoteLock(), tt.want, err)
		}
	}
}
