package withstand

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// checkStanding compares the world with the VMs' states, before and after a change of package makes each
// machine what its package says.
func (w *walk) checkStanding() {
	w.t.Helper()
	w.checkDecided()
	w.checkOwners()
	for _, ref := range w.refs {
		vm := w.last(ref)
		if w.checkPower(vm); vm.GetStatus() == vmlinev1.Status_STATUS_READY && !w.byHand[ref] {
			w.checkShape(vm)
		}
	}
	for _, ref := range w.refs {
		if vm := w.last(ref); vm.GetStatus() == vmlinev1.Status_STATUS_READY {
			w.reshape(vm)
		}
	}
	w.checkOwners()
}

// checkDecided: every command has become an operation or was refused, and whatever waited for a person said
// why, what was kept and what is next. Nothing was given up.
func (w *walk) checkDecided() {
	w.t.Helper()
	begun := map[string]bool{}
	for _, ref := range w.refs {
		if w.last(ref) == nil {
			continue
		}
		w.CheckLog(ref)
		log, err := w.Bus.History(w.t.Context(), ref)
		must(w.t, err)
		for _, e := range log {
			begun[e.VM.GetOperation().GetId()] = true
			p := e.VM.GetProblem()
			if e.VM.GetEvent() == vmlinev1.Event_EVENT_PARKED && (p.GetStep() == 0 || p.GetCause() == "" || p.GetKept() == "" || p.GetNext() == "") {
				w.t.Errorf("%s waits for a person and says %v", ref, p)
			}
		}
	}
	for _, cmd := range w.sent {
		if w.refusal(cmd) == nil && !begun[cmd.GetId()] {
			w.t.Errorf("nobody knows what became of %s", cmd.GetId())
		}
	}
	letters, err := w.Bus.DeadLetters(w.t.Context(), 0, 100)
	must(w.t, err)
	for _, l := range letters {
		w.t.Errorf("given up: %v", l)
	}
}

// long is after what an interrupted step has taken and nobody lists is given back.
const long = 10 * time.Minute

// checkOwners: each machine of ours is one VM's, under its VMID; each address is held for
// exactly the VM that lists it; the index of addresses agrees; nobody else's machine was touched.
func (w *walk) checkOwners() {
	w.t.Helper()
	var (
		own    = map[int]*vmlinev1.VM{}
		holder = map[string]string{}
	)
	for _, ref := range w.refs {
		vm := w.last(ref)
		if vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED {
			continue
		}
		if other := own[int(vm.GetVmid())]; other != nil && vm.GetVmid() != 0 {
			w.t.Errorf("%s and %s have VMID %d", ref, other.GetRef(), vm.GetVmid())
		}
		own[int(vm.GetVmid())] = vm
		for _, a := range vm.GetAddresses() {
			if other, taken := holder[a.GetAddress()]; taken {
				w.t.Errorf("%s and %s have %s", ref, other, a.GetAddress())
			}
			if a.GetPool() != "" {
				holder[a.GetAddress()] = ref
			}
		}
	}
	for _, m := range w.Ours() {
		if vm := own[m.VMID]; vm == nil || !strings.Contains(m.Config["description"], machine.Mark(vm)) {
			w.t.Errorf("VM %d on %s (%s) belongs to no VM; under its VMID is %v", m.VMID, m.Node, m.Config["description"], vm.GetRef())
		}
	}
	w.ahead.Add(int64(long))
	w.checkPools(holder)
	w.foreign.unchanged()
}

