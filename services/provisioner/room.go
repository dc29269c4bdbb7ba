package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// roomFor refuses what Proxmox would accept and the machine's next start, or its task, would fail with.
func (p *provisioner) roomFor(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, cfg pve.VMConfig) error {
	pkg, before := vm.GetPackage(), vm.GetOperation().GetBefore().GetPackage()
	todo, err := plan.Make(cfg, vm, plan.Options{})
	if err != nil {
		return err
	}
	newDisk := todo.AdditionalDisk != "" && !cfg.Has(todo.AdditionalDisk)
	if pkg.GetCores() > before.GetCores() || pkg.GetMemoryMib() > before.GetMemoryMib() || newDisk {
		all, err := p.inventories[vm.GetCluster()].list(ctx, inventoryAge)
		if err != nil {
			return machine.Explain(err, kept)
		}
		if err := fits(all, vm, newDisk); err != nil {
			return err
		}
	}
	if cpu := pkg.GetCpuType(); cpu != "" && cpu != before.GetCpuType() {
		if err := hasCPUModel(ctx, c, vm.GetNode(), cpu); err != nil {
			return err
		}
	}
	if bridge := pkg.GetNetwork().GetBridge(); bridge != "" && bridge != before.GetNetwork().GetBridge() {
		return hasBridge(ctx, c, vm.GetNode(), bridge)
	}
	return nil
}

// fits compares the package with the machine's node as a whole. How much of it others use is for Proxmox
// to say.
func fits(all pve.Resources, vm *vmlinev1.VM, newDisk bool) error {
	pkg := vm.GetPackage()
	for _, n := range all.Nodes {
		switch memory := int64(pkg.GetMemoryMib()) << 20; {
		case n.Name != vm.GetNode():
		case n.MaxCPU > 0 && float64(pkg.GetCores()) > n.MaxCPU:
			return &plan.Impossible{Reason: fmt.Sprintf("the package has %d cores and node %s has %.0f", pkg.GetCores(), n.Name, n.MaxCPU), Next: "Migrate the machine to a larger node first."}
		case n.MaxMem > 0 && memory > n.MaxMem:
			return &plan.Impossible{Reason: fmt.Sprintf("the package has %d MiB of memory and node %s has %d", pkg.GetMemoryMib(), n.Name, n.MaxMem>>20), Next: "Migrate the machine to a larger node first."}
		}
	}
	storage := pkg.GetAdditionalDisk().GetStorage()
	if newDisk && !slices.ContainsFunc(all.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Node == vm.GetNode() }) {
		return &plan.Impossible{Reason: fmt.Sprintf("node %s has no storage %q for the additional disk", vm.GetNode(), storage), Next: "Correct the storage in the package."}
	}
	return nil
}

// hasCPUModel does not judge a model that the cluster's administrator has defined: Proxmox shows those only
// to who may audit the node.
func hasCPUModel(ctx context.Context, c *pve.Client, node, model string) error {
	if strings.HasPrefix(model, "custom-") {
		return nil
	}
	models, err := c.CPUModels(ctx, node)
	if err != nil {
		return machine.Explain(err, kept)
	}
	if !slices.Contains(models, model) {
		return &plan.Impossible{Reason: fmt.Sprintf("Proxmox VE on node %s has no CPU type %q", node, model), Next: "Correct the CPU type in the package."}
	}
	return nil
}

func hasBridge(ctx context.Context, c *pve.Client, node, bridge string) error {
	bridges, err := c.Bridges(ctx, node)
	if pve.KindOf(err) == pve.NoPermission {
		return nil // Proxmox itself says when the card is set
	}
	if err != nil {
		return machine.Explain(err, kept)
	}
	if !slices.ContainsFunc(bridges, func(b pve.Bridge) bool { return b.Name == bridge }) {
		return &plan.Impossible{Reason: fmt.Sprintf("node %s has no bridge %q", node, bridge), Next: "Correct the bridge in the package, or make it on the node."}
	}
	return nil
}
