package rig

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// removed says that the step to removed is done. Nobody who would do the next one runs in these tests.
func removed(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED }

// settling is the problem that is shown while an absent VM is looked for again.
func settling(vm *vmlinev1.VM) string {
	return "VM 150 is not there, but its clone had been ordered when the termination came; it is looked for again until " +
		vm.GetSettleAt().AsTime().Format(time.TimeOnly)
}

// TestSettle has a row for each state that a termination may overtake while there is no VM on Proxmox. The time
// passes once the wait is shown.
func TestSettle(t *testing.T) {
	const settle = 200 * time.Millisecond
	for _, tt := range []struct {
		name   string
		before *vmlinev1.VM
		// late is a clone that arrives after the first look.
		late bool
		// waits is whether the step looks again.
		waits bool
	}{
		{name: "no VMID was recorded", before: standing(t, create, running, setIP)},
		{name: "the clone was made, and somebody removed it", before: begun(standing(t, create, running, vmlinev1.Status_STATUS_CLONE))},
		{name: "the clone may be on its way, and is not", before: begun(standing(t, create, running, setIP)), waits: true},
		{name: "the clone may be on its way, and comes", before: begun(standing(t, create, running, setIP)), waits: true, late: true},
		{name: "the order of the clone is parked", before: begun(standing(t, create, parked, setIP)), waits: true},
		{name: "the clone of a reinstallation is parked, and comes", before: begun(standing(t, vmlinev1.Operation_KIND_REINSTALL, parked, vmlinev1.Status_STATUS_REMOVED)), waits: true, late: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := pvesim.NewClock(time.Now())
			r := New(t, Options{Settle: settle, Now: clock.Now})
			tt.before.Vmgenid, tt.before.Mac = "", "" // not known before the clone is there
			r.stand("settle-1", tt.before)
			var clone lateClone
			if tt.late {
				clone.make = func() { must(t, r.Sim.AddVM(cloneOf(tt.before))) }
			}
			r.Start(chain.Lifecycle, Edge{Proxmox: clone.over})
			id := r.Terminate("settle-1")
			own := func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id }
			if tt.waits {
				r.Await("settle-1", func(vm *vmlinev1.VM) bool { return own(vm) && vm.GetRetry() != nil })
				clock.Advance(settle)
			}
			end := r.Await("settle-1", func(vm *vmlinev1.VM) bool { return removed(vm) && own(vm) })
			began := r.admitted("settle-1", id)[0]
			if (began.GetSettleAt() != nil) != tt.waits || end.GetSettleAt() != nil {
				t.Errorf("it settles at %v, and at the end at %v", began.GetSettleAt(), end.GetSettleAt())
			}
			shown := slices.ContainsFunc(r.log("settle-1"), func(vm *vmlinev1.VM) bool {
				return vm.GetEvent() == vmlinev1.Event_EVENT_RETRYING && vm.GetProblem().GetCause() == settling(vm) && vm.GetSettleAt() != nil
			})
			if shown != tt.waits {
				t.Errorf("the wait is shown: %v, want %v", shown, tt.waits)
			}
			if tt.waits && end.GetUpdatedAt().AsTime().Before(began.GetSettleAt().AsTime()) {
				t.Errorf("it went on at %v, before %v", end.GetUpdatedAt().AsTime(), began.GetSettleAt().AsTime())
			}
			destroyed := map[bool]int{true: 1}[tt.late]
			if n := r.count("DELETE"); n != destroyed || len(r.Ours()) != 0 {
				t.Errorf("%d machines were destroyed, want %d; left are %v", n, destroyed, r.Ours())
			}
		})
	}
}

// cloneOf is the machine that the VM's clone makes.
func cloneOf(vm *vmlinev1.VM) pvesim.VMSpec {
	return pvesim.VMSpec{
		VMID: int(vm.GetVmid()), Node: vm.GetNode(), Name: vm.GetPackage().GetName(),
		Config: map[string]string{"description": machine.Mark(vm)},
	}
}

// lateClone calls make once, right after Proxmox has said for the first time that a VMID is free.
type lateClone struct {
	make func()
	once sync.Once
}

func (l *lateClone) over(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(req)
		if l.make != nil && strings.HasSuffix(req.URL.Path, "/cluster/nextid") {
			l.once.Do(l.make)
		}
		return answer, err
	})
}

// TestARepeatedTerminationSettlesToo: the first termination meets somebody else's machine and is parked.
// Repeated after that machine has gone, it still knows until when the clone may come.
func TestARepeatedTerminationSettlesToo(t *testing.T) {
	r := New(t, Options{Settle: time.Hour})
	before := begun(standing(t, create, running, setIP))
	before.Vmgenid, before.Mac = "", ""
	r.stand("settle-2", before)
	must(t, r.Sim.AddVM(pvesim.VMSpec{VMID: 150, Node: "pve1", Name: "shop"}))
	r.Start(chain.Lifecycle, Edge{})
	r.Terminate("settle-2")
	first := r.Await("settle-2", Parked)
	if first.GetSettleAt() == nil || !strings.Contains(first.GetProblem().GetCause(), "not ours") {
		t.Fatalf("it settles at %v and asks %q", first.GetSettleAt(), first.GetProblem().GetCause())
	}
	r.Sim.Remove(150)
	cmd, err := Command("settle-2", terminate, nil, first.GetOperation().GetId())
	must(t, err)
	must(t, r.Bus.SendCommand(t.Context(), cmd))
	again := r.Await("settle-2", func(vm *vmlinev1.VM) bool {
		return vm.GetRetry() != nil && strings.Contains(vm.GetProblem().GetCause(), "is looked for again until")
	})
	if n := again.GetRetry().GetAttempts(); n != 0 {
		t.Errorf("waiting counts as %d failures", n)
	}
	if again.GetOperation().GetId() != cmd.GetId() || !again.GetSettleAt().AsTime().Equal(first.GetSettleAt().AsTime()) {
		t.Errorf("%s settles at %v, was %v", again.GetOperation().GetId(), again.GetSettleAt(), first.GetSettleAt())
	}
	if again.GetProblem().GetCause() != settling(first) || again.GetStatus() != vmlinev1.Status_STATUS_TERMINATE {
		t.Errorf("it is shown as %v: %q", again.GetStatus(), again.GetProblem().GetCause())
	}
}