// checkPools: the truth holds exactly these addresses for these refs, and the index comes to count as many.
func (w *walk) checkPools(want map[string]string) {
	w.t.Helper()
	must(w.t, w.Bus.Tick(w.t.Context(), bus.TickIPAMReconcile))
	must(w.t, w.Bus.Tick(w.t.Context(), bus.TickVMIDReconcile))
	for _, pool := range []string{"v4", "v6", "vlan"} {
		var got string
		deadline := time.Now().Add(20 * time.Second) // what was overtaken is given back when its step sees that
		for {
			if got = w.wrongIn(pool, want); got == "" || time.Now().After(deadline) {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		if got != "" {
			w.t.Errorf("pool %s: %s", pool, got)
		}
	}
}

// wrongIn says how a pool differs from what the VMs list; empty where it does not.
func (w *walk) wrongIn(pool string, want map[string]string) string {
	reply := &vmlinev1.PoolsReply{}
	if err := w.Bus.Ask(w.t.Context(), chain.IPAM, bus.QuestionPools, &vmlinev1.PoolsRequest{Pool: pool, Limit: 1000}, reply); err != nil {
		return err.Error()
	}
	for _, h := range reply.GetHeld() {
		if ref := want[h.GetAddress()]; ref != h.GetRef() {
			return fmt.Sprintf("%s is held for %s, and listed by %q", h.GetAddress(), h.GetRef(), ref)
		}
	}
	for _, p := range reply.GetPools() {
		if p.GetPool().GetName() == pool && p.GetUsed() != uint64(len(reply.GetHeld())) {
			return fmt.Sprintf("the index counts %d addresses, the truth %d", p.GetUsed(), len(reply.GetHeld()))
		}
	}
	return ""
}

// checkPower: a machine that is to run runs, and one that is suspended does not, unless a person has switched it.
func (w *walk) checkPower(vm *vmlinev1.VM) {
	w.t.Helper()
	want := map[vmlinev1.Status]string{vmlinev1.Status_STATUS_SUSPENDED: "stopped"}[vm.GetStatus()]
	if vm.GetStatus() == vmlinev1.Status_STATUS_READY {
		want = map[vmlinev1.RemoteStatus]string{vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING: "running", vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED: "stopped"}[vm.GetWantedPower()]
	}
	if want == "" || w.byHand[vm.GetRef()] {
		return
	}
	if m, _ := w.Sim.VM(int(vm.GetVmid())); m.Status != want {
		w.t.Errorf("%s is %v and should be %s; its machine is %s", vm.GetRef(), chain.Name(vm.GetStatus()), want, m.Status)
	}
}

// checkShape: a machine is what its package says. It may have left the node that its state names: a migration
// that was cancelled goes on, and the next observation follows it.
func (w *walk) checkShape(vm *vmlinev1.VM) {
	w.t.Helper()
	m, exists := w.Sim.VM(int(vm.GetVmid()))
	if !exists {
		w.t.Errorf("%s is ready and has no machine", vm.GetRef())
		return
	}
	pkg := vm.GetPackage()
	want := map[string]string{"cores": fmt.Sprint(pkg.GetCores()), "memory": fmt.Sprint(pkg.GetMemoryMib()), "name": pkg.GetName()}
	for key, value := range want {
		if m.Config[key] != value && value != "0" {
			w.t.Errorf("%s: %s is %q, want %q", vm.GetRef(), key, m.Config[key], value)
		}
	}
	if len(m.Pending) > 0 || !slices.Contains(m.Tags, machine.Tag) {
		w.t.Errorf("%s: pending %v, tags %v", vm.GetRef(), m.Pending, m.Tags)
	}
	w.checkAddresses(vm, m.Config["ipconfig0"])
}

// checkAddresses: the guest is told the VM's first addresses, the filter lets pass all of them, and they are
// as many as the package says.
func (w *walk) checkAddresses(vm *vmlinev1.VM, ipconfig string) {
	w.t.Helper()
	counts, told := map[bool]uint32{}, map[bool]string{}
	for _, a := range vm.GetAddresses() {
		six := strings.Contains(a.GetAddress(), ":")
		if counts[six]++; counts[six] == 1 {
			told[six] = a.GetAddress() + "/"
		}
	}
	if n := vm.GetPackage().GetNetwork(); counts[false] != n.GetIpv4Count() || counts[true] != n.GetIpv6Count() {
		w.t.Errorf("%s has %s; its package has %d and %d", vm.GetRef(), addressed(vm), n.GetIpv4Count(), n.GetIpv6Count())
	}
	for _, address := range told {
		if !strings.Contains(ipconfig, "="+address) {
			w.t.Errorf("%s: the guest is told %q, has %s", vm.GetRef(), ipconfig, addressed(vm))
		}
	}
	if got := filtered(w.Rig, vm); vm.GetPackage().GetFirewall().GetIpFilter() && got != addressed(vm) {
		w.t.Errorf("%s: the IP filter lets %s pass, has %s", vm.GetRef(), got, addressed(vm))
	}
}

// checkNothingLeft: what was ours is gone, with its volumes, firewalls, addresses and VMIDs. VMIDs that
// others have taken stay reserved.
func (w *walk) checkNothingLeft() {
	w.t.Helper()
	w.checkDecided()
	w.checkOwners()
	exists := map[int]bool{}
	for _, m := range w.Sim.VMs() {
		exists[m.VMID] = true
	}
	for _, v := range w.Sim.Volumes() {
		if !exists[v.VMID] {
			w.t.Errorf("left behind: %+v", v)
		}
	}
	for _, f := range w.Sim.Firewalls() {
		if !exists[f.VMID] {
			w.t.Errorf("left behind: %+v", f)
		}
	}
	eventually(w.t, "the end of all reservations", func() bool { return !slices.ContainsFunc(w.reserved(), func(vmid int) bool { return !exists[vmid] }) })
}

// reserved are the VMIDs that are held.
func (w *walk) reserved() (vmids []int) {
	bucket, err := w.Bus.Bucket(w.t.Context(), bus.BucketVMID)
	must(w.t, err)
	must(w.t, bucket.Each(w.t.Context(), ">", func(i bus.Item) error {
		vmids = append(vmids, number(strings.TrimPrefix(i.Key, rig.Cluster+".")))
		return nil
	}))
	return vmids
}
