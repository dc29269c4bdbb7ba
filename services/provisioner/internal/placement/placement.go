// Package placement chooses the template and the nodes of a new VM. It is pure: what the cluster has,
// what is on its way and what the package wants in, a choice out.
package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Inventory is what a cluster has, as far as it is known.
type Inventory struct {
	pve.Resources
	// Volumes has the storages of each template's volumes, by the template's VMID. A template without
	// an entry cannot be cloned now.
	Volumes map[int][]string
	// Bridges by node. A node without an entry is not judged: the token may not see them.
	Bridges map[string][]string
	// Mute are the nodes that do not answer although the cluster counts them as online.
	Mute map[string]bool
	// Maintenance are the nodes that get nothing new.
	Maintenance map[string]bool
	Limits      Limits
}

// Limits say how much of a node may be promised to machines. 0 means no limit.
type Limits struct {
	// Memory is the part of a node's memory: 1 all of it, 1.5 half as much again.
	Memory float64
	// CPU is how many cores of machines each of a node's cores may carry.
	CPU float64
}

// Impossible says why no choice fits, and what would help.
type Impossible struct {
	Reason, Next string
	// Passing says that it may become possible by itself: a node that is down comes back.
	Passing bool
}

func (e *Impossible) Error() string { return e.Reason + ". " + e.Next }

// Choice is what a VM is made from, where it is cloned and where it is to live.
type Choice struct {
	// Template is the VMID of the template.
	Template int
	// TemplateNode has the template: the clone is ordered there.
	TemplateNode string
	// CloneNode is where the clone is to appear; the same node unless the storage is shared.
	CloneNode string
	// Node is where the VM is to live. Another than CloneNode means a migration.
	Node string
}

// way is one possible choice with what speaks for it.
type way struct {
	Choice
	neighbours int       // machines of the same customer on the node
	free       []float64 // shares of memory, CPU and storage that stay free, scarcest first
}

// Choose places a VM. A node is left out by this table; "may pass" means that the order is tried again:
//
//	the node                                            left out   may pass
//	is not the package's node, or none of its nodes     yes        no
//	is not online, or does not answer                   yes        yes
//	is in maintenance                                   yes        yes
//	lacks the bridge or a storage                       yes        no
//	has the storage, but it is not active               yes        yes
//	has fewer cores than the machine                    yes        no
//	would be over the limit of memory or CPU            yes        yes
//	has no room on the storage for a full clone         yes        yes
//
// What the token may not see is not judged: figures that are 0, a bridge or storage that no node shows.
// A node that stays is reached by the first of these ways:
//
//	a template of the name is       every storage is shared   clone appears on      VM lives on
//	on the node                     -                         the node              the node
//	on another                      yes                       the node              the node
//	on another                      no                        the template's node   the node (migration)
//
// Of all nodes that is taken which, in this order: has the fewest machines of the customer (where the
// package asks for that), needs no migration, keeps most of what is then its scarcest share of memory,
// CPU and storage, has the template, and comes first by name.
func Choose(inv Inventory, ours []Machine, pkg *vmlinev1.Package) (Choice, error) {
	templates, err := Usable(inv, pkg)
	if err != nil {
		return Choice{}, err
	}
	l := loadOf(inv, ours)
	var (
		ways []way
		no   refusals
	)
	for _, n := range inv.Nodes {
		if out := inv.leftOut(n, pkg); out != nil {
			no.add(n.Name, out)
			continue
		}
		w, out := reach(inv, l, n, templates, pkg)
		if out != nil {
			no.add(n.Name, out)
			continue
		}
		ways = append(ways, w)
	}
	if len(ways) == 0 {
		return Choice{}, no.impossible(pkg)
	}
	return slices.MinFunc(ways, func(a, b way) int { return a.compare(b, pkg.GetAntiAffinity()) }).Choice, nil
}

func (w way) compare(other way, apart bool) int {
	if apart && w.neighbours != other.neighbours {
		return cmp.Compare(w.neighbours, other.neighbours)
	}
	return cmp.Or(
		cmp.Compare(w.rank()/2, other.rank()/2),
		-slices.Compare(w.free, other.free),
		cmp.Compare(w.rank(), other.rank()),
		cmp.Compare(w.Node, other.Node),
	)
}

