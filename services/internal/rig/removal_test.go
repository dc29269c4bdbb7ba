package rig

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestRemoval has a row for each state in which a machine may be found when it is to go.
func TestRemoval(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	for i, tt := range []struct {
		name  string
		stage func(r *Rig, vm *vmlinev1.VM)
		// asks is part of the cause for which a person is asked; then mend lets it go on.
		asks string
		mend func(r *Rig, vm *vmlinev1.VM)
		// calls are what the removal makes, by an end of the path, and how often.
		calls map[string]int
	}{
		{name: "running", calls: map[string]int{"POST /status/stop": 1, "DELETE": 1}},
		{name: "stopped behind our back", stage: func(r *Rig, vm *vmlinev1.VM) { r.Sim.SetRunning(int(vm.GetVmid()), false) }, calls: map[string]int{"DELETE": 1}},
		{
			name: "started again between stop and destruction", stage: func(r *Rig, vm *vmlinev1.VM) {
				r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: "DELETE", Path: "/nodes/*/qemu/*", Times: 1, Text: "VM 1 is running - destroy failed"})
			}, calls: map[string]int{"POST /status/stop": 2, "DELETE": 2},
		},
		{
			// Proxmox gives a machine that is rolled back a new vmgenid (PVE::QemuConfig); its card proves it.
			name: "rolled back to the middle one of several snapshots", stage: func(r *Rig, vm *vmlinev1.VM) {
				for _, s := range []string{"one", "two", "three"} {
					r.Sim.AddSnapshot(int(vm.GetVmid()), s, "")
				}
				r.rollback(vm, "two")
			},
			calls: map[string]int{"DELETE /snapshot/two": 1, "DELETE /snapshot/one": 1, "DELETE /snapshot/three": 0},
		},
		{
			name: "a protected backup", asks: "protected", stage: func(r *Rig, vm *vmlinev1.VM) {
				for _, protected := range []bool{false, true} {
					_, err := r.Sim.AddBackup(pvesim.BackupSpec{VMID: int(vm.GetVmid()), Node: vm.GetNode(), Storage: map[bool]string{true: "local", false: "shared1"}[protected], Protected: protected, SizeBytes: 1})
					must(r.t, err)
				}
			},
			mend: func(r *Rig, vm *vmlinev1.VM) {
				c := r.clusters(Edge{})[Cluster]
				backups, err := c.Backups(r.t.Context(), vm.GetNode(), []string{"local", "shared1"}, int(vm.GetVmid()))
				must(r.t, err)
				if len(backups) != 2 {
					r.t.Errorf("%d backups are left, want both", len(backups))
				}
				for _, b := range backups {
					if b.Protected {
						must(r.t, c.UnprotectBackup(r.t.Context(), vm.GetNode(), b))
					}
				}
			},
		},
		{
			name: "locked by a backup for a while", stage: func(r *Rig, vm *vmlinev1.VM) {
				r.Sim.SetLock(int(vm.GetVmid()), "backup")
				go func() {
					r.Await(vm.GetRef(), func(now *vmlinev1.VM) bool { return now.GetRetry() != nil && now.GetRemoteLock() == "backup" })
					r.Sim.SetLock(int(vm.GetVmid()), "")
				}()
			},
		},
		{
			name: "foreign", asks: "not ours", stage: func(r *Rig, vm *vmlinev1.VM) {
				r.Sim.Remove(int(vm.GetVmid()))
				must(r.t, r.Sim.AddVM(pvesim.VMSpec{VMID: int(vm.GetVmid()), Node: vm.GetNode(), Name: "shop", Running: true}))
				r.Sim.ResetCalls()
			},
			mend: func(r *Rig, vm *vmlinev1.VM) {
				for _, c := range r.Sim.Calls() {
					if c.Method != http.MethodGet {
						r.t.Errorf("%s %s touches a foreign machine", c.Method, c.Path)
					}
				}
				r.Sim.Remove(int(vm.GetVmid()))
			},
		},
		{name: "absent", stage: func(r *Rig, vm *vmlinev1.VM) { r.Sim.Remove(int(vm.GetVmid())) }, calls: map[string]int{"DELETE": 0, "POST /status/stop": 0}},
		{name: "moved", stage: func(r *Rig, vm *vmlinev1.VM) { must(r.t, r.Sim.Move(int(vm.GetVmid()), "pve3")) }, calls: map[string]int{"DELETE": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			ref := "w1-" + string(rune('a'+i))
			r.Order(ref, Small("web"))
			vm := r.Await(ref, Ended(vmlinev1.Operation_KIND_CREATE))
			if tt.stage != nil {
				tt.stage(r, vm)
			}
			r.Sim.ResetCalls()
			r.Terminate(ref)
			if tt.asks != "" {
				parked := r.Await(ref, Parked)
				if p := parked.GetProblem(); !strings.Contains(p.GetCause(), tt.asks) || p.GetNext() == "" || !strings.Contains(p.GetKept(), "stay reserved") {
					t.Errorf("a person reads %q, %q, %q", p.GetCause(), p.GetKept(), p.GetNext())
				}
				r.CheckReserved(1, 1)
				tt.mend(r, vm)
				r.Terminate(ref)
			}
			r.Await(ref, Ended(vmlinev1.Operation_KIND_TERMINATE))
			for what, want := range tt.calls {
				if got := r.count(what); got != want {
					t.Errorf("%s: %d calls, want %d", what, got, want)
				}
			}
			r.CheckWorld()
			r.CheckReserved(0, 0)
		})
	}
}

// count counts calls by method and an end of the path; a method alone is one of the machine itself.
func (r *Rig) count(what string) int {
	method, end, _ := strings.Cut(what, " ")
	n := 0
	for _, c := range r.Sim.Calls() {
		itself := strings.Count(c.Path, "/") == 4 && strings.Contains(c.Path, "/qemu/")
		if c.Method == method && ((end == "" && itself) || (end != "" && strings.HasSuffix(c.Path, end))) {
			n++
		}
	}
	return n
}

// rollback puts a machine back to a snapshot, as its owner would.
func (r *Rig) rollback(vm *vmlinev1.VM, snapshot string) {
	url := fmt.Sprintf("https://pve.invalid/api2/json/nodes/%s/qemu/%d/snapshot/%s/rollback", vm.GetNode(), vm.GetVmid(), snapshot)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, url, nil)
	must(r.t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+TokenID+"="+TokenSecret)
	answer, err := r.Sim.RoundTrip(req)
	must(r.t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		r.t.Fatalf("rollback: %s", answer.Status)
	}
}
