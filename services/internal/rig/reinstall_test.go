package rig

import (
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAReinstallationThatCannotEndTakesNothingAway: without a template that fits, the machine that stands is
// kept, and the VM is what it was.
func TestAReinstallationThatCannotEndTakesNothingAway(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	must(t, r.Sim.AddVM(pvesim.VMSpec{VMID: 9100, Node: "pve1", Name: "vast", Storage: "shared1", DiskGB: 64, CloudInit: true, Template: true}))
	const ref, reinstall = "w1-again", vmlinev1.Operation_KIND_REINSTALL
	r.Order(ref, Small("web"))
	before := r.Await(ref, Ended(create))
	for _, tt := range []struct{ template, says string }{
		{"none", `the cluster has no template "none"`},
		{"vast", "template vast has a system disk of 64.0 GiB and the package says 10 GB"},
	} {
		params := &vmlinev1.Params{Template: tt.template}
		if f := r.foresee(ref, reinstall, nil, params); len(f.Problems) == 0 || !strings.Contains(f.Problems[0].GetCause(), tt.says) {
			t.Errorf("%s: the dry run finds %v", tt.template, f.Problems)
		}
		r.checkNothingDone(before, reinstall, nil, params, tt.says)
	}
	id := r.SendWith(ref, reinstall, nil, nil)
	r.Await(ref, func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() == vmlinev1.Operation_STATE_SUCCEEDED
	})
	r.CheckLog(ref)
	r.CheckWorld()
}
