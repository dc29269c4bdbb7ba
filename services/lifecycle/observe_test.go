package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/lifecycle"
)

// sentinel is the ref of a VM that is observed after all others, because its state was written last.
const sentinel = "sentinel"

// observe has a look at the cluster come to its end, and returns how often the tick was fired for it: one
// that finds the last look still at work is dropped.
func (w *world) observe(t *testing.T) (fired int) {
	t.Helper()
	last, err := w.Bus.Last(t.Context(), sentinel)
	must(t, err)
	lock := map[string]string{"": "backup", "backup": ""}[last.VM.GetRemoteLock()]
	w.Sim.SetLock(int(last.VM.GetVmid()), lock)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waited, deadline := 0, time.Now().Add(time.Minute); last.VM.GetRemoteLock() != lock; waited++ {
		if waited%100 == 0 {
			w.Observe()
			fired++
		}
		<-tick.C
		if last, err = w.Bus.Last(t.Context(), sentinel); err != nil || time.Now().After(deadline) {
			t.Fatalf("the look does not come to its end: %v, %v", last.VM, err)
		}
	}
	return fired
}

// written returns how many states a VM's log has.
func (w *world) written(t *testing.T, ref string) int {
	t.Helper()
	log, err := w.Bus.History(t.Context(), ref)
	must(t, err)
	return len(log)
}

// TestObservation has a row for each thing that may happen to a machine behind our back. All are seen
// with one request for the list; what the list does not prove is asked for.
func TestObservation(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Nodes = append(cfg.Nodes, pvesim.Node{Name: "pve4"})
	w := newWorld(t, rig.Options{Sim: &cfg})
	moved := func(node string) func(w *world, vmid int) {
		return func(w *world, vmid int) { _ = w.Sim.Move(vmid, node) }
	}
	power := func(on bool) func(*world, int) { return func(w *world, vmid int) { w.Sim.SetRunning(vmid, on) } }
	gone := func(w *world, vmid int) { w.Sim.Remove(vmid) }
	replaced := func(tags string) func(*world, int) {
		return func(w *world, vmid int) {
			w.Sim.Remove(vmid)
			_ = w.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: "pve1", Name: "shop", Config: map[string]string{"tags": tags}})
		}
	}
	works := func(vm *vmlinev1.VM, _ *pvesim.VMSpec) { // a step of another service is under way
		vm.Operation.Route = []vmlinev1.Status{ready, vmlinev1.Status_STATUS_SET_FIREWALL, ready}
		vm.Operation.Kind, vm.Operation.State = vmlinev1.Operation_KIND_SET_FIREWALL, vmlinev1.Operation_STATE_RUNNING
	}
	rows := []struct {
		name   string
		stage  func(*vmlinev1.VM, *pvesim.VMSpec)
		happen func(w *world, vmid int)
		// news says that it is written down; then node, power, lock and drift are what is shown.
		news  bool
		node  string
		power vmlinev1.RemoteStatus
		lock  string
		drift vmlinev1.Drift_Kind
		says  string
	}{
		{name: "nothing"},
		{name: "its customer shuts it down", happen: power(false), news: true, node: "pve1", power: stopped, drift: vmlinev1.Drift_KIND_POWER, says: "is stopped, and should run"},
		{name: "somebody starts it", stage: off, happen: power(true), news: true, node: "pve1", power: running, drift: vmlinev1.Drift_KIND_POWER, says: "runs, and should be stopped"},
		{name: "a backup locks it", happen: func(w *world, vmid int) { w.Sim.SetLock(vmid, "backup") }, news: true, node: "pve1", power: running, lock: "backup"},
		{name: "high availability moves it", happen: moved("pve3"), news: true, node: "pve3", power: running},
		{name: "somebody removes it", happen: gone, news: true, node: "pve1", drift: vmlinev1.Drift_KIND_MISSING, says: "no machine under the VMID"},
		{name: "another machine takes its place", happen: replaced("web"), news: true, node: "pve1", power: running, drift: vmlinev1.Drift_KIND_FOREIGN, says: "is not ours"},
		{name: "another machine of another install takes its place", happen: replaced("vmline"), news: true, node: "pve1", power: running, drift: vmlinev1.Drift_KIND_FOREIGN, says: "is not ours"},
		{name: "its node fails", stage: func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { vm.Node, spec.Node = "pve4", "pve4" }, happen: func(w *world, _ int) { w.Sim.SetNodeOnline("pve4", false) }},
		{name: "it changes while an operation runs", stage: works, happen: power(false)},
	}
	refs := make([]string, len(rows))
	for i, tt := range rows {
		refs[i] = fmt.Sprintf("observe-%d", 7300+i)
		w.place(t, refs[i], 600+i, tt.stage)
	}
	w.place(t, sentinel, 699, nil)
	w.observe(t)
	for i, tt := range rows {
		if n := w.written(t, refs[i]); n != 1 {
			t.Errorf("%s: %d states before anything has happened", tt.name, n)
		}
		if tt.happen != nil {
			tt.happen(w, 600+i)
		}
	}
	for range 3 { // what was seen is written once
		w.Sim.ResetCalls()
		if ticks, lists := w.observe(t), w.count("GET", "/cluster/resources"); lists > ticks {
			t.Errorf("%d requests for the list in %d looks", lists, ticks)
		}
	}
	for i, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			last, err := w.Bus.Last(t.Context(), refs[i])
			must(t, err)
			vm := last.VM
			if want := map[bool]int{false: 1, true: 2}[tt.news]; w.written(t, refs[i]) != want {
				t.Fatalf("%d states are written, want %d; the last is %v", w.written(t, refs[i]), want, vm)
			}
			if !tt.news {
				return
			}
			if vm.GetEvent() != vmlinev1.Event_EVENT_OBSERVED || vm.GetNode() != tt.node || vm.GetRemoteStatus() != tt.power || vm.GetRemoteLock() != tt.lock || vm.GetStatus() != ready {
				t.Errorf("it is shown as %v", vm)
			}
			var kind vmlinev1.Drift_Kind
			for _, d := range vm.GetDrift() {
				if kind = d.GetKind(); !strings.Contains(d.GetDetail(), tt.says) || d.GetSince() == nil {
					t.Errorf("drift %v", d)
				}
			}
			if kind != tt.drift {
				t.Errorf("drift %s, want %s", kind, tt.drift)
			}
		})
	}
}

