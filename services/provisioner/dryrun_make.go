package provisioner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// clone plans where the machine would be made, and of what, unless an earlier attempt has made it.
func (d *dry) clone(ctx context.Context, c *pve.Client) error {
	if d.vm.GetVmid() != 0 && !slices.Contains(d.vm.GetOperation().GetRoute(), vmlinev1.Status_STATUS_REMOVED) {
		err := d.look(ctx, c)
		if err == nil {
			d.note("the machine %d is there already", d.vm.GetVmid())
		}
		if !errors.Is(err, machine.ErrAbsent) {
			return err
		}
	}
	if d.vm.GetVmid() == 0 || d.vm.GetTemplateVmid() == 0 {
		if err := d.place(ctx); err != nil {
			return err
		}
	}
	order := d.cloneOrder(d.vm)
	cfg, err := c.VMConfig(ctx, d.vm.GetTemplateNode(), int(d.vm.GetTemplateVmid()))
	if err != nil {
		return machine.Explain(err, nothingMade)
	}
	d.found, d.looked, d.made, d.running = machine.Found{Node: d.vm.GetNode(), Config: asClone(cfg, order)}, true, true, false
	d.vm.RemoteStatus = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
	return d.calls(func(c *pve.Client) error {
		_, err := c.Clone(ctx, d.vm.GetTemplateNode(), int(d.vm.GetTemplateVmid()), order)
		return err
	})
}

// place chooses as the step would and promises nothing.
func (d *dry) place(ctx context.Context) error {
	inv, err := d.inventories[d.vm.GetCluster()].look(ctx, d.vm.GetPackage(), true)
	var choice placement.Choice
	if err == nil {
		choice, err = d.inFlight.would(ctx, d.vm, inv)
	}
	var no *placement.Impossible
	if errors.As(err, &no) {
		return &bus.NeedsPerson{Cause: no.Reason, Kept: nothingMade, Next: no.Next, Err: err}
	}
	if err != nil {
		return machine.Explain(err, nothingMade)
	}
	d.note("would go to node %s, from template %d on %s", choice.Node, choice.Template, choice.TemplateNode)
	if choice.CloneNode != choice.Node {
		d.note("would be cloned on %s, where the template's storage is, and migrated", choice.CloneNode)
	}
	if d.vm.GetVmid() == 0 {
		vmid := d.vmids.next(d.vm, inv.VMs)
		d.note("would get the VMID %d, or the next that is free then", vmid)
		d.vm.Vmid = uint32(vmid) //nolint:gosec // G115: Proxmox has none above 999,999,999
	}
	d.vm.TemplateVmid = uint32(choice.Template) //nolint:gosec // G115: Proxmox has none above 999,999,999
	d.vm.TemplateNode, d.vm.Node, d.vm.Placement = choice.TemplateNode, choice.CloneNode, choice.Node
	return nil
}

// would chooses a place without taking it.
func (f *inFlight) would(ctx context.Context, vm *vmlinev1.VM, inv placement.Inventory) (placement.Choice, error) {
	if err := f.read(ctx, false); err != nil {
		return placement.Choice{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	inv = without(inv, int(vm.GetVmid()))
	return placement.Choose(inv, f.others(vm, inv), vm.GetPackage())
}

// next is the VMID that the VM holds, or the lowest that is free now; 0 for none.
func (v *vmids) next(vm *vmlinev1.VM, onProxmox []pve.VM) int {
	if vmid, ok := v.holds(vm, 0); ok {
		return vmid
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for vmid := max(int(vm.GetPackage().GetFirstVmid()), defaultFirstVMID); vmid <= maxVMID; vmid++ {
		_, taken := v.taken[vmidKey(vm.GetCluster(), vmid)]
		if !taken && !slices.ContainsFunc(onProxmox, func(m pve.VM) bool { return m.VMID == vmid }) {
			return vmid
		}
	}
	return 0
}

// asClone is the configuration that a clone of a template would have. Its volumes are named as Proxmox
// names them; their numbers may be others.
func asClone(template pve.VMConfig, order pve.CloneOptions) pve.VMConfig {
	values := maps.Clone(template.Values)
	delete(values, "template")
	values["name"], values["description"] = order.Name, order.Description
	disk := 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		drive, err := template.Disk(key)
		if !diskKey.MatchString(key) || err != nil || drive.Storage() == "" || (drive.CDROM() && !drive.CloudInit()) {
			continue
		}
		storage, name := drive.Storage(), fmt.Sprintf("vm-%d-cloudinit", order.NewID)
		if order.Full && order.Storage != "" {
			storage = order.Storage
		}
		if !drive.CloudInit() {
			name, disk = fmt.Sprintf("vm-%d-disk-%d", order.NewID, disk), disk+1
		}
		drive.Volume = storage + ":" + name
		values[key] = drive.String()
	}
	for i := range 32 {
		key := fmt.Sprintf("net%d", i)
		if nic, err := template.Net(key); err == nil {
			nic.MAC = "" // a new one
			values[key] = nic.String()
		}
	}
	return pve.VMConfig{Values: values}
}

func (d *dry) migrated(ctx context.Context, c *pve.Client) error {
	var options pve.MigrateOptions
	if asked(d.vm) {
		if err := d.look(ctx, c); err != nil {
			return refusal(err)
		}
		if d.vm.GetNode() == target(d.vm) {
			return nil
		}
		var err error
		if options, err = d.howToMove(ctx, c, d.t, d.found, false); err != nil {
			return refusal(err)
		}
	}
	if d.vm.GetNode() == target(d.vm) {
		return nil
	}
	err := d.calls(func(c *pve.Client) error {
		_, err := c.Migrate(ctx, d.vm.GetNode(), int(d.vm.GetVmid()), target(d.vm), options)
		return err
	})
	d.vm.Node, d.found.Node = target(d.vm), target(d.vm)
	return err
}

func (d *dry) adopted(ctx context.Context, c *pve.Client) error {
	node, cfg, err := d.lookAtStranger(ctx, c, d.vm)
	if err != nil {
		return refusal(machine.Explain(err, adoptKept))
	}
	vmid := int(d.vm.GetOperation().GetParams().GetVmid())
	if err := d.vmids.unheld(ctx, d.vm, vmid); err != nil {
		return err
	}
	have, err := d.strangersFirewall(ctx, c, node, vmid)
	if err != nil {
		return machine.Explain(err, adoptKept)
	}
	for _, a := range plan.AddressesOf(cfg, have) {
		d.note("the machine uses %s/%d", a.GetAddress(), a.GetPrefixLength())
	}
	d.note("the machine %d (%s) is on node %s", vmid, cfg.Name(), node)
	return d.calls(func(c *pve.Client) error {
		_, err := c.SetVMConfig(ctx, node, vmid, markChange(cfg, d.vm))
		return err
	})
}
