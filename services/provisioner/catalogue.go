package provisioner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

// catalogue answers what the clusters have to choose from. A cluster that cannot be read says why, and
// keeps no other one out.
func (p *provisioner) catalogue(ctx context.Context, q *vmlinev1.InventoryRequest) (*vmlinev1.InventoryReply, error) {
	names := slices.Sorted(maps.Keys(p.inventories))
	if name := q.GetCluster(); name != "" {
		if p.inventories[name] == nil {
			return nil, fmt.Errorf("no cluster %q is configured", name)
		}
		names = []string{name}
	}
	reply := &vmlinev1.InventoryReply{Clusters: make([]*vmlinev1.ClusterInventory, len(names))}
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { reply.Clusters[i] = p.inventories[name].catalogue(ctx, name) })
	}
	all.Wait()
	return reply, nil
}

func (i *inventory) catalogue(ctx context.Context, name string) *vmlinev1.ClusterInventory {
	out := &vmlinev1.ClusterInventory{Name: name}
	inv, err := i.whole(ctx)
	if err != nil {
		out.Error = err.Error()
	}
	for _, n := range inv.Nodes {
		out.Nodes = append(out.Nodes, &vmlinev1.NodeInventory{
			Name: n.Name, Online: n.Online, Maintenance: inv.Maintenance[n.Name],
			MemoryBytes: size(n.MaxMem), MemoryUsedBytes: size(n.Mem), Bridges: inv.Bridges[n.Name],
		})
	}
	out.Templates, out.Storages = templatesOf(inv.VMs), storagesIn(inv.Storages)
	slices.SortFunc(out.Nodes, func(a, b *vmlinev1.NodeInventory) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}

// whole is what placement knows of the cluster without a package. What was read before an error is kept.
func (i *inventory) whole(ctx context.Context) (inv placement.Inventory, err error) {
	if inv.Resources, err = i.list(ctx, inventoryAge); err != nil {
		return inv, err
	}
	if inv.Bridges, inv.Mute, err = i.allBridges(ctx, inv, bridgeAge); err != nil {
		return inv, err
	}
	inv.Maintenance, err = i.inMaintenance(ctx, bridgeAge)
	return inv, err
}

// templatesOf are the templates by name, each with all of its copies.
func templatesOf(vms []pve.VM) (out []*vmlinev1.Template) {
	sorted := slices.SortedFunc(slices.Values(vms), func(a, b pve.VM) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.VMID, b.VMID))
	})
	for _, vm := range sorted {
		if !vm.Template {
			continue
		}
		if len(out) == 0 || out[len(out)-1].GetName() != vm.Name {
			out = append(out, &vmlinev1.Template{Name: vm.Name})
		}
		last := out[len(out)-1]
		last.Vmids = append(last.Vmids, uint32(vm.VMID)) //nolint:gosec // G115: Proxmox has none above 999,999,999
		last.Nodes = append(last.Nodes, vm.Node)
	}
	return out
}

// storagesIn are the storages that take disks, a shared one once.
func storagesIn(all []pve.Storage) (out []*vmlinev1.StorageInventory) {
	for _, s := range all {
		node := s.Node
		if s.Shared {
			node = ""
		}
		same := func(o *vmlinev1.StorageInventory) bool { return o.GetName() == s.Name && o.GetNode() == node }
		if !slices.Contains(s.Content, "images") || slices.ContainsFunc(out, same) {
			continue
		}
		out = append(out, &vmlinev1.StorageInventory{Name: s.Name, Node: node, Shared: s.Shared, TotalBytes: size(s.MaxDisk), UsedBytes: size(s.Disk)})
	}
	slices.SortFunc(out, func(a, b *vmlinev1.StorageInventory) int {
		return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetNode(), b.GetNode()))
	})
	return out
}

// size is a number of bytes, which Proxmox never shows below 0.
func size(n int64) uint64 { return uint64(max(0, n)) }
