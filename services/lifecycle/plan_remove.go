package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// removed plans how the machine is taken away.
func (p *planner) removed(ctx context.Context, planned *vmlinev1.PlannedStep) error {
	if p.vm.GetVmid() == 0 {
		return nil
	}
	c, err := p.l.cluster(p.vm)
	if err != nil {
		return err
	}
	found, err := machine.Find(ctx, c, p.vm)
	if errors.Is(err, machine.ErrAbsent) {
		return nil
	}
	if err != nil {
		return machine.Explain(err, keptReserved)
	}
	if lock := found.Config.Lock; lock != "" {
		planned.Notes = append(planned.Notes, "the machine is locked by Proxmox ("+lock+"); that is waited for")
	}
	if err := p.lookAt(ctx, c, found); err != nil {
		return err
	}
	r := p.l.removal(c, &bus.Trigger{VM: p.vm}, found)
	how := manners[chain.Goal(p.vm.GetOperation())]
	if how.objects != nil {
		if err := how.objects(ctx, r); err != nil {
			return machine.Explain(err, keptWhole)
		}
	}
	for _, part := range how.parts {
		if err := p.plans()[part.purpose](ctx, r, planned); err != nil {
			return machine.Explain(err, keptWhole)
		}
	}
	p.call(planned, "DELETE", "", map[string]string{"purge": bit(how.purge), "destroy-unreferenced-disks": "0"})
	return nil
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// plans says for the purpose of each part which calls would take it.
func (p *planner) plans() map[string]func(context.Context, removal, *vmlinev1.PlannedStep) error {
	return map[string]func(context.Context, removal, *vmlinev1.PlannedStep) error{
		machine.PurposeDeleteBackup: p.backups,
		machine.PurposeDeleteSnap:   p.snapshots,
		machine.PurposeStop: func(_ context.Context, _ removal, planned *vmlinev1.PlannedStep) error {
			if p.power == running {
				p.call(planned, "POST", "/status/stop", map[string]string{"overrule-shutdown": "1"})
			}
			return nil
		},
		machine.PurposeMoveDisk: p.disks,
	}
}

func (p *planner) backups(ctx context.Context, r removal, planned *vmlinev1.PlannedStep) error {
	all, err := deletable(ctx, r)
	for _, b := range all {
		planned.Calls = append(planned.Calls, &vmlinev1.PlannedCall{
			Method: "DELETE", Path: fmt.Sprintf("/nodes/%s/storage/%s/content/%s", r.found.Node, b.Storage, b.VolID),
		})
	}
	return err
}

// snapshots follows the line of snapshots that the machine stands on, newest first.
func (p *planner) snapshots(ctx context.Context, r removal, planned *vmlinev1.PlannedStep) error {
	parent := r.found.Config.Values["parent"]
	if parent == "" {
		return nil
	}
	all, err := r.Snapshots(ctx, r.found.Node, r.vmid())
	if err != nil {
		return err
	}
	byName := map[string]pve.Snapshot{}
	for _, s := range all {
		byName[s.Name] = s
	}
	for s, ok := byName[parent]; ok; s, ok = byName[s.Parent] {
		p.call(planned, "DELETE", "/snapshot/"+s.Name, nil)
		delete(byName, s.Name)
	}
	return nil
}

func (p *planner) disks(ctx context.Context, r removal, planned *vmlinev1.PlannedStep) error {
	disks := unused(r.found.Config)
	if len(disks) == 0 {
		return nil
	}
	keeper, cfg, err := r.keeper(ctx)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		slot := freeSlot(cfg)
		cfg.Values[slot] = r.found.Config.Values[disk]
		p.call(planned, "POST", "/move_disk", map[string]string{"disk": disk, "target-vmid": strconv.Itoa(keeper), "target-disk": slot})
	}
	return nil
}
