package rig

import (
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// career are commands on a machine that is ready, each of which leaves it in a state that the next one
// may begin in. Together they make every kind of call that vmline makes on a machine that stands.
func career(t *testing.T, r *Rig) []duty {
	t.Helper()
	password, err := r.Opener.Sealer().Seal([]byte("correct horse"))
	must(t, err)
	larger := Full("web-1")
	larger.Readiness, larger.Cores, larger.SystemDisk.SizeGb = vmlinev1.Readiness_READINESS_CLOUD_INIT_DONE, 6, 50
	larger.Network.Ipv4Count = 3
	return []duty{
		{kind: vmlinev1.Operation_KIND_CHANGE_PASSWORD, params: &vmlinev1.Params{SealedPassword: password}},
		{kind: vmlinev1.Operation_KIND_REBOOT},
		{kind: vmlinev1.Operation_KIND_RESET},
		{kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, pkg: larger},
		{kind: vmlinev1.Operation_KIND_SET_CREATED_ADDITIONAL_DISK},
		{kind: vmlinev1.Operation_KIND_SET_NETWORK},
		{kind: vmlinev1.Operation_KIND_SET_FIREWALL},
		{kind: vmlinev1.Operation_KIND_SUSPEND},
		{kind: vmlinev1.Operation_KIND_UNSUSPEND},
		{kind: vmlinev1.Operation_KIND_MIGRATE, params: &vmlinev1.Params{Node: "pve3"}},
		{kind: vmlinev1.Operation_KIND_REINSTALL},
		{kind: vmlinev1.Operation_KIND_STOP},
		{kind: vmlinev1.Operation_KIND_SET_CPU_RAM},
		{kind: vmlinev1.Operation_KIND_SET_CLOUDINIT},
		{kind: vmlinev1.Operation_KIND_REMOVE},
		{kind: vmlinev1.Operation_KIND_REINSTALL},
	}
}

// duty is one command of a career.
type duty struct {
	kind   vmlinev1.Operation_Kind
	pkg    *vmlinev1.Package
	params *vmlinev1.Params
}

// work carries the commands out and returns what stopped one of them.
func work(r *Rig, ref string, duties []duty) *vmlinev1.Problem {
	r.t.Helper()
	over := []vmlinev1.Operation_State{vmlinev1.Operation_STATE_SUCCEEDED, vmlinev1.Operation_STATE_PARKED, vmlinev1.Operation_STATE_REFUSED}
	for _, d := range duties {
		id := r.SendWith(ref, d.kind, d.pkg, d.params)
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
			return vm.GetOperation().GetId() == id && slices.Contains(over, vm.GetOperation().GetState())
		})
		switch vm.GetOperation().GetState() {
		case vmlinev1.Operation_STATE_PARKED:
			return vm.GetProblem()
		case vmlinev1.Operation_STATE_REFUSED:
			return vm.GetOperation().GetProblem()
		}
	}
	return nil
}

// adoption binds a ref to a machine that somebody has made by hand, and terminates it.
func adoption(r *Rig) *vmlinev1.Problem {
	r.t.Helper()
	must(r.t, r.Sim.AddVM(pvesim.VMSpec{
		VMID: 7001, Node: "pve1", Name: "by-hand", Storage: "shared1", DiskGB: 10, CloudInit: true, Running: true,
		Config: map[string]string{"agent": "1", "boot": "order=scsi0", "cores": "1", "memory": "1024", "net0": "virtio,bridge=vmbr0"},
	}))
	return work(r, "w1-1003", []duty{
		{kind: vmlinev1.Operation_KIND_ADOPT, pkg: Small("by-hand"), params: &vmlinev1.Params{Vmid: 7001}},
		{kind: vmlinev1.Operation_KIND_TERMINATE},
	})
}
