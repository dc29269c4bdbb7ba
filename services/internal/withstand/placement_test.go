package withstand

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/provisioner"
)

// mixed is a cluster of nodes with 8, 16 and 32 GiB, whose figures are 10 s old, as Proxmox's are.
func mixed() *pvesim.Config {
	cfg := pvesim.Default()
	for i, mib := range []int{8 << 10, 16 << 10, 32 << 10} {
		cfg.Nodes[i].MemoryMiB = mib
	}
	cfg.StatsEvery = 10 * time.Second
	return &cfg
}

// promised is the memory of our machines on each node, in MiB.
func promised(r *rig.Rig) map[string]int {
	sum := map[string]int{}
	for _, vm := range r.Ours() {
		var mib int
		_, _ = fmt.Sscan(vm.Config["memory"], &mib)
		sum[vm.Node] += mib
	}
	return sum
}

// TestRow22ABurstOnMixedNodes: fifty-six orders of 1 GiB fill three nodes to the last byte while Proxmox's
// figures are old and two provisioners choose at the same time. No node is over its limit; one more order
// waits, says why, and goes on by itself when there is room.
func TestRow22ABurstOnMixedNodes(t *testing.T) {
	t.Parallel()
	const room = 8 + 16 + 32
	r := rig.New(t, rig.Options{Sim: mixed(), Rules: provisioner.Rules{MemoryLimit: 1}})
	burst := refs("burst", room)
	for _, ref := range burst {
		r.Order(ref, rig.Small(ref))
	}
	startAll(r, 2, rig.Edge{})
	awaitAll(r, burst, create)
	r.CheckWorld()
	got := promised(r)
	if got["pve1"] != 8<<10 || got["pve2"] != 16<<10 || got["pve3"] != 32<<10 {
		t.Errorf("promised %v MiB, want every node full and none over", got)
	}

	r.Order("burst-late", rig.Small("late"))
	vm := r.Await("burst-late", troubled)
	const want = "node pve1 would have 9.0 GiB of memory promised, counting what is on its way, and its limit is 8.0 GiB"
	if cause := vm.GetProblem().GetCause(); !strings.Contains(cause, want) {
		t.Errorf("the one too many: %s", cause)
	}
	r.Terminate(burst[0])
	awaitAll(r, burst[:1], terminate)
	awaitAll(r, []string{"burst-late"}, create)
	r.CheckWorld()
}

// TestRow22ABurstIsSpread: with room for all, fifty machines go to the nodes by what these have, not all to
// the one that was best at first.
func TestRow22ABurstIsSpread(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{Sim: mixed(), Rules: provisioner.Rules{MemoryLimit: 2, CPULimit: 8}})
	startAll(r, 2, rig.Edge{})
	burst := refs("spread", 50)
	for _, ref := range burst {
		r.Order(ref, rig.Small(ref))
	}
	awaitAll(r, burst, create)
	r.CheckWorld()
	got := promised(r)
	for node, limit := range map[string]int{"pve1": 2 * 8 << 10, "pve2": 2 * 16 << 10, "pve3": 2 * 32 << 10} {
		if got[node] == 0 || got[node] > limit {
			t.Errorf("%s has %d MiB promised, want some and at most %d", node, got[node], limit)
		}
	}
	if got["pve3"] <= got["pve2"] || got["pve2"] <= got["pve1"] {
		t.Errorf("promised %v MiB, want most where most is", got)
	}
}

// TestWhereMachinesGo: each rule of placement, on a cluster where only one node keeps to it.
func TestWhereMachinesGo(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Nodes[2].Bridges = []string{"vmbr0", "vmbr9"}
	cfg.Storages = append(cfg.Storages, pvesim.Storage{Name: "fast", Shared: true, Nodes: []string{"pve1", "pve2"}})
	r := rig.New(t, rig.Options{Sim: &cfg, Rules: provisioner.Rules{Maintenance: []string{"pve1"}}})
	startAll(r, 1, rig.Edge{})
	for i, c := range []struct {
		name  string
		pkg   func(*vmlinev1.Package)
		nodes []string
	}{
		{"a shared template of a node in maintenance", func(*vmlinev1.Package) {}, []string{"pve2", "pve3"}},
		{"a bridge", func(p *vmlinev1.Package) { p.Network = &vmlinev1.Network{Bridge: "vmbr9"} }, []string{"pve3"}},
		{"a storage", func(p *vmlinev1.Package) {
			p.CloneType, p.SystemDisk = vmlinev1.CloneType_CLONE_TYPE_FULL, &vmlinev1.Disk{Storage: "fast", SizeGb: 10}
		}, []string{"pve2"}},
		{"the additional disk's storage", func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "fast", SizeGb: 1} }, []string{"pve2"}},
		{"the package's nodes", func(p *vmlinev1.Package) { p.Nodes = []string{"pve1", "pve3"} }, []string{"pve3"}},
		{"the package's node", func(p *vmlinev1.Package) { p.Node = "pve3" }, []string{"pve3"}},
	} {
		ref, pkg := fmt.Sprintf("where-%d", 6501+i), rig.Small("where")
		c.pkg(pkg)
		r.Order(ref, pkg)
		vm := r.Await(ref, settled(create))
		state, _ := r.Sim.VM(int(vm.GetVmid()))
		if rig.Parked(vm) || !slices.Contains(c.nodes, state.Node) || vm.GetNode() != state.Node {
			t.Errorf("%s: on %q, want one of %v; %v", c.name, state.Node, c.nodes, vm.GetProblem())
		}
	}
	r.CheckWorld()
}

// TestMachinesOfOneCustomerStayApart: three orders that come together go to three nodes.
func TestMachinesOfOneCustomerStayApart(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{Sim: mixed()})
	startAll(r, 1, rig.Edge{})
	trio := refs("apart", 3)
	for _, ref := range trio {
		pkg := rig.Small(ref)
		pkg.Customer, pkg.AntiAffinity = "c-17", true
		r.Order(ref, pkg)
	}
	awaitAll(r, trio, create)
	if got := promised(r); len(got) != 3 {
		t.Errorf("they are on %v", got)
	}
}

// TestANodeInMaintenanceGetsNothingNew: neither when Proxmox's high availability says so nor as the place
// of a clone that would go on to another node; what is there stays. The order goes on when it is over.
func TestANodeInMaintenanceGetsNothingNew(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9301, Node: "pve1", Name: "local", Storage: "local"})
	r := rig.New(t, rig.Options{Sim: &cfg})
	r.Sim.SetMaintenance("pve1", true)
	startAll(r, 1, rig.Edge{})
	all := refs("care", 6)
	for _, ref := range all {
		r.Order(ref, rig.Small(ref))
	}
	awaitAll(r, all, create)
	if got := promised(r); got["pve1"] != 0 {
		t.Errorf("machines are on %v", got)
	}
	pkg := rig.Small("local")
	pkg.Template = "local"
	r.Order("care-local", pkg)
	vm := r.Await("care-local", troubled)
	if cause := vm.GetProblem().GetCause(); !strings.Contains(cause, "node pve1 is in maintenance; node pve2 would get its clone from node pve1, which is in maintenance") {
		t.Errorf("%s", cause)
	}
	if n := asked(r, http.MethodPost, "/qemu/9301/clone"); n != 0 {
		t.Error("a node in maintenance was given a clone")
	}
	r.Sim.SetMaintenance("pve1", false)
	awaitAll(r, []string{"care-local"}, create)
	r.CheckWorld()
}
