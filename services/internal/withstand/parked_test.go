package withstand

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

const (
	resume   = vmlinev1.Operation_KIND_RESUME
	redeploy = vmlinev1.Operation_KIND_REDEPLOY
	retry    = vmlinev1.Operation_KIND_RETRY
)

// forbid has a call on every machine refused until the end of the returned function.
func forbid(r *rig.Rig, call faulty) (mend func()) {
	return r.Sim.AddFault(pvesim.Fault{
		Kind: pvesim.Refuse, Method: call.method, Path: anyMachine(call.path), Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.Other)",
	})
}

// TestAnOrderOverAHalfBuiltMachineThatIsParkedItself: whichever command takes it up, wherever it waits, the machine
// is told of the addresses that it keeps before another VM may have the rest.
func TestAnOrderOverAHalfBuiltMachineThatIsParkedItself(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	r := rig.New(t, rig.Options{Sim: lapse(), Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	startAll(r, 1, rig.Edge{})
	for i, tt := range []struct {
		// call goes wrong, so that the order is parked at that status.
		call faulty
		at   vmlinev1.Status
		kind vmlinev1.Operation_Kind
		// after is where a resumption takes it up.
		after vmlinev1.Status
	}{
		{shutsDown, vmlinev1.Status_STATUS_MIGRATED, resume, vmlinev1.Status_STATUS_SET_NETWORK},
		{shutsDown, vmlinev1.Status_STATUS_MIGRATED, resume, vmlinev1.Status_STATUS_CREATION},
		{shutsDown, vmlinev1.Status_STATUS_MIGRATED, redeploy, 0},
		{configure, vmlinev1.Status_STATUS_STOPPED, resume, vmlinev1.Status_STATUS_MIGRATED},
		{configure, vmlinev1.Status_STATUS_STOPPED, redeploy, 0},
		{configure, vmlinev1.Status_STATUS_STOPPED, create, 0},
		{configure, vmlinev1.Status_STATUS_STOPPED, vmlinev1.Operation_KIND_SET_CPU_RAM, 0},
		{asksAgent, vmlinev1.Status_STATUS_IP_RELEASED, resume, vmlinev1.Status_STATUS_STARTING},
		{asksAgent, vmlinev1.Status_STATUS_IP_RELEASED, redeploy, 0},
		{asksAgent, vmlinev1.Status_STATUS_IP_RELEASED, retry, 0},
	} {
		t.Run(fmt.Sprintf("%s %s %s", tt.at, tt.kind, tt.after), func(t *testing.T) {
			r, ref := r.For(t), fmt.Sprintf("parked-%d", 5940+i)
			pkg := rig.Full("parked")
			pkg.Network.Ipv4Count, pkg.Network.Ipv6Count, pkg.Readiness = 3, 0, vmlinev1.Readiness_READINESS_AGENT
			begun := parkedBy(r, ref, asksAgent, pkg)
			pkg.Network.Ipv4Count, pkg.Cores = 1, 2
			stuck := parkedBy(r, ref, tt.call, pkg)
			if stuck.GetStatus() != tt.at || stuck.GetUid() != begun.GetUid() {
				t.Fatalf("it is parked at %s: %v", stuck.GetStatus(), stuck.GetProblem())
			}
			var order *vmlinev1.Package
			if tt.kind == create {
				order = pkg
			}
			id := r.SendWith(ref, tt.kind, order, &vmlinev1.Params{Status: tt.after})
			vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
			})
			machine, _ := r.Sim.VM(int(vm.GetVmid()))
			cores := "2"
			if tt.after == vmlinev1.Status_STATUS_SET_NETWORK {
				cores = "4" // the step that sets them is passed over
			}
			if vm.GetStatus() != vmlinev1.Status_STATUS_READY || machine.Status != "running" || machine.Config["cores"] != cores || len(machine.Pending) > 0 {
				t.Errorf("it is %s and its machine %s with %s cores, pending %v: %v", vm.GetStatus(), machine.Status, machine.Config["cores"], machine.Pending, vm.GetProblem())
			}
			first := begun.GetAddresses()[0].GetAddress()
			if addressed(vm) != first || filtered(r, vm) != first || !strings.HasPrefix(machine.Config["ipconfig0"], "ip="+first+"/") {
				t.Errorf("it has %s, its filter lets %s pass, and its guest is told %s", addressed(vm), filtered(r, vm), machine.Config["ipconfig0"])
			}
			ahead.Add(int64(long))
			must(t, r.Bus.Tick(t.Context(), bus.TickIPAMReconcile))
			r.CheckReserved(i+1, i+1)
			r.CheckLog(ref)
			r.CheckWorld()
		})
	}
}

// parkedBy orders a machine while a call goes wrong.
func parkedBy(r *rig.Rig, ref string, call faulty, pkg *vmlinev1.Package) *vmlinev1.VM {
	mend := forbid(r, call)
	defer mend()
	id := r.Order(ref, pkg)
	return r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id && rig.Parked(vm) })
}