// rank is the row of the second table.
func (w way) rank() int {
	switch {
	case w.CloneNode != w.Node:
		return 2
	case w.TemplateNode != w.Node:
		return 1
	}
	return 0
}

// reach finds the best way to a node, or says why there is none.
func reach(inv Inventory, l load, n pve.Node, templates []pve.VM, pkg *vmlinev1.Package) (way, *refusal) {
	if out := l.over(n, inv.Limits, pkg); out != nil {
		return way{}, out
	}
	var (
		best *way
		last *refusal
	)
	for _, tpl := range templates {
		w, out := inv.from(l, n, tpl, pkg)
		if out != nil {
			last = out
			continue
		}
		if best == nil || w.rank() < best.rank() {
			best = &w
		}
	}
	if best == nil {
		return way{}, last
	}
	best.neighbours = l.customers[n.Name][pkg.GetCustomer()]
	if pkg.GetCustomer() == "" {
		best.neighbours = 0 // nobody is no customer
	}
	return *best, nil
}

// from is the way from one template to a node.
func (inv Inventory) from(l load, n pve.Node, tpl pve.VM, pkg *vmlinev1.Package) (way, *refusal) {
	from := inv.Volumes[tpl.VMID]
	w := way{Choice: Choice{Template: tpl.VMID, TemplateNode: tpl.Node, CloneNode: n.Name, Node: n.Name}}
	full := pkg.GetCloneType() == vmlinev1.CloneType_CLONE_TYPE_FULL
	to := targets(from, full, pkg)
	unshared := func(storage string) bool { return !inv.shared(storage) }
	if tpl.Node != n.Name && (slices.ContainsFunc(from, unshared) || slices.ContainsFunc(to, unshared)) {
		w.CloneNode, full = tpl.Node, true // a linked clone cannot leave its template's local storage
		to = targets(from, full, pkg)
	}
	for _, node := range slices.Compact([]string{w.CloneNode, n.Name}) {
		if node != n.Name && inv.Maintenance[node] {
			return way{}, &refusal{"would get its clone from node " + node + ", which is in maintenance", true}
		}
		if out := inv.storages(l, node, to, full, tpl, pkg); out != nil {
			return way{}, out
		}
	}
	if extra := pkg.GetAdditionalDisk(); extra.GetSizeGb() > 0 && extra.GetStorage() != "" {
		if out := inv.hasStorage(n.Name, extra.GetStorage()); out != nil {
			return way{}, out
		}
	}
	w.free = l.shares(inv, n, to, pkg)
	return w, nil
}

// targets are the storages that a clone's volumes go to.
func targets(from []string, full bool, pkg *vmlinev1.Package) []string {
	if named := pkg.GetSystemDisk().GetStorage(); named != "" && full {
		return []string{named}
	}
	return from
}

// refusals are the reasons why nodes were left out, in the order of the inventory.
type refusals struct {
	texts   []string
	passing bool
}

// refusal is one reason, as the end of a sentence that begins with the node.
type refusal struct {
	why     string
	passing bool
}

func (r *refusals) add(node string, out *refusal) {
	r.texts = append(r.texts, "node "+node+" "+out.why)
	r.passing = r.passing || out.passing
}

// most is how many nodes' reasons a person is shown.
const most = 8

func (r *refusals) impossible(pkg *vmlinev1.Package) *Impossible {
	if node := pkg.GetNode(); node != "" {
		mine := slices.DeleteFunc(slices.Clone(r.texts), func(s string) bool { return !strings.HasPrefix(s, "node "+node+" ") })
		reason := fmt.Sprintf("node %s, which the package names, is not an online node of the cluster", node)
		if len(mine) > 0 {
			reason = fmt.Sprintf("node %s, which the package names, %s", node, strings.TrimPrefix(mine[0], "node "+node+" "))
		}
		return &Impossible{reason, "Name another node in the package, or none; then repeat the order.", r.passing}
	}
	shown := r.texts[:min(len(r.texts), most)]
	return &Impossible{
		Reason:  fmt.Sprintf("no node of the cluster fits: %s", cmp.Or(strings.Join(shown, "; "), "it shows none")),
		Next:    "Make room, bring a node back, or change what the package asks for; then repeat the order.",
		Passing: r.passing || len(r.texts) == 0,
	}
}
