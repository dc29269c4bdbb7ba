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
	"github.com/vmline/vmline/pkg/chain"
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

// command is a command at random, mostly one that is possible now.
func (w *walk) command(ref string) *vmlinev1.Command {
	vm := w.last(ref)
	return w.commandOf(vm, ref, w.kind(vm))
}

// rarely are commands that end what others would have been about, or set aside what is known.
var rarely = []vmlinev1.Operation_Kind{
	terminate, vmlinev1.Operation_KIND_RESET_STATUS, vmlinev1.Operation_KIND_ADOPT, vmlinev1.Operation_KIND_REMOVE, vmlinev1.Operation_KIND_SUSPEND,
}

func (w *walk) kind(vm *vmlinev1.VM) vmlinev1.Operation_Kind {
	kinds := chain.Possible(vm)
	if len(kinds) == 0 || w.odds(8) {
		kinds = nil
		for _, r := range chain.Routes() {
			kinds = append(kinds, r.Kind)
		}
	}
	kind := one(w, kinds...)
	if slices.Contains(rarely, kind) && !w.odds(3) {
		kind = one(w, kinds...)
	}
	if kind != changePackage && slices.Contains(kinds, changePackage) && w.odds(4) {
		kind = changePackage
	}
	return kind
}

func (w *walk) commandOf(vm *vmlinev1.VM, ref string, kind vmlinev1.Operation_Kind) *vmlinev1.Command {
	var pkg *vmlinev1.Package
	if r, _ := chain.RouteOf(kind); r.Package {
		pkg = w.pkg(ref)
	}
	cmd, err := rig.Command(ref, kind, pkg, vm.GetOperation().GetId())
	must(w.t, err)
	cmd.Id = fmt.Sprintf("%s.%s.%d", ref, chain.KindName(kind), len(w.sent))
	cmd.Params = w.params(kind, ref)
	return cmd
}

// pkg is a package at random.
func (w *walk) pkg(ref string) *vmlinev1.Package {
	p := one(w, rig.Small, rig.Full)(ref)
	p.Cores, p.MemoryMib, p.Onboot = uint32(1+w.rnd.IntN(4)), uint32(512*(1+w.rnd.IntN(4))), w.odds(2)
	p.SystemDisk.SizeGb = uint32(10 * (1 + w.rnd.IntN(4)))
	p.Template, p.Node = one(w, "tmpl", "tmpl", "local"), one(w, "", "", "", "pve1", "pve2")
	p.Network.Ipv4Count, p.Network.Ipv6Count = uint32(w.rnd.IntN(4)), uint32(w.rnd.IntN(2))
	p.Network.RateMbps = one(w, 0, 12.5)
	if w.odds(5) {
		p.Network.Vlan, p.Network.Ipv6Count = 7, 0
	} else if w.odds(4) {
		p.Network.Ipv4Count, p.Network.Addresses = max(1, p.Network.GetIpv4Count()), []string{fmt.Sprintf("10.64.0.%d", 2+w.rnd.IntN(13))}
	}
	p.Readiness = one(w, vmlinev1.Readiness_READINESS_RUNNING, vmlinev1.Readiness_READINESS_AGENT)
	return p
}

// params are all parameters that the command needs or takes.
func (w *walk) params(kind vmlinev1.Operation_Kind, ref string) *vmlinev1.Params {
	route, _ := chain.RouteOf(kind)
	p := &vmlinev1.Params{}
	for _, param := range slices.Concat(route.Needs, route.Takes) {
		switch param {
		case chain.ParamNode:
			p.Node = one(w, "pve1", "pve2", "pve3")
		case chain.ParamStatus:
			p.Status = one(w, resettable...)
		case chain.ParamReason:
			p.Reason = "looked at it"
		case chain.ParamTemplate:
			p.Template = one(w, "", "tmpl", "local")
		case chain.ParamVMID:
			p.Vmid = w.byStranger(ref)
		case chain.ParamPassword:
			p.SealedPassword = sealedFor(w.t, w.Rig, newPassword)
		case chain.ParamTimeout:
			p.TimeoutSeconds = 1
		}
	}
	return p
}

// resettable are statuses that an operator gives; most of them are refused somewhere.
var resettable = []vmlinev1.Status{
	vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_MIGRATED, vmlinev1.Status_STATUS_SET_CPU_RAM,
	vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Status_STATUS_SET_FIREWALL, vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_READY,
	vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SUSPENDED, vmlinev1.Status_STATUS_REMOVED,
}

// byStranger makes a machine that somebody may want to adopt, and returns its VMID.
func (w *walk) byStranger(ref string) uint32 {
	w.strangers++
	vmid := 7000 + w.strangers
	must(w.t, w.Sim.AddVM(pvesim.VMSpec{
		VMID: vmid, Node: "pve2", Name: ref, Storage: "shared1", DiskGB: 10, CloudInit: w.odds(2), Running: w.odds(2),
		Config: map[string]string{"agent": "1", "boot": "order=scsi0", "cores": "2", "memory": "1024", "net0": "virtio,bridge=vmbr0", "description": "by hand"},
	}))
	return uint32(vmid)
}

// send sends a command and does not wait for what becomes of it.
func (w *walk) send(cmd *vmlinev1.Command) {
	w.t.Helper()
	w.tell("%s after %q %v %s", cmd.GetId(), cmd.GetAfter(), cmd.GetParams(), brief(cmd.GetPackage()))
	w.sent = append(w.sent, cmd)
	if slices.Contains(overriding, cmd.GetKind()) {
		w.byHand[cmd.GetRef()] = true
	}
	must(w.t, w.Bus.SendCommand(w.t.Context(), cmd))
}

// brief is what packages here differ in.
func brief(p *vmlinev1.Package) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s on %q, %d cores, %d MiB, %d GB, filter %t, network %v", p.GetTemplate(), p.GetNode(), p.GetCores(), p.GetMemoryMib(),
		p.GetSystemDisk().GetSizeGb(), p.GetFirewall().GetIpFilter(), p.GetNetwork())
}

// overriding are the commands by which a person knows better than the chain.
var overriding = []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_RESET_STATUS, vmlinev1.Operation_KIND_RESUME, vmlinev1.Operation_KIND_ADOPT}

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
