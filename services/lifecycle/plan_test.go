package lifecycle_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestAPlanIsWhatIsDone: what lifecycle says that its steps would call is what they call then, in that
// order and with those parameters. Asking changes nothing.
func TestAPlanIsWhatIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{Parking: []int{9901}})
	must(t, w.Sim.AddVM(pvesim.VMSpec{VMID: 9901, Node: "pve1", Name: "parking"}))
	both := func(a, b func(*vmlinev1.VM, *pvesim.VMSpec)) func(*vmlinev1.VM, *pvesim.VMSpec) {
		return func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { a(vm, spec); b(vm, spec) }
	}
	foreign := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Config["description"] = "shop" }
	elsewhere := func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { vm.Node, spec.Node = "pve3", "pve3" }
	moved := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Node = "pve3" }
	for i, tt := range []struct {
		name   string
		kind   vmlinev1.Operation_Kind
		params *vmlinev1.Params
		stage  func(*vmlinev1.VM, *pvesim.VMSpec)
		unused bool
		calls  int
		// says is part of why it would not be done.
		says string
	}{
		{name: "start", kind: vmlinev1.Operation_KIND_START, stage: off, calls: 1},
		{name: "start of what runs", kind: vmlinev1.Operation_KIND_START},
		{name: "stop", kind: vmlinev1.Operation_KIND_STOP, calls: 1},
		{name: "stop of what is stopped", kind: vmlinev1.Operation_KIND_STOP, stage: off},
		{name: "shutdown", kind: vmlinev1.Operation_KIND_SHUTDOWN, params: &vmlinev1.Params{TimeoutSeconds: 9}, calls: 1},
		{name: "shutdown where it has moved", kind: vmlinev1.Operation_KIND_SHUTDOWN, stage: moved, calls: 1},
		{name: "reboot", kind: vmlinev1.Operation_KIND_REBOOT, calls: 1},
		{name: "reboot of what is stopped", kind: vmlinev1.Operation_KIND_REBOOT, stage: off, calls: 1},
		{name: "reset", kind: vmlinev1.Operation_KIND_RESET, calls: 1},
		{name: "suspend", kind: vmlinev1.Operation_KIND_SUSPEND, calls: 1},
		{name: "unsuspend", kind: vmlinev1.Operation_KIND_UNSUSPEND, stage: suspend, calls: 1},
		{name: "terminate", kind: terminate, calls: 5},
		{name: "terminate of a foreign machine", kind: terminate, stage: foreign, says: "is not ours"},
		{name: "remove", kind: remove, stage: off, unused: true, calls: 4},
		{name: "remove with nowhere to put a disk", kind: remove, stage: both(off, elsewhere), unused: true, says: "there is no machine of parking_vmids"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("plan-%d", 7600+i), 700+i
			vm := w.place(t, ref, vmid, tt.stage)
			if tt.kind == terminate || tt.kind == remove {
				w.dress(t, vm, tt.unused)
				w.Sim.AddSnapshot(vmid, "two", "")
			}
			w.Sim.ResetCalls()
			reply := w.plan(t, ref, tt.kind, tt.params)
			if done := w.done(vmid); len(done) != 0 {
				t.Fatalf("asking has called %q", done)
			}
			planned := lines(reply)
			if len(planned) != tt.calls || !strings.Contains(reply.GetProblem().GetCause(), tt.says) || (tt.says == "") != (reply.GetProblem() == nil) {
				t.Errorf("planned %q, problem %v", planned, reply.GetProblem())
			}
			id := w.SendWith(ref, tt.kind, nil, tt.params)
			end := w.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED || ended(id)(vm)
			})
			if done := w.done(vmid); !slices.Equal(done, planned) {
				t.Errorf("done is %q, planned was %q", done, planned)
			}
			problem := end.GetProblem()
			if op := end.GetOperation(); op.GetProblem() != nil {
				problem = op.GetProblem()
			}
			if problem.GetCause() != reply.GetProblem().GetCause() || problem.GetNext() != reply.GetProblem().GetNext() {
				t.Errorf("the problem is %v, planned was %v", problem, reply.GetProblem())
			}
		})
	}
}

// TestAPlanOfWhatDoesNotExistYet names in braces what is not chosen yet.
func TestAPlanOfWhatDoesNotExistYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{})
	pkg := rig.Small("web")
	pkg.Readiness = vmlinev1.Readiness_READINESS_AGENT
	vm := chain.Begin(nil, &vmlinev1.Command{Ref: "plan-7700", Kind: vmlinev1.Operation_KIND_CREATE, Package: pkg}, time.Now(), func() string { return "uid" })
	reply := w.ask(t, vm)
	if got := lines(reply); !slices.Equal(got, []string{"POST /nodes/{node}/qemu/{vmid}/status/start"}) || reply.GetProblem() != nil {
		t.Errorf("planned %q, %v", got, reply.GetProblem())
	}
	if steps := reply.GetSteps(); len(steps) != 2 || steps[1].GetStep() != ready || len(steps[1].GetNotes()) != 1 {
		t.Errorf("steps %v", steps)
	}
}

// plan asks lifecycle what it would do.
func (w *world) plan(t *testing.T, ref string, kind vmlinev1.Operation_Kind, params *vmlinev1.Params) *vmlinev1.PlanReply {
	t.Helper()
	last, err := w.Bus.Last(t.Context(), ref)
	must(t, err)
	return w.ask(t, chain.Begin(last.VM, &vmlinev1.Command{Ref: ref, Kind: kind, Params: params}, time.Now(), nil))
}

// ask has the question answered as soon as the service listens.
func (w *world) ask(t *testing.T, vm *vmlinev1.VM) *vmlinev1.PlanReply {
	t.Helper()
	reply := &vmlinev1.PlanReply{}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		err := w.Bus.Ask(t.Context(), chain.Lifecycle, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: vm}, reply)
		if err == nil {
			return reply
		}
		if !errors.Is(err, bus.ErrNobody) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// lines are the calls of a plan.
func lines(reply *vmlinev1.PlanReply) []string {
	var out []string
	for _, step := range reply.GetSteps() {
		for _, c := range step.GetCalls() {
			out = append(out, callLine(c.GetMethod(), c.GetPath(), c.GetParams()))
		}
	}
	return out
}

// done are the changing calls that name the VMID, also for its backups.
func (w *world) done(vmid int) []string {
	var out []string
	for _, c := range w.Sim.Calls() {
		named := strings.Contains(c.Path+"/", fmt.Sprintf("/qemu/%d/", vmid)) || strings.Contains(c.Path, fmt.Sprintf("vzdump-qemu-%d-", vmid))
		if named && c.Method != http.MethodGet {
			out = append(out, callLine(c.Method, c.Path, c.Params))
		}
	}
	return out
}

// callLine is a call without what only the moment of calling knows.
func callLine(method, path string, params map[string]string) string {
	line := method + " " + path
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if key != "digest" {
			line += " " + key + "=" + params[key]
		}
	}
	return line
}
