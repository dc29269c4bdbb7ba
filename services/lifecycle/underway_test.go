package lifecycle_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestACancellationMeetsWhatItUndoes: the machine is still on its way to off, or to on, when the command is
// cancelled, and nobody has the task's UPID. The cancellation finds the task, waits for it, and switches the
// machine back.
func TestACancellationMeetsWhatItUndoes(t *testing.T) {
	t.Parallel()
	clock := pvesim.NewClock(time.Now())
	cfg := pvesim.Default()
	cfg.Now, cfg.After = clock.Now, clock.After
	cfg.Durations = pvesim.Durations{Start: time.Minute, Stop: time.Minute, Shutdown: time.Minute}
	w := newWorld(t, rig.Options{Sim: &cfg})
	sleeps := func(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
		vm.Status, vm.RemoteStatus, spec.Running = suspended, stopped, false
	}
	stands := func(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
		vm.RemoteStatus, vm.WantedPower, spec.Running = stopped, stopped, false
	}
	for i, tt := range []struct {
		kind    vmlinev1.Operation_Kind
		stage   func(*vmlinev1.VM, *pvesim.VMSpec)
		path    string
		purpose string
		ends    vmlinev1.Status
		power   string
	}{
		{kind: vmlinev1.Operation_KIND_SUSPEND, path: "shutdown", purpose: "stop", ends: ready, power: "running"},
		{kind: vmlinev1.Operation_KIND_UNSUSPEND, stage: sleeps, path: "start", purpose: "start", ends: suspended, power: "stopped"},
		{kind: vmlinev1.Operation_KIND_STOP, path: "stop", purpose: "stop", ends: ready, power: "running"},
		{kind: vmlinev1.Operation_KIND_START, stage: stands, path: "start", purpose: "start", ends: ready, power: "stopped"},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("undo-%d", 7300+i), 600+i
			w.place(t, ref, vmid, tt.stage)
			mend := w.Sim.AddFault(pvesim.Fault{Kind: pvesim.RefuseAfter, Method: http.MethodPost, Path: "/nodes/*/qemu/*/status/" + tt.path, Code: http.StatusForbidden, Text: "Permission check failed"})
			w.Send(ref, tt.kind, nil)
			w.Await(ref, rig.Parked)
			mend()
			id := w.Send(ref, vmlinev1.Operation_KIND_CANCEL, nil)
			met := w.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetTask() != nil || ended(id)(vm) })
			if met.GetTask().GetPurpose() != tt.purpose {
				t.Errorf("it stands at %v", met)
			}
			vm := w.Await(ref, func(vm *vmlinev1.VM) bool {
				clock.Advance(time.Minute)
				return ended(id)(vm)
			})
			machine, _ := w.Sim.VM(vmid)
			if machine.Status != tt.power || vm.GetStatus() != tt.ends || vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED {
				t.Errorf("the machine is %s, the VM %v", machine.Status, vm)
			}
		})
	}
}
