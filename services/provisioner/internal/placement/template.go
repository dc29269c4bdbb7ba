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

// Usable are the copies of the package's template that a machine can be made of now.
func Usable(inv Inventory, pkg *vmlinev1.Package) ([]pve.VM, error) {
	templates, err := Templates(inv.Resources, pkg.GetTemplate())
	if err == nil {
		templates, err = small(templates, pkg)
	}
	if err == nil {
		templates, err = readable(inv, templates)
	}
	return templates, err
}

// small are the templates whose system disk is no larger than the package's: none can be shrunk. A size of 0
// is not known.
func small(templates []pve.VM, pkg *vmlinev1.Package) ([]pve.VM, error) {
	sold := int64(pkg.GetSystemDisk().GetSizeGb()) << 30
	fit := slices.DeleteFunc(slices.Clone(templates), func(t pve.VM) bool { return sold > 0 && t.MaxDisk > sold })
	if len(fit) > 0 {
		return fit, nil
	}
	least := slices.MinFunc(templates, func(a, b pve.VM) int { return cmp.Compare(a.MaxDisk, b.MaxDisk) })
	return nil, &Impossible{
		Reason: fmt.Sprintf("template %s has a system disk of %s and the package says %d GB; Proxmox cannot shrink a disk", least.Name, gib(least.MaxDisk), pkg.GetSystemDisk().GetSizeGb()),
		Next:   fmt.Sprintf("Sell at least %d GB, or use a smaller template; then repeat the order.", (least.MaxDisk+1<<30-1)>>30),
	}
}

// Online says whether a node can be asked for a template's configuration.
func (inv Inventory) Online(node string) bool {
	return slices.ContainsFunc(inv.Nodes, func(n pve.Node) bool { return n.Name == node && n.Online })
}

// readable are the templates whose node is up and whose configuration was read.
func readable(inv Inventory, templates []pve.VM) ([]pve.VM, error) {
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
