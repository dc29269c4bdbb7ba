package placement

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
)

// Templates finds the package's template by VMID or by name, lowest VMID first. Several by one name are
// a group: copies of one template on several nodes.
func Templates(r pve.Resources, want string) ([]pve.VM, error) {
	var found []pve.VM
	for _, vm := range r.VMs {
		if vm.Template && (vm.Name == want || strconv.Itoa(vm.VMID) == want) {
			found = append(found, vm)
		}
	}
	if len(found) == 0 {
		return nil, noTemplate(r, want)
	}
	slices.SortFunc(found, func(a, b pve.VM) int { return a.VMID - b.VMID })
	return found, nil
}

// Online says whether a node can be asked for a template's configuration.
func (inv Inventory) Online(node string) bool {
	return slices.ContainsFunc(inv.Nodes, func(n pve.Node) bool { return n.Name == node && n.Online })
}

// usable are the templates that can be cloned now.
func usable(inv Inventory, templates []pve.VM) ([]pve.VM, error) {
	up := slices.DeleteFunc(slices.Clone(templates), func(t pve.VM) bool {
		_, known := inv.Volumes[t.VMID]
		return !known || !inv.Online(t.Node)
	})
	if len(up) > 0 {
		return up, nil
	}
	return nil, &Impossible{
		Reason: fmt.Sprintf("node %s, which has template %s, is not online", templates[0].Node, templates[0].Name),
		Next:   "Bring the node up, then repeat the order.", Passing: true,
	}
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
