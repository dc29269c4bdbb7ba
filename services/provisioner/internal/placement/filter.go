package placement

import (
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// leftOut says why a node cannot get the VM whatever its template and its load, or nil.
func (inv Inventory) leftOut(n pve.Node, pkg *vmlinev1.Package) *refusal {
	switch {
	case pkg.GetNode() != "" && n.Name != pkg.GetNode():
		return &refusal{"is not the package's node", false}
	case pkg.GetNode() == "" && len(pkg.GetNodes()) > 0 && !slices.Contains(pkg.GetNodes(), n.Name):
		return &refusal{"is none of the package's nodes", false}
	case !n.Online:
		return &refusal{"is not an online node of the cluster", true}
	case inv.Maintenance[n.Name]:
		return &refusal{"is in maintenance", true}
	case inv.Mute[n.Name]:
		return &refusal{"does not answer", true}
	case n.MaxCPU > 0 && float64(pkg.GetCores()) > n.MaxCPU:
		return &refusal{fmt.Sprintf("has %.0f cores, and Proxmox starts no machine there with the package's %d", n.MaxCPU, pkg.GetCores()), false}
	}
	bridge := pkg.GetNetwork().GetBridge()
	here, judged := inv.Bridges[n.Name]
	if bridge != "" && judged && !slices.Contains(here, bridge) && inv.someoneHas(bridge) {
		return &refusal{"does not have bridge " + bridge, false}
	}
	return nil
}

func (inv Inventory) someoneHas(bridge string) bool {
	for _, bridges := range inv.Bridges {
		if slices.Contains(bridges, bridge) {
			return true
		}
	}
	return false
}

// shared says whether a storage is shared.
func (inv Inventory) shared(storage string) bool {
	return slices.ContainsFunc(inv.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Shared })
}

// storage is a storage as a node sees it.
func (inv Inventory) storage(node, name string) (pve.Storage, bool) {
	i := slices.IndexFunc(inv.Storages, func(s pve.Storage) bool { return s.Name == name && s.Node == node })
	if i < 0 {
		return pve.Storage{}, false
	}
	return inv.Storages[i], true
}

// hasStorage refuses a node that lacks a storage which others have, or sees it not working.
func (inv Inventory) hasStorage(node, name string) *refusal {
	s, here := inv.storage(node, name)
	seen := slices.ContainsFunc(inv.Storages, func(s pve.Storage) bool { return s.Name == name })
	switch {
	case seen && !here:
		return &refusal{"does not have storage " + name, false}
	case here && !s.Active:
		return &refusal{"sees storage " + name + " not active", true}
	}
	return nil
}

// storages refuses a node that lacks one of the clone's storages, or room there for a full clone.
func (inv Inventory) storages(l load, node string, names []string, full bool, tpl pve.VM, pkg *vmlinev1.Package) *refusal {
	for _, name := range names {
		if out := inv.hasStorage(node, name); out != nil {
			return out
		}
		s, here := inv.storage(node, name)
		if !here || !full || s.MaxDisk == 0 {
			continue
		}
		free, need := s.Avail-l.disk[inv.place(node, name)], need(s, tpl, pkg)
		if free < need {
			return &refusal{fmt.Sprintf("has %s free on storage %s, counting what is on its way, and the clone needs %s", gib(free), name, gib(need)), true}
		}
	}
	return nil
}

// need is what a full clone takes of a storage at once: as much as its template has; where volumes are
// whole from the start, all that it will have.
func need(s pve.Storage, tpl pve.VM, pkg *vmlinev1.Package) int64 {
	if s.Type == "lvm" {
		return max(tpl.MaxDisk, int64(pkg.GetSystemDisk().GetSizeGb())<<30)
	}
	return tpl.MaxDisk
}

// place is the key of a storage's room: one for all nodes if it is shared.
func (inv Inventory) place(node, storage string) place {
	if inv.shared(storage) {
		return place{storage: storage}
	}
	return place{node, storage}
}

type place struct{ node, storage string }

func gib(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