// count counts calls.
func (w *world) count(method, path string) int {
	n := 0
	for _, c := range w.Sim.Calls() {
		if c.Method == method && c.Path == path {
			n++
		}
	}
	return n
}

// TestWhatCannotBeSeenIsNotGone: the cluster does not answer, or its list lacks a machine that it has.
func TestWhatCannotBeSeenIsNotGone(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	w := newWorld(t, rig.Options{Sim: &cfg})
	w.place(t, "unseen-7400", 650, nil)
	w.place(t, sentinel, 699, nil)
	// A container has the VMID now: the list of machines does not show it, and the VMID is not free.
	blind := w.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/cluster/nextid", Text: "Parameter verification failed."})
	w.Sim.Remove(650)
	w.observe(t)
	if n := w.written(t, "unseen-7400"); n != 1 {
		t.Errorf("%d states are written although the VMID may be in use", n)
	}
	blind()
	down := w.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/cluster/resources", Times: 1, Text: "cluster not ready - no quorum?"})
	defer down()
	w.Observe()
	w.observe(t)
	last, err := w.Bus.Last(t.Context(), "unseen-7400")
	must(t, err)
	if d := last.VM.GetDrift(); len(d) != 1 || d[0].GetKind() != vmlinev1.Drift_KIND_MISSING || last.VM.GetStatus() != ready {
		t.Errorf("now that Proxmox has confirmed it, it is shown as %v", last.VM)
	}
	// Somebody restores it.
	must(t, w.Sim.AddVM(pvesim.VMSpec{VMID: 650, Node: "pve2", Name: "web", Running: true, Config: map[string]string{
		"description": "vmline ref=unseen-7400 uid=uid-unseen-7400", "tags": "vmline", "vmgenid": genID,
	}}))
	w.observe(t)
	if last, err = w.Bus.Last(t.Context(), "unseen-7400"); err != nil || len(last.VM.GetDrift()) != 0 || last.VM.GetNode() != "pve2" || last.VM.GetRemoteStatus() != running {
		t.Errorf("it is back and shown as %v, %v", last.VM, err)
	}
}

// TestRow17ASuspendedMachineThatIsStarted is stopped again, by an operation that says who began it and
// why. A foreign machine in its place is not.
func TestRow17ASuspendedMachineThatIsStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{})
	before := w.place(t, "suspended-7500", 670, suspend)
	w.place(t, "suspended-7501", 671, func(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
		suspend(vm, spec)
		spec.Config["description"] = "shop"
	})
	w.place(t, sentinel, 699, nil)
	w.Sim.SetRunning(670, true)
	w.Sim.SetRunning(671, true)
	w.Sim.ResetCalls()
	w.observe(t)
	vm := w.Await("suspended-7500", func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() != before.GetOperation().GetId() && vm.GetOperation().GetState() == vmlinev1.Operation_STATE_SUCCEEDED
	})
	op := vm.GetOperation()
	if op.GetKind() != vmlinev1.Operation_KIND_SUSPEND || op.GetRequestedBy() != lifecycle.Observer || op.GetParams().GetReason() == "" {
		t.Errorf("the operation is %v", op)
	}
	if state, _ := w.Sim.VM(670); state.Status != "stopped" || vm.GetStatus() != suspended || vm.GetRemoteStatus() != stopped || vm.GetWantedPower() != running {
		t.Errorf("the machine is %s, shown as %v", state.Status, vm)
	}
	if got := w.changes(670); len(got) != 1 || got[0] != "POST /status/stop overrule-shutdown=1" {
		t.Errorf("calls %q", got)
	}
	w.CheckLog("suspended-7500")
	if got := w.changes(671); len(got) != 0 {
		t.Errorf("a foreign machine was touched: %q", got)
	}
	last, err := w.Bus.Last(t.Context(), "suspended-7501")
	must(t, err)
	if d := last.VM.GetDrift(); len(d) != 1 || d[0].GetKind() != vmlinev1.Drift_KIND_FOREIGN {
		t.Errorf("it is shown as %v", last.VM)
	}
	// Nobody can start it by a command: admission refuses.
	id := w.Send("suspended-7500", vmlinev1.Operation_KIND_START, nil)
	refusal := w.AwaitRefusal(id)
	if !strings.Contains(refusal.GetProblem().GetCause(), "start is not allowed in status suspended") {
		t.Errorf("refused: %v", refusal.GetProblem())
	}
}
