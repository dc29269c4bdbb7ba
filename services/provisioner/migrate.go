package provisioner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// home is the node where the VM is to live: the one that its package names, also when a repeated order
// names another than the first one did, or the one that was chosen.
func home(vm *vmlinev1.VM) string { return cmp.Or(vm.GetPackage().GetNode(), vm.GetPlacement()) }

// asked says that a person has asked for the migration.
func asked(vm *vmlinev1.VM) bool {
	return chain.Goal(vm.GetOperation()) == vmlinev1.Operation_KIND_MIGRATE
}

// target is the node that the VM moves to in this step.
func target(vm *vmlinev1.VM) string {
	if asked(vm) {
		return vm.GetOperation().GetParams().GetNode()
	}
	return home(vm)
}

// haPatience is how soon a machine that Proxmox's high availability moves is looked at again.
const haPatience = 5 * time.Second

// migrate takes the VM to the node where it is to live: when the template's storage forced the clone
// to appear on another, and when an operator asks for it; then also while it runs.
func (p *provisioner) migrate(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if !asked(t.VM) && t.VM.GetTask() == nil && t.VM.GetNode() == home(t.VM) {
		return bus.Done, nil
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	ended, err := p.await(ctx, c, t)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	if ended == machine.PurposeMigrate {
		t.VM.Node = target(t.VM) // where it is looked for first
	}
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	t.VM.Node = found.Node
	if found.Node == target(t.VM) {
		t.VM.Placement = found.Node
		return bus.Done, nil
	}
	options, err := p.howToMove(ctx, c, t, found, ended == machine.PurposeMigrate)
	if err != nil {
		return 0, err
	}
	return p.orderMove(ctx, c, t, options)
}

func (p *provisioner) orderMove(ctx context.Context, c *pve.Client, t *bus.Trigger, options pve.MigrateOptions) (bus.Outcome, error) {
	turn, err := p.turn(ctx, t, p.migrateUses(ctx, t.VM))
	if err != nil {
		return 0, err
	}
	defer turn.end(ctx)
	if err := p.overtaken(ctx, t, turn); err != nil {
		return 0, err
	}
	upid, err := c.Migrate(ctx, t.VM.GetNode(), int(t.VM.GetVmid()), target(t.VM), options)
	if pve.KindOf(err) == pve.MaybeCommitted || machine.LockOf(err) == "migrate" {
		turn.runs() // perhaps, or by whoever has ordered it; where the machine is, is looked for before it is moved again
	}
	if err != nil && asked(t.VM) {
		return 0, refusal(machine.Explain(err, kept))
	}
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	turn.runs()
	p.started(t, upid, vmlinev1.Status_STATUS_MIGRATED, machine.PurposeMigrate)
	return bus.Recorded, nil
}

// howToMove works out the options of a migration that a person has asked for, or refuses it. A machine
// that was just cloned is stopped and needs none. moved says that a task has ended without the machine
// being there: high availability moves it by itself.
func (p *provisioner) howToMove(ctx context.Context, c *pve.Client, t *bus.Trigger, found machine.Found, moved bool) (pve.MigrateOptions, error) {
	if !asked(t.VM) {
		return pve.MigrateOptions{}, nil
	}
	status, err := c.Status(ctx, found.Node, int(t.VM.GetVmid()))
	if err != nil {
		return pve.MigrateOptions{}, machine.Explain(err, kept)
	}
	noteStatus(t.VM, status)
	if moved && status.HAManaged {
		return pve.MigrateOptions{}, &bus.RetryAfter{Err: errors.New("high availability is moving the machine"), After: haPatience}
	}
	inventory := p.inventories[t.VM.GetCluster()]
	all, err := inventory.list(ctx, inventoryAge)
	if err != nil {
		return pve.MigrateOptions{}, machine.Explain(err, kept)
	}
	options, err := wayTo(all, t.VM, found.Config, status.Status == "running")
	if err != nil {
		return options, err
	}
	maintenance, err := inventory.inMaintenance(ctx, 0)
	if err != nil {
		return pve.MigrateOptions{}, machine.Explain(err, kept)
	}
	if maintenance[target(t.VM)] {
		return pve.MigrateOptions{}, &bus.Refused{
			Cause: "node " + target(t.VM) + " is in maintenance and gets nothing new", Next: "Choose another node, or end its maintenance.",
		}
	}
	return options, nil
}

// wayTo finds how a machine can move to the target: live if it runs, with the disks that are on local
// storages.
func wayTo(all pve.Resources, vm *vmlinev1.VM, cfg pve.VMConfig, runs bool) (pve.MigrateOptions, error) {
	to, pkg := target(vm), vm.GetPackage()
	no := func(next, format string, args ...any) error {
		return &bus.Refused{Cause: fmt.Sprintf(format, args...), Next: next}
	}
	node := slices.IndexFunc(all.Nodes, func(n pve.Node) bool { return n.Name == to })
	switch {
	case node < 0:
		return pve.MigrateOptions{}, no("Name one of its nodes.", "the cluster has no node %q", to)
	case !all.Nodes[node].Online:
		return pve.MigrateOptions{}, no("Choose another node, or repeat this when it is back.", "node %s is not online", to)
	case pkg.GetNode() != "" && pkg.GetNode() != to:
		return pve.MigrateOptions{}, no("Change the package first.", "the package ties the machine to node %s", pkg.GetNode())
	case len(pkg.GetNodes()) > 0 && !slices.Contains(pkg.GetNodes(), to):
		return pve.MigrateOptions{}, no("Choose one of these, or change the package first.", "the package lets the machine live on %s only", strings.Join(pkg.GetNodes(), ", "))
	}
	options := pve.MigrateOptions{Online: runs}
	var pairs []string
	for _, storage := range storagesOf(cfg) {
		if shared(all, storage) {
			continue
		}
		if basedOn(cfg, storage) {
			return options, no("Reinstall it with a full clone on another node.", "the machine is a linked clone of a template on the local storage %s and cannot leave it", storage)
		}
		place := placeFor(all, to, storage)
		if place == "" {
			return options, no("Make a storage for disks there, or choose another node.", "node %s has no storage for the disks on %s", to, storage)
		}
		options.WithLocalDisks = runs
		if place != storage {
			pairs = append(pairs, storage+":"+place)
		}
	}
	options.TargetStorage = strings.Join(pairs, ",")
	return options, nil
}

// basedOn says that a disk on the storage is a linked clone.
func basedOn(cfg pve.VMConfig, storage string) bool {
	for key := range cfg.Values {
		drive, err := cfg.Disk(key)
		if diskKey.MatchString(key) && err == nil && drive.Storage() == storage && strings.Contains(drive.Volume, "base-") {
			return true
		}
	}
	return false
}

// placeFor is the storage on a node for disks from a local storage: the one of the same name, else the
// one with the most room.
func placeFor(all pve.Resources, node, storage string) string {
	var best pve.Storage
	for _, s := range all.Storages {
		switch {
		case s.Node != node || !slices.Contains(s.Content, "images"):
		case s.Name == storage:
			return s.Name
		case s.Avail > best.Avail:
			best = s
		}
	}
	return best.Name
}
