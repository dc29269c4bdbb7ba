package rig

import (
	"testing"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestTranscriptsOfPower holds every call of the commands that switch a machine on and off and take it
// away against what is written down, on one machine from its order to its removal. What is so already
// costs one look.
func TestTranscriptsOfPower(t *testing.T) {
	parking := map[int]string{4791: "pve1", 4792: "pve2", 4793: "pve3"}
	r := New(t, Options{Parking: []int{4791, 4792, 4793}, Now: hardly()})
	for vmid, node := range parking {
		must(t, r.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: node, Name: "parking"}))
	}
	r.StartAll()
	pkg := Small("web")
	pkg.FirstVmid = firstVMID
	r.Order("w1-power", pkg)
	r.Await("w1-power", Ended(create))
	for _, tt := range []struct {
		name  string
		kind  vmlinev1.Operation_Kind
		stage func(*Rig, *vmlinev1.VM)
	}{
		{name: "start-running", kind: vmlinev1.Operation_KIND_START},
		{name: "stop", kind: vmlinev1.Operation_KIND_STOP},
		{name: "stop-stopped", kind: vmlinev1.Operation_KIND_STOP},
		{name: "reboot-stopped", kind: vmlinev1.Operation_KIND_REBOOT},
		{name: "reboot", kind: vmlinev1.Operation_KIND_REBOOT},
		{name: "reset", kind: vmlinev1.Operation_KIND_RESET},
		{name: "shutdown", kind: vmlinev1.Operation_KIND_SHUTDOWN},
		{name: "start", kind: vmlinev1.Operation_KIND_START},
		{name: "suspend", kind: vmlinev1.Operation_KIND_SUSPEND},
		{name: "unsuspend", kind: vmlinev1.Operation_KIND_UNSUSPEND},
		{name: "remove", kind: vmlinev1.Operation_KIND_REMOVE, stage: after(halted, spareDisk, func(r *Rig, vm *vmlinev1.VM) { r.addBackupsAndSnapshots(vm) })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			last, err := r.Bus.Last(t.Context(), "w1-power")
			must(t, err)
			if tt.stage != nil {
				tt.stage(r, last.VM)
			}
			r.Sim.ResetCalls()
			id := r.Send("w1-power", tt.kind, nil)
			r.Await("w1-power", func(vm *vmlinev1.VM) bool {
				return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() == succeeded
			})
			r.golden(t, tt.name)
		})
	}
	r.CheckReserved(1, 1)
	backups := 0
	for _, v := range r.Sim.Volumes() {
		if v.Content == "backup" {
			backups++
		}
	}
	if backups != 2 {
		t.Errorf("%d backups are left, want both", backups)
	}
}

// spareDisk gives a machine a disk that it does not use.
func spareDisk(r *Rig, vm *vmlinev1.VM) {
	c := r.clusters(Edge{})[Cluster]
	for _, change := range []pve.Change{{Set: map[string]string{"scsi7": "shared1:1"}}, {Delete: []string{"scsi7"}}} {
		_, err := c.SetVMConfig(r.t.Context(), vm.GetNode(), int(vm.GetVmid()), change)
		must(r.t, err)
	}
}

// TestTranscriptsOfBrokenOrders holds what it costs to take away what was built of an order that is
// parked: to build it anew, and to give it up.
func TestTranscriptsOfBrokenOrders(t *testing.T) {
	r := New(t, Options{Now: hardly()})
	r.StartAll()
	for _, tt := range []struct {
		name string
		kind vmlinev1.Operation_Kind
		end  vmlinev1.Status
	}{
		{"redeploy", vmlinev1.Operation_KIND_REDEPLOY, readyStatus},
		{"cancel", vmlinev1.Operation_KIND_CANCEL, vmlinev1.Status_STATUS_TERMINATED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, ref := r.For(t), "w1-"+tt.name
			pkg := Small("web")
			pkg.FirstVmid = firstVMID
			mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: "POST", Path: "/nodes/*/qemu/*/status/start", Text: "bridge 'vmbr0' does not exist"})
			r.Order(ref, pkg)
			r.Await(ref, Parked)
			mend()
			r.Sim.ResetCalls()
			id := r.Send(ref, tt.kind, nil)
			vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() == succeeded
			})
			r.golden(t, tt.name)
			if vm.GetStatus() != tt.end {
				t.Errorf("it ended %s", vm.GetStatus())
			}
			r.CheckWorld()
			if tt.end == readyStatus {
				r.Terminate(ref)
				r.Await(ref, Ended(terminate))
			}
			r.CheckReserved(0, 0)
		})
	}
}
