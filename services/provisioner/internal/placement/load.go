package placement

import (
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Machine is one of our VMs, as its state says, from the moment when it got its place.
type Machine struct {
	VMID int
	// Node is where it is to live.
	Node     string
	Customer string
	Memory   int64 // bytes
	Cores    float64
	// OnItsWay says that it is being made: Proxmox may not count it yet, or not as what it will be.
	OnItsWay bool
	// New says that it has come about so lately that Proxmox may not list it yet.
	New bool
	// Storage and Disk are what a full clone that has not begun will write, in bytes; 0 for none.
	Storage string
	Disk    int64
}

// load is what of a cluster is taken or promised.
type load struct {
	memory    map[string]int64   // bytes by node
	cores     map[string]float64 // by node
	disk      map[place]int64    // promised bytes
	customers map[string]map[string]int
}

// loadOf counts every machine once: a listed one by the more of what the list and its state say, where
// the list shows it, or where it is going; one that is not listed yet by its state. Templates run
// nowhere. A node carries what its machines may use, or what is in use and on its way, whichever is more.
func loadOf(inv Inventory, ours []Machine) load {
	l := load{map[string]int64{}, map[string]float64{}, map[place]int64{}, map[string]map[string]int{}}
	listed := map[int]pve.VM{}
	for _, vm := range inv.VMs {
		listed[vm.VMID] = vm
	}
	coming := load{memory: map[string]int64{}, cores: map[string]float64{}}
	for _, m := range ours {
		vm, here := listed[m.VMID]
		switch {
		case m.OnItsWay: // where it is going
		case here:
			m.Node = vm.Node
		case m.New:
		default:
			continue // somebody has removed it
		}
		delete(listed, m.VMID)
		l.memory[m.Node] += max(m.Memory, vm.MaxMem)
		l.cores[m.Node] += max(m.Cores, vm.MaxCPU)
		if m.OnItsWay {
			coming.memory[m.Node] += m.Memory
			coming.cores[m.Node] += m.Cores
			l.disk[inv.place(m.Node, m.Storage)] += m.Disk
		}
		if l.customers[m.Node] == nil {
			l.customers[m.Node] = map[string]int{}
		}
		l.customers[m.Node][m.Customer]++
	}
	for _, vm := range listed {
		if !vm.Template {
			l.memory[vm.Node] += vm.MaxMem
			l.cores[vm.Node] += vm.MaxCPU
		}
	}
	for _, n := range inv.Nodes {
		l.memory[n.Name] = max(l.memory[n.Name], n.Mem+coming.memory[n.Name])
		l.cores[n.Name] = max(l.cores[n.Name], n.CPU*n.MaxCPU+coming.cores[n.Name])
	}
	return l
}

// over refuses a node that the VM would take over a limit.
func (l load) over(n pve.Node, limits Limits, pkg *vmlinev1.Package) *refusal {
	memory, cores := l.with(n.Name, pkg)
	if limit := int64(limits.Memory * float64(n.MaxMem)); limit > 0 && memory > limit {
		return &refusal{fmt.Sprintf("would have %s of memory promised, counting what is on its way, and its limit is %s", gib(memory), gib(limit)), true}
	}
	if limit := limits.CPU * n.MaxCPU; limit > 0 && cores > limit {
		return &refusal{fmt.Sprintf("would have %.0f cores promised, counting what is on its way, and its limit is %.0f", cores, limit), true}
	}
	return nil
}

// with is a node's load with the VM.
func (l load) with(node string, pkg *vmlinev1.Package) (memory int64, cores float64) {
	return l.memory[node] + int64(pkg.GetMemoryMib())<<20, l.cores[node] + float64(pkg.GetCores())
}

// shares are the parts of a node that stay free with the VM, scarcest first. They are measured against
// the limits; what is not known is not among them.
func (l load) shares(inv Inventory, n pve.Node, storages []string, pkg *vmlinev1.Package) []float64 {
	memory, cores := l.with(n.Name, pkg)
	free := func(taken, all, limit float64) float64 {
		if limit > 0 {
			all *= limit
		}
		return 1 - taken/all
	}
	var shares []float64
	if n.MaxMem > 0 {
		shares = append(shares, free(float64(memory), float64(n.MaxMem), inv.Limits.Memory))
	}
	if n.MaxCPU > 0 {
		shares = append(shares, free(cores, n.MaxCPU, inv.Limits.CPU))
	}
	for _, name := range storages {
		if s, here := inv.storage(n.Name, name); here && s.MaxDisk > 0 {
			shares = append(shares, float64(s.Avail-l.disk[inv.place(n.Name, name)])/float64(s.MaxDisk))
		}
	}
	slices.Sort(shares)
	return shares
}

// Over says why a node would be over a limit with the VM; nil if it would not.
func Over(inv Inventory, ours []Machine, pkg *vmlinev1.Package, node string) error {
	l := loadOf(inv, ours)
	for _, n := range inv.Nodes {
		if n.Name != node {
			continue
		}
		if out := l.over(n, inv.Limits, pkg); out != nil {
			return &Impossible{"node " + node + " " + out.why, "Make room on it; then repeat the order.", true}
		}
	}
	return nil
}

// Writes says on which storage a choice makes a full clone and how many bytes that takes; nothing for a
// linked one.
func (inv Inventory) Writes(c Choice, pkg *vmlinev1.Package) (storage string, bytes int64) {
	full := pkg.GetCloneType() == vmlinev1.CloneType_CLONE_TYPE_FULL || c.CloneNode != c.Node
	to := targets(inv.Volumes[c.Template], full, pkg)
	if !full || len(to) == 0 {
		return "", 0
	}
	i := slices.IndexFunc(inv.VMs, func(vm pve.VM) bool { return vm.VMID == c.Template })
	if i < 0 {
		return "", 0
	}
	s, _ := inv.storage(c.Node, to[0])
	return to[0], need(s, inv.VMs[i], pkg)
}
