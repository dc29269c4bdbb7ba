package placement

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAnyCluster looks at what must hold wherever a VM is placed.
func TestAnyCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv, ours, p := anyCluster(t), anyMachines(t), anyPackage(t)
		got, err := Choose(inv, ours, p)
		var fitting []string
		for _, n := range inv.Nodes {
			if fits(inv, ours, p, n) {
				fitting = append(fitting, n.Name)
			}
		}
		if (err == nil) != (len(fitting) > 0) {
			t.Fatalf("got %+v, %v; these nodes fit: %v", got, err, fitting)
		}
		if err != nil {
			return
		}
		if !slices.Contains(fitting, got.Node) {
			t.Fatalf("%+v does not fit, these do: %v", got, fitting)
		}
		checkWay(t, inv, p, got)
		// The same again, whatever the order in which things are listed.
		shuffled := inv
		shuffled.Nodes, shuffled.Storages, shuffled.VMs = mixed(inv.Nodes), mixed(inv.Storages), mixed(inv.VMs)
		if again, err := Choose(shuffled, mixed(ours), p); err != nil || again != got {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}

func mixed[T any](list []T) []T {
	out := slices.Clone(list)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// fits is the first table of Choose once more, word by word.
func fits(inv Inventory, ours []Machine, p *pkg, n pve.Node) bool {
	allowed := p.GetNode() == n.Name || p.GetNode() == "" && (len(p.GetNodes()) == 0 || slices.Contains(p.GetNodes(), n.Name))
	if !allowed || !n.Online || inv.Maintenance[n.Name] || inv.Mute[n.Name] || !slices.Contains(inv.Bridges[n.Name], "vmbr0") {
		return false
	}
	if float64(p.GetCores()) > n.MaxCPU {
		return false
	}
	memory, cores := taken(inv, ours, n)
	if float64(memory+int64(p.GetMemoryMib())<<20) > inv.Limits.Memory*float64(n.MaxMem) || cores+float64(p.GetCores()) > inv.Limits.CPU*n.MaxCPU {
		return false
	}
	return slices.ContainsFunc(inv.VMs, func(tpl pve.VM) bool { return reachable(inv, tpl, n.Name) })
}

// reachable: the storage is active on the node and, where the clone appears elsewhere first, there too.
func reachable(inv Inventory, tpl pve.VM, node string) bool {
	active := func(node string) bool {
		return slices.ContainsFunc(inv.Storages, func(s pve.Storage) bool { return s.Name == "a" && s.Node == node && s.Active })
	}
	up := slices.ContainsFunc(inv.Nodes, func(n pve.Node) bool { return n.Name == tpl.Node && n.Online })
	if !tpl.Template || !up || !active(node) {
		return false
	}
	return tpl.Node == node || inv.Storages[0].Shared || active(tpl.Node) && !inv.Maintenance[tpl.Node]
}

// taken is the load of a node, counted the slow way.
func taken(inv Inventory, ours []Machine, n pve.Node) (memory int64, cores float64) {
	var coming, promised int64
	var comingCores, promisedCores float64
	for _, m := range ours {
		i := slices.IndexFunc(inv.VMs, func(vm pve.VM) bool { return vm.VMID == m.VMID })
		var listed pve.VM
		if i >= 0 {
			listed = inv.VMs[i]
		}
		if m.OnItsWay && m.Node == n.Name {
			coming, comingCores = coming+m.Memory, comingCores+m.Cores
		}
		going, there, unlisted := m.OnItsWay && m.Node == n.Name, !m.OnItsWay && i >= 0 && listed.Node == n.Name, !m.OnItsWay && m.New && i < 0 && m.Node == n.Name
		if going || there || unlisted {
			promised, promisedCores = promised+max(m.Memory, listed.MaxMem), promisedCores+max(m.Cores, listed.MaxCPU)
		}
	}
	for _, vm := range inv.VMs {
		known := slices.ContainsFunc(ours, func(m Machine) bool { return m.VMID == vm.VMID })
		if vm.Node == n.Name && !vm.Template && !known {
			promised, promisedCores = promised+vm.MaxMem, promisedCores+vm.MaxCPU
		}
	}
	return max(promised, n.Mem+coming), max(promisedCores, comingCores)
}

// checkWay is the second table of Choose once more.
func checkWay(t *rapid.T, inv Inventory, p *pkg, got Choice) {
	i := slices.IndexFunc(inv.VMs, func(vm pve.VM) bool { return vm.VMID == got.Template && vm.Template && vm.Node == got.TemplateNode })
	onNode := slices.ContainsFunc(inv.VMs, func(vm pve.VM) bool { return vm.Template && vm.Node == got.Node })
	switch {
	case i < 0:
		t.Fatalf("%+v: there is no such template", got)
	case onNode && (got.TemplateNode != got.Node || got.CloneNode != got.Node):
		t.Fatalf("%+v: the node has a copy of its own", got)
	case !onNode && inv.Storages[0].Shared && got.CloneNode != got.Node:
		t.Fatalf("%+v: a migration although the storage is shared", got)
	case !onNode && !inv.Storages[0].Shared && got.CloneNode != got.TemplateNode:
		t.Fatalf("%+v: a clone of a local template appears elsewhere", got)
	}
}

func anyCluster(t *rapid.T) Inventory {
	inv := Inventory{
		Volumes: map[int][]string{}, Bridges: map[string][]string{}, Mute: map[string]bool{}, Maintenance: map[string]bool{},
		Limits: Limits{Memory: rapid.SampledFrom([]float64{0.5, 1, 1.5}).Draw(t, "memory limit"), CPU: rapid.SampledFrom([]float64{1, 4}).Draw(t, "CPU limit")},
	}
	shared := rapid.Bool().Draw(t, "shared")
	seldom := func(what string) bool { return rapid.IntRange(0, 4).Draw(t, what) == 0 }
	// One more node that others' storages and bridges are seen on, so that each name is known.
	inv.Storages = []pve.Storage{{Name: "a", Node: "seen", Shared: shared}}
	inv.Bridges["seen"] = []string{"vmbr0"}
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		name := fmt.Sprintf("n%d", i)
		inv.Nodes = append(inv.Nodes, pve.Node{
			Name: name, Online: !seldom(name + " is down"), MaxCPU: float64(rapid.IntRange(1, 8).Draw(t, name+" CPU")),
			MaxMem: rapid.Int64Range(1, 32).Draw(t, name+" memory") * gb, Mem: rapid.Int64Range(0, 8).Draw(t, name+" used") * gb,
		})
		inv.Maintenance[name], inv.Mute[name] = seldom(name+" in maintenance"), seldom(name+" is mute")
		inv.Bridges[name] = []string{rapid.SampledFrom([]string{"vmbr0", "vmbr0", "vmbr0", "vmbr1"}).Draw(t, name+" bridge")}
		if !seldom(name + " has no storage") {
			inv.Storages = append(inv.Storages, pve.Storage{Name: "a", Node: name, Shared: shared, Active: !seldom(name + " storage not active")})
		}
		if i == 0 || seldom(name+" has a template") {
			inv.VMs = append(inv.VMs, pve.VM{VMID: 9000 + i, Name: "tpl", Template: true, Node: name, MaxMem: 99 * gb})
			inv.Volumes[9000+i] = []string{"a"}
		}
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "machines") {
		inv.VMs = append(inv.VMs, pve.VM{VMID: 100 + i, Node: anyNode(t, "machine's node"), MaxMem: rapid.Int64Range(0, 8).Draw(t, "machine's memory") * gb, MaxCPU: 1})
	}
	return inv
}

