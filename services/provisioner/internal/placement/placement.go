// Package placement chooses the template and the nodes of a new VM. It is pure: what the cluster
// has and what the package wants in, a choice out.
package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Impossible says why no choice fits, and what would help.
type Impossible struct {
	Reason, Next string
	// Passing says that it may become possible by itself: a node that is down comes back.
	Passing bool
}

func (e *Impossible) Error() string { return e.Reason + ". " + e.Next }

// Template finds the package's template by VMID or by name. Of several by one name it takes one whose
// node is up, and the one on the node near, where that is not empty.
func Template(r pve.Resources, want, near string) (pve.VM, error) {
	var found []pve.VM
	for _, vm := range r.VMs {
		if vm.Template && (vm.Name == want || strconv.Itoa(vm.VMID) == want) {
			found = append(found, vm)
		}
	}
	if len(found) == 0 {
		return pve.VM{}, noTemplate(r, want)
	}
	far := func(vm pve.VM) int {
		switch {
		case !online(r, vm.Node):
			return 2
		case vm.Node != near:
			return 1
		}
		return 0
	}
	return slices.MinFunc(found, func(a, b pve.VM) int {
		return cmp.Or(cmp.Compare(far(a), far(b)), cmp.Compare(a.VMID, b.VMID))
	}), nil
}

// noTemplate says that there is no such template, or that it may be one of the machines that the list
// names and does not describe: those on a node that is down, and new ones for up to 10 s.
func noTemplate(r pve.Resources, want string) error {
	hidden := slices.IndexFunc(r.VMs, func(vm pve.VM) bool {
		return vm.Name == "" && vm.Status == "unknown" && vm.Lock == "" && !slices.Contains(vm.Tags, machine.Tag)
	})
	if hidden < 0 {
		return &Impossible{
			Reason: fmt.Sprintf("the cluster has no template %q", want),
			Next:   "Make that template on Proxmox, or correct its name in the package; then repeat the order.",
		}
	}
	return &Impossible{
		Reason:  fmt.Sprintf("the cluster shows no template %q, nor what machine %d on node %s is", want, r.VMs[hidden].VMID, r.VMs[hidden].Node),
		Next:    "Bring the node up, make that template, or correct its name in the package; then repeat the order.",
		Passing: true,
	}
}

// Choice is where a VM is cloned and where it is to live.
type Choice struct {
	// TemplateNode has the template: the clone is ordered there.
	TemplateNode string
	// CloneNode is where the clone is to appear; the same node unless the storage is shared.
	CloneNode string
	// Node is where the VM is to live. Another than CloneNode means a migration.
	Node string
}

// Choose places a VM by this table:
//
//	package names a node   every storage shared   clone appears on      VM lives on
//	no                     no                     the template's node   the template's node
//	no                     yes                    the node with the most free memory; where none has
//	                                              room, or memory is not shown, the template's node
//	yes                    no                     the template's node   the named node (migration)
//	yes                    yes                    the named node        the named node
//
// from are the storages of the template's volumes, to those of the clone's: Proxmox clones to
// another node only if all of them are shared, and the VM can live only where to is. planned is the
// memory in bytes of VMs on their way to each node, which Proxmox does not count yet.
func Choose(r pve.Resources, tpl pve.VM, from, to []string, pkg *vmlinev1.Package, planned map[string]int64) (Choice, error) {
	if !online(r, tpl.Node) {
		return Choice{}, &Impossible{
			Reason: fmt.Sprintf("node %s, which has template %s, is not online", tpl.Node, tpl.Name),
			Next:   "Bring the node up, then repeat the order.", Passing: true,
		}
	}
	node := pkg.GetNode()
	if node != "" {
		if err := canLiveOn(r, node, to); err != nil {
			return Choice{}, err
		}
	}
	unshared := func(storage string) bool { return !shared(r, storage) }
	if slices.ContainsFunc(from, unshared) || slices.ContainsFunc(to, unshared) {
		return Choice{tpl.Node, tpl.Node, cmp.Or(node, tpl.Node)}, nil
	}
	target := cmp.Or(node, roomiest(r, to, int64(pkg.GetMemoryMib())<<20, planned), tpl.Node)
	return Choice{tpl.Node, target, target}, nil
}

func online(r pve.Resources, node string) bool {
	return slices.ContainsFunc(r.Nodes, func(n pve.Node) bool { return n.Name == node && n.Online })
}

// canLiveOn refuses a named node that is not there or lacks a storage. A storage that the list does
// not show anywhere is not judged: the token may not see it.
func canLiveOn(r pve.Resources, node string, storages []string) error {
	const next = "Name another node in the package, or none; then repeat the order."
	if !online(r, node) {
		known := slices.ContainsFunc(r.Nodes, func(n pve.Node) bool { return n.Name == node })
		return &Impossible{fmt.Sprintf("node %s, which the package names, is not an online node of the cluster", node), next, known}
	}
	for _, storage := range storages {
		seen := slices.ContainsFunc(r.Storages, func(s pve.Storage) bool { return s.Name == storage })
		here := slices.ContainsFunc(r.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Node == node })
		if seen && !here {
			return &Impossible{fmt.Sprintf("node %s, which the package names, does not have storage %s", node, storage), next, false}
		}
	}
	return nil
}

// shared says whether a storage is shared.
func shared(r pve.Resources, storage string) bool {
	return slices.ContainsFunc(r.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Shared })
}

// roomiest returns the online node with the storages that has the most memory left, and room for the
// VM; empty if none has.
func roomiest(r pve.Resources, storages []string, need int64, planned map[string]int64) string {
	best, left := "", need-1
	for _, n := range r.Nodes {
		lacks := func(storage string) bool {
			return !slices.ContainsFunc(r.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Node == n.Name && s.Active })
		}
		free := n.MaxMem - n.Mem - planned[n.Name]
		if n.Online && !slices.ContainsFunc(storages, lacks) && free > left {
			best, left = n.Name, free
		}
	}
	return best
}
