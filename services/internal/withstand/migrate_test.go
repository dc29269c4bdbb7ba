package withstand

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestFaultsOfMigrations: every fault in the order of a migration, whose task takes a while. The machine ends
// on its node by one migration, also when nobody heard that the first was ordered.
func TestFaultsOfMigrations(t *testing.T) {
	t.Parallel()
	cfg := lapse()
	cfg.Durations.Migrate = 5 * time.Second
	all := trials("move", []faulty{{"migrate", http.MethodPost, "/nodes/*/qemu/%d/migrate", true, false}}, 6600)
	for _, c := range all {
		cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 10000 + c.vmid, Node: "pve1", Name: c.ref, Storage: "local"})
	}
	r := rig.New(t, rig.Options{Sim: cfg})
	startAll(r, 1, rig.Edge{})
	for _, c := range all {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			r := r.For(t)
			defer c.order(r.Sim)()
			pkg := rig.Small("move")
			pkg.Template, pkg.Node, pkg.FirstVmid = c.ref, "pve2", uint32(c.vmid)
			r.Order(c.ref, pkg)
			vm := c.finish(t, r, create, pkg)
			state, _ := r.Sim.VM(c.vmid)
			if vm.GetNode() != "pve2" || state.Node != "pve2" || int(vm.GetVmid()) != c.vmid {
				t.Errorf("VM %d is on %s, its state says %s", c.vmid, state.Node, vm.GetNode())
			}
			if n := moved(r, c.vmid); n != 1 {
				t.Errorf("it was moved %d times", n)
			}
		})
	}
}

// TestNobodyIsMovedIntoMaintenance: an operator's command is refused, and nothing changes.
func TestNobodyIsMovedIntoMaintenance(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	pkg := rig.Small("stay")
	r.Order("stay-6701", pkg)
	before := r.Await("stay-6701", rig.Ended(create))
	to := map[string]string{"pve1": "pve2", "pve2": "pve3", "pve3": "pve1"}[before.GetNode()]
	r.Sim.SetMaintenance(to, true)
	move := func() *vmlinev1.VM {
		last, err := r.Bus.Last(t.Context(), "stay-6701")
		must(t, err)
		cmd, err := rig.Command("stay-6701", vmlinev1.Operation_KIND_MIGRATE, pkg, last.VM.GetOperation().GetId())
		must(t, err)
		cmd.Params = &vmlinev1.Params{Node: to}
		must(t, r.Bus.SendCommand(t.Context(), cmd))
		return r.Await("stay-6701", func(vm *vmlinev1.VM) bool {
			op := vm.GetOperation()
			return op.GetId() == cmd.GetId() && op.GetState() != vmlinev1.Operation_STATE_RUNNING
		})
	}
	vm := move()
	if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_REFUSED || !strings.Contains(vm.GetOperation().GetProblem().GetCause(), "node "+to+" is in maintenance") {
		t.Errorf("%v", vm.GetOperation())
	}
	r.Sim.SetMaintenance(to, false)
	if vm = move(); !rig.Ended(vmlinev1.Operation_KIND_MIGRATE)(vm) || vm.GetNode() != to {
		t.Errorf("after the maintenance: %v", vm)
	}
	r.CheckWorld()
}

// moved is how many migrations of a VM have gone well.
func moved(r *rig.Rig, vmid int) (n int) {
	for _, task := range r.Sim.Tasks() {
		if task.Type == "qmigrate" && task.ID == fmt.Sprint(vmid) && !task.Running && (task.ExitStatus == "OK" || task.ExitStatus == "WARNINGS: 2") {
			n++
		}
	}
	return n
}
