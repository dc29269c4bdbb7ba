package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestPower has a row for each command about power and each way in which its machine may stand. What is
// not to be touched is not touched, and what is so already costs no call.
func TestPower(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.After = func(d time.Duration, f func()) func() { // a minute is 60 ms
		t := time.AfterFunc(d/1000, f)
		return func() { t.Stop() }
	}
	w := newWorld(t, rig.Options{Sim: &cfg})
	const (
		start    = vmlinev1.Operation_KIND_START
		stop     = vmlinev1.Operation_KIND_STOP
		shutdown = vmlinev1.Operation_KIND_SHUTDOWN
		reboot   = vmlinev1.Operation_KIND_REBOOT
		reset    = vmlinev1.Operation_KIND_RESET
		sus      = vmlinev1.Operation_KIND_SUSPEND
		unsus    = vmlinev1.Operation_KIND_UNSUSPEND

		done    = vmlinev1.Operation_STATE_SUCCEEDED
		refused = vmlinev1.Operation_STATE_REFUSED
		asks    = vmlinev1.Operation_STATE_PARKED

		starts = "POST /status/start"
		cuts   = "POST /status/stop overrule-shutdown=1"
		asked  = "POST /status/shutdown forceStop=1 timeout=60"
		boots  = "POST /status/reboot timeout=60"
		resets = "POST /status/reset"
	)
	foreign := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Config["description"] = "shop" }
	elsewhere := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Node = "pve3" }
	deaf := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Guest.IgnoresShutdown = true }
	mistaken := func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Running = !spec.Running } // nobody has seen it yet
	for i, tt := range []struct {
		name   string
		kind   vmlinev1.Operation_Kind
		params *vmlinev1.Params
		stage  func(*vmlinev1.VM, *pvesim.VMSpec)
		paused bool
		calls  []string
		state  vmlinev1.Operation_State
		status vmlinev1.Status
		// power of the machine, and what the customer wants of it.
		power, wanted vmlinev1.RemoteStatus
		// says is part of what a person reads.
		says string
	}{
		{name: "start", kind: start, stage: off, calls: []string{starts}, state: done, status: ready, power: running, wanted: running},
		{name: "start of what runs", kind: start, state: done, status: ready, power: running, wanted: running},
		{name: "start of what was started meanwhile", kind: start, stage: func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { off(vm, spec); mistaken(vm, spec) }, state: done, status: ready, power: running, wanted: running},
		{name: "start on another node", kind: start, stage: func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { off(vm, spec); elsewhere(vm, spec) }, calls: []string{starts}, state: done, status: ready, power: running, wanted: running},
		{name: "start of a foreign machine", kind: start, stage: func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { off(vm, spec); foreign(vm, spec) }, state: asks, status: ready, power: stopped, wanted: running, says: "is not ours"},

		{name: "stop", kind: stop, calls: []string{cuts}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "stop of what is stopped", kind: stop, stage: off, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "stop of what has stopped meanwhile", kind: stop, stage: mistaken, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "stop of a guest that ignores requests", kind: stop, stage: deaf, calls: []string{cuts}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "stop of a foreign machine", kind: stop, stage: foreign, state: asks, status: ready, power: running, wanted: stopped, says: "is not ours"},

		{name: "shutdown", kind: shutdown, calls: []string{asked}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "shutdown with patience", kind: shutdown, params: &vmlinev1.Params{TimeoutSeconds: 7}, calls: []string{"POST /status/shutdown forceStop=1 timeout=7"}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "shutdown of a guest that ignores it, in one call", kind: shutdown, stage: deaf, calls: []string{asked}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "shutdown of a paused guest", kind: shutdown, paused: true, calls: []string{cuts}, state: done, status: ready, power: stopped, wanted: stopped},
		{name: "shutdown of what is stopped", kind: shutdown, stage: off, state: done, status: ready, power: stopped, wanted: stopped},

		{name: "reboot", kind: reboot, calls: []string{boots}, state: done, status: ready, power: running, wanted: running},
		{name: "reboot of what is stopped", kind: reboot, stage: off, calls: []string{starts}, state: done, status: ready, power: running, wanted: running},
		{name: "reboot of a guest that ignores it", kind: reboot, stage: deaf, calls: []string{boots}, state: refused, status: ready, power: running, wanted: running, says: "did not shut down in time"},
		{name: "reboot of a foreign machine", kind: reboot, stage: foreign, state: asks, status: ready, power: running, wanted: running, says: "is not ours"},

		{name: "reset", kind: reset, calls: []string{resets}, state: done, status: ready, power: running, wanted: running},
		{name: "reset of what is stopped", kind: reset, stage: off, calls: []string{starts}, state: done, status: ready, power: running, wanted: running},
		{name: "reset on another node", kind: reset, stage: elsewhere, calls: []string{resets}, state: done, status: ready, power: running, wanted: running},
		{name: "reset of a foreign machine", kind: reset, stage: foreign, state: asks, status: ready, power: running, wanted: running, says: "is not ours"},

		{name: "suspend", kind: sus, calls: []string{asked}, state: done, status: suspended, power: stopped, wanted: running},
		{name: "suspend of what is stopped", kind: sus, stage: off, state: done, status: suspended, power: stopped, wanted: stopped},
		{name: "suspend of a foreign machine", kind: sus, stage: foreign, state: asks, status: ready, power: running, wanted: running, says: "is not ours"},
		{name: "row 18: unsuspend", kind: unsus, stage: suspend, calls: []string{starts}, state: done, status: ready, power: running, wanted: running},
		{name: "unsuspend of a foreign machine", kind: unsus, stage: func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { suspend(vm, spec); foreign(vm, spec) }, state: asks, status: suspended, power: stopped, wanted: running, says: "is not ours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("power-%d", 7000+i), 300+i
			w.place(t, ref, vmid, tt.stage)
			if tt.paused {
				w.order(t, "POST", fmt.Sprintf("/nodes/pve1/qemu/%d/status/suspend", vmid), nil)
			}
			w.Sim.ResetCalls()
			id := w.SendWith(ref, tt.kind, nil, tt.params)
			vm := w.Await(ref, ended(id))
			op, problem := vm.GetOperation(), vm.GetProblem()
			if op.GetState() == refused {
				problem = op.GetProblem()
			}
			if op.GetState() != tt.state || vm.GetStatus() != tt.status || vm.GetWantedPower() != tt.wanted {
				t.Errorf("it is %s in %s and wants %s: %v", op.GetState(), vm.GetStatus(), vm.GetWantedPower(), problem)
			}
			if (tt.says == "") != (problem == nil) || !strings.Contains(problem.GetCause(), tt.says) {
				t.Errorf("a person reads %v", problem)
			}
			if got := w.changes(vmid); !slices.Equal(got, tt.calls) {
				t.Errorf("calls %q, want %q", got, tt.calls)
			}
			state, _ := w.Sim.VM(vmid)
			if got := map[string]vmlinev1.RemoteStatus{"running": running, "stopped": stopped}[state.Status]; got != tt.power || tt.state == done && vm.GetRemoteStatus() != tt.power {
				t.Errorf("the machine is %s, shown %s, want %s", got, vm.GetRemoteStatus(), tt.power)
			}
			if tt.state == done {
				w.CheckLog(ref)
			}
		})
	}
}
