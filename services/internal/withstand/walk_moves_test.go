package withstand

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// moves are what a walk does, and how often.
var moves = []struct {
	weight int
	do     func(*walk)
}{
	{30, func(w *walk) { w.send(w.command(w.anyRef())) }},
	{30, func(w *walk) { w.pause(w.anyRef()) }},
	{4, (*walk).sendTwice},
	{4, (*walk).twoSenders},
	{12, (*walk).breakCalls},
	{2, (*walk).forget},
	{3, (*walk).stopService},
	{4, func(w *walk) { w.tell("services start"); w.startServices() }},
	{2, (*walk).pushButton},
	{2, (*walk).takeLock},
	{2, (*walk).moveAway},
	{2, (*walk).rollBack},
	{2, (*walk).giveBack},
	{1, (*walk).foreignArrival},
	{3, func(w *walk) { w.tell("observe"); w.Observe() }},
}

// pause waits for the end of what a ref does, though not long: it may wait for a lock, or for a service.
func (w *walk) pause(ref string) {
	w.tell("%s: pause", ref)
	enough := time.NewTimer(300 * time.Millisecond)
	defer enough.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !still(w.last(ref)) {
		select {
		case <-enough.C:
			return
		case <-tick.C:
		}
	}
}

func (w *walk) anyRef() string { return one(w, w.refs...) }

// last is a ref's newest state; nil for a ref that was never used.
func (w *walk) last(ref string) *vmlinev1.VM {
	e, err := w.Bus.Last(w.t.Context(), ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		w.t.Fatal(err)
	}
	return e.VM
}

func (w *walk) sendTwice() {
	cmd := w.command(w.anyRef())
	w.send(cmd)
	must(w.t, w.Bus.SendCommand(w.t.Context(), cmd))
}

// twoSenders send at once what they think right for what they both see.
func (w *walk) twoSenders() {
	ref := w.anyRef()
	first := w.command(ref)
	second := proto.CloneOf(first)
	if w.odds(2) {
		second = w.command(ref)
	}
	second.Id = first.GetId() + ".other"
	w.send(first)
	w.send(second)
}

// breakCalls has some of the next calls to Proxmox go wrong.
func (w *walk) breakCalls() {
	call, fault := one(w, callsOfAll...), one(w, faults...)
	if fault.Kind == pvesim.Slow && strings.Contains(call.path, "/firewall/") {
		return // carried out after the machine is destroyed, it leaves a file that nobody can know of
	}
	f := fault.Fault
	f.Method, f.Path = call.method, strings.NewReplacer("1%04d", "*", "%d", "*").Replace(call.path)
	f.Skip, f.Times = w.rnd.IntN(3), 1+w.rnd.IntN(3)
	w.tell("%s: %s, %d after %d", call.name, fault.name, f.Times, f.Skip)
	w.mend = append(w.mend, w.Sim.AddFault(f))
}

// callsOfAll are the calls that the commands make.
var callsOfAll = slices.Concat(builds, firewalls, sharedCreates, sharedTerminates, []faulty{
	stops, shutsDown, destroys, destroys, newDrive, readPending, dropFromSet,
	{"migrate", http.MethodPost, "/nodes/*/qemu/*/migrate", true, false},
})

func (w *walk) forget() {
	w.tell("Redis forgets")
	must(w.t, w.Redis.FlushAll(w.t.Context()).Err())
}

func (w *walk) stopService() {
	if h := one(w, w.crew...); h.stop != nil {
		w.tell("one %s stops", h.service)
		h.stop()
		h.stop = nil
	}
}

// machine is one of our machines and its ref; false where there is none.
func (w *walk) machine() (pvesim.VMState, bool) {
	ours := w.Ours()
	if len(ours) == 0 {
		return pvesim.VMState{}, false
	}
	vm := one(w, ours...)
	if mark := marked.FindStringSubmatch(vm.Config["description"]); mark != nil {
		w.byHand[mark[1]] = true
	}
	return vm, true
}

// pushButton starts a machine that is stopped, or stops one that runs.
func (w *walk) pushButton() {
	if vm, ok := w.machine(); ok {
		w.tell("somebody: VM %d, %s, is switched", vm.VMID, vm.Status)
		w.Sim.SetRunning(vm.VMID, vm.Status != "running")
	}
}

func (w *walk) takeLock() {
	vm, ok := w.machine()
	if !ok || vm.Lock != "" {
		return
	}
	lock := one(w, locks...)
	w.tell("somebody: VM %d gets the lock %s", vm.VMID, lock)
	w.Sim.SetLock(vm.VMID, lock)
	w.mend = append(w.mend, func() {
		if now, _ := w.Sim.VM(vm.VMID); now.Lock == lock {
			w.Sim.SetLock(vm.VMID, "")
		}
	})
}

func (w *walk) moveAway() {
	if vm, ok := w.machine(); ok && vm.Lock == "" {
		node := one(w, "pve1", "pve2", "pve3")
		w.tell("somebody: VM %d moves from %s to %s", vm.VMID, vm.Node, node)
		_ = w.Sim.Move(vm.VMID, node) // it may have gone meanwhile
	}
}

// rollBack has a person take a snapshot of a machine and go back to it.
func (w *walk) rollBack() {
	vm, ok := w.machine()
	if !ok || vm.Lock != "" || !w.Sim.AddSnapshot(vm.VMID, fmt.Sprintf("s%d", len(w.story)), "") {
		return
	}
	w.tell("somebody: VM %d is rolled back", vm.VMID)
	target := fmt.Sprintf("https://pve.invalid:8006/api2/json/nodes/%s/qemu/%d/snapshot/s%d/rollback", vm.Node, vm.VMID, len(w.story)-1)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, target, http.NoBody)
	must(w.t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+rig.TokenID+"="+rig.TokenSecret)
	if res, err := w.Sim.RoundTrip(req); err == nil { // a fault may stop it
		_ = res.Body.Close()
	}
}

// giveBack mends what was spoiled first.
func (w *walk) giveBack() {
	if len(w.mend) > 0 {
		w.tell("one thing is mended")
		w.mend[0]()
		w.mend = w.mend[1:]
	}
}

// foreignArrival puts somebody else's machine where our next may be about to go.
func (w *walk) foreignArrival() {
	vmid := 100
	for ; ; vmid++ {
		if _, taken := w.Sim.VM(vmid); !taken {
			break
		}
	}
	w.tell("somebody: VM %d is made", vmid)
	_ = w.foreign.come(vmid) // our own may be faster
}
