package crash

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// slow is a rig on which every task takes its time, so that a termination meets it under way.
func slow() rig.Options {
	sim := pvesim.Default()
	const d = 30 * time.Millisecond
	sim.Durations = pvesim.Durations{
		Fork: d / 3, Clone: 2 * d, Config: d, Resize: d, Start: d, Stop: d, Destroy: d, SnapshotDelete: d, DeleteVolume: d,
	}
	return rig.Options{Sim: &sim}
}

// TestTerminatedAtEveryCall stops a creation at each of its calls, before and after, sends a
// termination, and lets all go on once that is admitted. So it comes in every status, before a VMID is
// recorded, between that and the clone, in the middle of every task, and with every call on its way.
func TestTerminatedAtEveryCall(t *testing.T) {
	interrupted(t, slow(), false, func(strike) bool { return true })
}

// TestTerminatedWithACallOnItsWay lets the call go only when the VM is gone: what comes so late finds
// nothing. A clone cannot be that late, because a termination waits for it. The firewall is left
// out: Proxmox keeps rules for a VM that does not exist, until a clone takes the VMID (clone_vmfw_conf).
func TestTerminatedWithACallOnItsWay(t *testing.T) {
	interrupted(t, slow(), true, func(at strike) bool {
		changes := strings.HasPrefix(at.call, "P") // POST, PUT
		return changes && !at.after && !strings.HasSuffix(at.call, "/clone") && !strings.Contains(at.call, "/firewall/")
	})
}

// interrupted terminates a VM at each of the calls that are wanted. late holds them until the VM is
// gone.
func interrupted(t *testing.T, o rig.Options, late bool, wanted func(strike) bool) {
	var rows []scene
	for _, row := range record(t, o, "full") {
		if row.first && interrupts(row.making) && wanted(row.making) {
			rows = append(rows, row)
		}
	}
	var missed atomic.Int32
	eachScene(t, o, rows, func(t *testing.T, s *stage, ref string, row scene) {
		s.perform(t, 1, func(s *stage) {
			t.Run(row.making.String(), func(t *testing.T) {
				if !s.view(t).interrupt(ref, row, late) {
					missed.Add(1)
				}
			})
		})
	})
	if int(missed.Load()) > len(rows)/10 {
		t.Errorf("%d of %d calls were not made", missed.Load(), len(rows))
	}
}

// interrupts says whether a creation can be interrupted there: not before it is admitted.
func interrupts(at strike) bool {
	admits := at.service == chain.Lifecycle && !strings.Contains(at.call, "/") && (at.call != "vm.append" || at.nth == 1)
	return !admits
}

// interrupt says whether the creation came to the call.
func (s *stage) interrupt(ref string, row scene, late bool) (reached bool) {
	h := newHold(late)
	defer h.open()
	at := row.making
	at.hold = h
	s.expect(at)
	s.Order(ref, packages[row.pkg])
	s.await("the call is made, or the VM is ready without it", func() bool {
		last, err := s.Bus.Last(s.t.Context(), ref)
		return h.isReached() || err == nil && rig.Ended(create)(last.VM)
	})
	s.Terminate(ref)
	s.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetKind() == terminate })
	if late {
		s.Await(ref, rig.Ended(terminate))
	}
	h.open()
	s.checkGone(ref)
	return h.isReached()
}

// TestTerminatedBeforeTheCloneArrives holds the order of the clone until the termination has looked
// for the machine and found none.
func TestTerminatedBeforeTheCloneArrives(t *testing.T) {
	for name, o := range map[string]rig.Options{"quick": {}, "slow": slow()} {
		t.Run(name, func(t *testing.T) {
			o.Settle = 5 * time.Second // from its look on, the clone has the rest of that
			s := newStage(t, o)
			s.perform(t, 1, func(s *stage) {
				h := newHold(true)
				defer h.open()
				s.expect(strike{service: chain.Provisioner, call: "POST /nodes/*/qemu/*/clone", nth: 1, hold: h})
				s.Order("a", packages["full"])
				s.await("the clone is ordered", h.isReached)
				s.Terminate("a")
				s.await("the termination has found nothing", func() bool { return s.counted(chain.Lifecycle, "GET /cluster/nextid") > 0 })
				h.open()
				s.checkGone("a")
				s.await("the clone has come", func() bool { return s.cloned() })
			})
		})
	}
}

// cloned says whether Proxmox has made a clone.
func (s *stage) cloned() bool {
	for _, task := range s.Sim.Tasks() {
		if task.Type == "qmclone" && !task.Running {
			return true
		}
	}
	return false
}

// TestTerminatedWhileLocked has somebody else hold the machine's lock.
func TestTerminatedWhileLocked(t *testing.T) {
	s := newStage(t, rig.Options{})
	s.perform(t, 1, func(s *stage) {
		s.makeVM("a", packages["full"])
		vm := s.Await("a", rig.Ended(create))
		s.Sim.SetLock(int(vm.GetVmid()), "backup")
		s.Terminate("a")
		s.Await("a", func(vm *vmlinev1.VM) bool { return vm.GetRetry().GetAttempts() > 1 })
		if state, is := s.Sim.VM(int(vm.GetVmid())); !is || state.Status != "running" {
			t.Errorf("the machine was touched while it was locked: %+v", state)
		}
		s.Sim.SetLock(int(vm.GetVmid()), "")
		s.checkGone("a")
	})
}
