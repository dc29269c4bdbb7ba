package rig

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAChangeThatCannotBeIsRefusedBeforeAnythingStops has a row for each thing that a change of package may ask
// of a machine's node in vain. Each would need a stop.
func TestAChangeThatCannotBeIsRefusedBeforeAnythingStops(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	const ref = "w1-room"
	r.Order(ref, Small("web"))
	before := r.Await(ref, Ended(create))
	for _, tt := range []struct {
		name, says string
		change     func(*vmlinev1.Package)
	}{
		{"more cores than the node has", "the package has 500 cores and node", func(p *vmlinev1.Package) { p.Cores = 500 }},
		{"more memory than the node has", "the package has 999999999 MiB of memory and node", func(p *vmlinev1.Package) { p.MemoryMib = 999999999 }},
		{"a CPU type that there is not", `has no CPU type "pentium9"`, func(p *vmlinev1.Package) { p.CpuType = "pentium9" }},
		{"a storage that there is not", `has no storage "nowhere" for the additional disk`, func(p *vmlinev1.Package) {
			p.AdditionalDisk = &vmlinev1.Disk{Storage: "nowhere", SizeGb: 1}
		}},
		{"a bridge that there is not", `has no bridge "vmbr77"`, func(p *vmlinev1.Package) { p.Network.Bridge = "vmbr77" }},
		{"a smaller disk", "cannot shrink", func(p *vmlinev1.Package) { p.SystemDisk.SizeGb = 9 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pkg := changed(Small("web"), func(p *vmlinev1.Package) { p.Cores = 2 })
			tt.change(pkg)
			r.For(t).checkNothingDone(before, changePackage, pkg, nil, tt.says)
		})
	}
	r.CheckWorld()
}

// checkNothingDone sends a command to a ready VM and fails the test unless it is refused because of what says
// names, without a call that changes anything, and the VM is what it was before.
func (r *Rig) checkNothingDone(before *vmlinev1.VM, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package, params *vmlinev1.Params, says string) {
	r.t.Helper()
	r.Sim.ResetCalls()
	id := r.SendWith(before.GetRef(), kind, pkg, params)
	vm := r.Await(before.GetRef(), func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
	})
	p := vm.GetOperation().GetProblem()
	if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_REFUSED || !strings.Contains(p.GetCause(), says) || p.GetNext() == "" {
		r.t.Errorf("%s: a person reads %v of %v", says, p, vm.GetOperation().GetState())
	}
	if vm.GetStatus() != readyStatus || !proto.Equal(vm.GetPackage(), before.GetPackage()) || vm.GetTemplateVmid() != before.GetTemplateVmid() {
		r.t.Errorf("%s: it is %v, was %v", says, vm, before)
	}
	if calls := slices.DeleteFunc(r.Sim.Calls(), func(c pvesim.Call) bool { return c.Method == http.MethodGet }); len(calls) > 0 {
		r.t.Errorf("%s: it made %v", says, calls)
	}
}
