package rig

import (
	"testing"

	"github.com/vmline/vmline/pkg/leaktest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestFromAnOrderToAReadyMachineAndBack(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	full := Full("web-1")
	r.Order("w1-1001", Small("small-1"))
	r.Order("w1-1002", full)
	for _, ref := range []string{"w1-1001", "w1-1002"} {
		vm := r.Await(ref, Ended(vmlinev1.Operation_KIND_CREATE))
		r.CheckLog(ref)
		t.Logf("%s: VM %d on %s, %d addresses", ref, vm.GetVmid(), vm.GetNode(), len(vm.GetAddresses()))
	}
	r.CheckWorld()
	r.CheckReserved(4, 2)
	for _, ref := range []string{"w1-1001", "w1-1002"} {
		r.Terminate(ref)
		r.Await(ref, Ended(vmlinev1.Operation_KIND_TERMINATE))
		r.CheckLog(ref)
	}
	r.CheckWorld()
	r.CheckReserved(0, 0)
}
