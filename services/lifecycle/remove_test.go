package lifecycle_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

const (
	terminate = vmlinev1.Operation_KIND_TERMINATE
	reinstall = vmlinev1.Operation_KIND_REINSTALL
	redeploy  = vmlinev1.Operation_KIND_REDEPLOY
	remove    = vmlinev1.Operation_KIND_REMOVE
	cancel    = vmlinev1.Operation_KIND_CANCEL
)

// broken has an order be parked after its network was set.
func broken(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
	off(vm, spec)
	vm.Status, vm.Operation.State = vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Operation_STATE_PARKED
	vm.Operation.Route = []vmlinev1.Status{vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Status_STATUS_SET_FIREWALL}
	vm.Operation.Reached[0].Status = vm.Status
	vm.Problem = &vmlinev1.Problem{Cause: "no room"}
}

// TestRemovalInEachManner has a row for each command that takes a machine away: what goes, what stays, and
// by which calls. Only lifecycle runs, so that each ends with its removal.
func TestRemovalInEachManner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{Parking: []int{9901, 9902}})
	for vmid, node := range map[int]string{9901: "pve1", 9902: "pve2"} {
		must(t, w.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: node, Name: "parking", Config: map[string]string{"unused0": "shared1:parked"}}))
	}
	const (
		backup = "DELETE backup"
		snap   = "DELETE /snapshot/one"
		cuts   = "POST /status/stop overrule-shutdown=1"
		gone   = "DELETE destroy-unreferenced-disks=0 purge=1"
		stays  = "DELETE destroy-unreferenced-disks=0 purge=0"
		parks  = "POST /move_disk digest=D disk=unused0 target-disk=unused1 target-vmid=9901"
	)
	both := func(a, b func(*vmlinev1.VM, *pvesim.VMSpec)) func(*vmlinev1.VM, *pvesim.VMSpec) {
		return func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { a(vm, spec); b(vm, spec) }
	}
	on := func(node string) func(*vmlinev1.VM, *pvesim.VMSpec) {
		return func(vm *vmlinev1.VM, spec *pvesim.VMSpec) { vm.Node, spec.Node = node, node }
	}
	secretly := func(_ *vmlinev1.VM, spec *pvesim.VMSpec) { spec.Running = true } // nobody has seen it yet
	for i, tt := range []struct {
		name   string
		kind   vmlinev1.Operation_Kind
		stage  func(*vmlinev1.VM, *pvesim.VMSpec)
		unused bool
		calls  []string
		// backups is how many are left of one, state how the operation stands if the machine is not removed.
		backups int
		state   vmlinev1.Operation_State
		says    string
	}{
		{name: "terminate", kind: terminate, calls: []string{backup, snap, cuts, gone}},
		{name: "terminate with an unused disk", kind: terminate, stage: off, unused: true, calls: []string{backup, snap, gone}},
		{name: "cancel of an order", kind: cancel, stage: broken, calls: []string{backup, snap, gone}},
		{name: "reinstall", kind: reinstall, calls: []string{snap, cuts, stays}, backups: 1},
		{name: "reinstall with an unused disk", kind: reinstall, stage: off, unused: true, calls: []string{snap, stays}, backups: 1},
		{name: "redeploy", kind: redeploy, stage: broken, calls: []string{snap, stays}, backups: 1},
		{name: "remove", kind: remove, stage: off, calls: []string{snap, stays}, backups: 1},
		{name: "remove of a broken order", kind: remove, stage: broken, calls: []string{snap, stays}, backups: 1},
		{name: "remove with an unused disk", kind: remove, stage: off, unused: true, calls: []string{snap, parks, stays}, backups: 1},
		{name: "remove of what was started meanwhile", kind: remove, stage: both(off, secretly), backups: 1, state: vmlinev1.Operation_STATE_REFUSED, says: "runs, and only a stopped machine is removed"},
		{name: "remove with an unused disk and nowhere to put it", kind: remove, stage: both(off, on("pve3")), unused: true, backups: 1, state: vmlinev1.Operation_STATE_REFUSED, says: "unused0 = shared1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("remove-%d", 7200+i), 500+i
			w.dress(t, w.place(t, ref, vmid, tt.stage), tt.unused)
			w.Sim.ResetCalls()
			id := w.Send(ref, tt.kind, nil)
			w.foresee(t, ref, tt.kind)
			vm := w.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED || ended(id)(vm)
			})
			if got := w.allChanges(vmid); !slices.Equal(got, tt.calls) {
				t.Errorf("calls %q, want %q", got, tt.calls)
			}
			if left := w.backups(vmid); left != tt.backups {
				t.Errorf("%d backups are left, want %d", left, tt.backups)
			}
			_, exists := w.Sim.VM(vmid)
			if tt.says != "" {
				op := vm.GetOperation()
				if !exists || op.GetState() != tt.state || !strings.Contains(op.GetProblem().GetCause(), tt.says) || vm.GetStatus() != ready {
					t.Errorf("it stands: %t; %v", exists, op)
				}
				return
			}
			if exists || vm.GetVmid() != uint32(vmid) || len(vm.GetAddresses()) != 1 || vm.GetMac() == "" || vm.GetVmgenid() != "" || vm.GetRemoteStatus() != 0 {
				t.Errorf("it stands: %t; known as %v", exists, vm)
			}
			if note := vm.GetOperation().GetResult().GetNote(); tt.unused && tt.kind == remove && !strings.Contains(note, "goes to VM 9901 as unused1") {
				t.Errorf("a person is told %q", note)
			}
		})
	}
	if parked, _ := w.Sim.VM(9901); !strings.HasPrefix(parked.Config["unused1"], "shared1:") || parked.Config["unused0"] != "shared1:parked" {
		t.Errorf("parked is %v", parked.Config)
	}
}

// dress gives a machine a backup and a snapshot, and a disk that nothing uses.
func (w *world) dress(t *testing.T, vm *vmlinev1.VM, unused bool) {
	t.Helper()
	vmid := int(vm.GetVmid())
	if unused {
		config := fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vmid)
		w.order(t, "PUT", config, url.Values{"scsi1": {"shared1:1"}})
		w.order(t, "PUT", config, url.Values{"delete": {"scsi1"}})
	}
	_, err := w.Sim.AddBackup(pvesim.BackupSpec{VMID: vmid, Node: vm.GetNode(), Storage: "shared1", SizeBytes: 1})
	must(t, err)
	w.Sim.AddSnapshot(vmid, "one", "")
}

// allChanges are the changes of a machine and the deletions of backups, in their order.
func (w *world) allChanges(vmid int) []string {
	var out []string
	changes := w.changes(vmid)
	for _, c := range w.Sim.Calls() {
		if c.Method == http.MethodDelete && strings.Contains(c.Path, fmt.Sprintf("vzdump-qemu-%d-", vmid)) {
			out = append(out, "DELETE backup") // before all else, or TestTranscripts shows it
		}
	}
	for _, line := range changes {
		words := strings.Fields(line)
		for i, word := range words {
			if strings.HasPrefix(word, "digest=") {
				words[i] = "digest=D"
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

func (w *world) backups(vmid int) int {
	n := 0
	for _, v := range w.Sim.Volumes() {
		if v.VMID == vmid && v.Content == "backup" {
			n++
		}
	}
	return n
}