func anyNode(t *rapid.T, what string) string {
	return fmt.Sprintf("n%d", rapid.IntRange(0, 3).Draw(t, what))
}

func anyMachines(t *rapid.T) []Machine {
	var ours []Machine
	for i := range rapid.IntRange(0, 4).Draw(t, "ours") {
		ours = append(ours, Machine{
			VMID: 102 + i, Node: anyNode(t, "our node"), Customer: rapid.SampledFrom([]string{"", "c1"}).Draw(t, "our customer"),
			Memory: rapid.Int64Range(0, 8).Draw(t, "our memory") * gb, Cores: float64(rapid.IntRange(0, 3).Draw(t, "our cores")), OnItsWay: rapid.Bool().Draw(t, "on its way"),
			New: rapid.Bool().Draw(t, "new"),
		})
	}
	return ours
}

func anyPackage(t *rapid.T) *pkg {
	return &pkg{
		Template: "tpl", MemoryMib: rapid.Uint32Range(1, 8).Draw(t, "memory") << 10, Cores: rapid.Uint32Range(1, 4).Draw(t, "cores"),
		Node:    rapid.SampledFrom([]string{"", "", "n0", "n1", "n9"}).Draw(t, "node"),
		Nodes:   rapid.SampledFrom([][]string{nil, nil, {"n0", "n2"}, {"n1"}}).Draw(t, "nodes"),
		Network: &vmlinev1.Network{Bridge: "vmbr0"}, Customer: "c1", AntiAffinity: rapid.Bool().Draw(t, "apart"),
	}
}

// TestABurstStaysWithinItsLimits places one machine after the other, each seeing those before it, until
// nothing fits: no node is over, and on none there would have been room for one more.
func TestABurstStaysWithinItsLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv, p := anyCluster(t), anyPackage(t)
		var ours []Machine
		for vmid := 200; ; vmid++ {
			got, err := Choose(inv, ours, p)
			if err != nil {
				break
			}
			ours = append(ours, Machine{VMID: vmid, Node: got.Node, Customer: "c1", Memory: int64(p.GetMemoryMib()) << 20, Cores: float64(p.GetCores()), OnItsWay: true})
		}
		for _, n := range inv.Nodes {
			memory, cores := taken(inv, ours, n)
			mine := slices.ContainsFunc(ours, func(m Machine) bool { return m.Node == n.Name })
			if mine && (float64(memory) > inv.Limits.Memory*float64(n.MaxMem) || cores > inv.Limits.CPU*n.MaxCPU) {
				t.Fatalf("node %s carries %d bytes and %v cores", n.Name, memory, cores)
			}
			if fits(inv, ours, p, n) {
				t.Fatalf("there was room on node %s", n.Name)
			}
		}
	})
}
