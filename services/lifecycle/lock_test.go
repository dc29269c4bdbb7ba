package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// locks are what Proxmox puts under the key lock (PVE::QemuServer, option lock).
var locks = []string{"backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

// TestRow19EveryCommandWaitsForEveryLock: the lock is shown with the age of the wait, nothing is called
// that would change the machine, and nobody takes the lock away. When it is gone the command ends well.
func TestRow19EveryCommandWaitsForEveryLock(t *testing.T) {
	t.Parallel()
	// A hundred machines that wait do not keep the processor from those that have waited.
	w := newWorld(t, rig.Options{Parking: []int{9901}, Retry: bus.RetryPolicy{First: 20 * time.Millisecond, Cap: 2 * time.Second}})
	var refs []string
	kinds := map[vmlinev1.Operation_Kind]func(*vmlinev1.VM, *pvesim.VMSpec){
		vmlinev1.Operation_KIND_START: off, vmlinev1.Operation_KIND_STOP: nil, vmlinev1.Operation_KIND_SHUTDOWN: nil,
		vmlinev1.Operation_KIND_REBOOT: nil, vmlinev1.Operation_KIND_RESET: nil, vmlinev1.Operation_KIND_SUSPEND: nil,
		vmlinev1.Operation_KIND_UNSUSPEND: suspend, terminate: nil, reinstall: nil, redeploy: broken, remove: off,
	}
	vmid := 1000
	lockOf := map[string]string{}
	for kind, stage := range kinds {
		for _, lock := range locks {
			vmid++
			ref := fmt.Sprintf("%s-%s-%d", chain.KindName(kind), lock, vmid+7000)
			w.place(t, ref, vmid, stage)
			w.Sim.SetLock(vmid, lock)
			w.Send(ref, kind, nil)
			w.foresee(t, ref, kind)
			refs, lockOf[ref] = append(refs, ref), lock
		}
	}
	for _, ref := range refs {
		vm := w.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetRetry().GetAttempts() > 2 })
		p, lock := vm.GetProblem(), lockOf[ref]
		if vm.GetRemoteLock() != lock || !strings.Contains(p.GetCause(), "("+lock+")") || p.GetSince() == nil || !p.GetSince().AsTime().Before(vm.GetUpdatedAt().AsTime()) {
			t.Errorf("%s shows lock %q, %v", ref, vm.GetRemoteLock(), p)
		}
		if got := w.changes(int(vm.GetVmid())); len(got) != 0 {
			t.Errorf("%s: %q while it is locked", ref, got)
		}
		if state, _ := w.Sim.VM(int(vm.GetVmid())); state.Lock != lock {
			t.Errorf("%s: the lock is %q", ref, state.Lock)
		}
		w.Sim.SetLock(int(vm.GetVmid()), "")
	}
	for _, ref := range refs {
		vm := w.Await(ref, func(vm *vmlinev1.VM) bool {
			return vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED || vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		if vm.GetProblem() != nil || vm.GetRemoteLock() != "" {
			t.Errorf("%s ended with lock %q, %v", ref, vm.GetRemoteLock(), vm.GetProblem())
		}
	}
}

// TestRow19ALockThatStays asks a person after the configured time, who is told what to do.
func TestRow19ALockThatStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{Retry: bus.RetryPolicy{First: 5 * time.Millisecond, Cap: 20 * time.Millisecond, GiveUp: 100 * time.Millisecond}})
	for i, lock := range locks {
		ref, vmid := fmt.Sprintf("stale-%d", 8200+i), 1200+i
		w.place(t, ref, vmid, nil)
		w.Sim.SetLock(vmid, lock)
		w.Send(ref, vmlinev1.Operation_KIND_STOP, nil)
		vm := w.Await(ref, rig.Parked)
		p := vm.GetProblem()
		if vm.GetRemoteLock() != lock || !strings.Contains(p.GetCause(), "locked by Proxmox ("+lock+")") || !strings.Contains(p.GetNext(), "qm unlock") {
			t.Errorf("%s: a person reads %v, lock %q", lock, p, vm.GetRemoteLock())
		}
		if state, _ := w.Sim.VM(vmid); state.Lock != lock || state.Status != "running" || len(w.changes(vmid)) != 0 {
			t.Errorf("%s: the machine was touched: %v, %q", lock, state, w.changes(vmid))
		}
	}
}
