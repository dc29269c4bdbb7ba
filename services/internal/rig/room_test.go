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
		r.Sim.ResetCalls()
		pkg := changed(Small("web"), func(p *vmlinev1.Package) { p.Cores = 2 })
		tt.change(pkg)
		id := r.SendWith(ref, changePackage, pkg, nil)
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
			return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		p := vm.GetOperation().GetProblem()
		if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_REFUSED || !strings.Contains(p.GetCause(), tt.says) || p.GetNext() == "" {
			t.Errorf("%s: a person reads %v of %v", tt.name, p, vm.GetOperation().GetState())
		}
		if vm.GetStatus() != readyStatus || !proto.Equal(vm.GetPackage(), before.GetPackage()) {
			t.Errorf("%s: it is %v with %v", tt.name, vm.GetStatus(), vm.GetPackage())
		}
		if calls := slices.DeleteFunc(r.Sim.Calls(), func(c pvesim.Call) bool { return c.Method == http.MethodGet }); len(calls) > 0 {
			t.Errorf("%s: it made %v", tt.name, calls)
		}
	}
	r.CheckWorld()
}
