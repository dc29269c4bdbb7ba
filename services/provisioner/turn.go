package provisioner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/lease"
)

const (
	// firstPatience is how long a step waits for its turn before its VM shows that it waits.
	firstPatience = 200 * time.Millisecond
	// patience is how long it waits from then on before what is shown is brought up to date. Each time is
	// one more entry in the VM's log.
	patience = 30 * time.Second
	// sharedAge is how old the knowledge may be which storages are shared.
	sharedAge = time.Minute
)

// turn is a VM's right to run one heavy task. It ends with the step, unless the task runs: then the
// lease stays, for whoever awaits the task.
type turn struct {
	queue *lease.Queue
	id    string
	taken bool
}

// turn waits for the VM's turn. *bus.Waiting says that it has not come yet.
func (p *provisioner) turn(ctx context.Context, t *bus.Trigger, uses []lease.Use) (*turn, error) {
	if len(uses) == 0 {
		return &turn{}, nil
	}
	queue, wait := p.leases[t.VM.GetCluster()], firstPatience
	if t.VM.GetRetry() != nil {
		wait = patience
	}
	granted, reason, err := queue.Acquire(ctx, task(t.VM, uses), wait)
	if err != nil {
		return nil, err
	}
	if !granted {
		return nil, &bus.Waiting{Reason: reason, After: time.Second}
	}
	return &turn{queue: queue, id: t.VM.GetUid()}, nil
}

// runs says that the task was started.
func (t *turn) runs() { t.taken = true }

// overtaken looks whether the step is still asked for, as bus.Trigger's Current does. Whoever overtook it may be
// another worker of the same step, which has started the task under the same lease: that stays then.
func (p *provisioner) overtaken(ctx context.Context, t *bus.Trigger, turn *turn) error {
	err := t.Current(ctx)
	if !errors.Is(err, bus.ErrSuperseded) {
		return err
	}
	if last, unknown := p.Bus.Last(ctx, t.VM.GetRef()); unknown != nil || last.VM.GetTask() != nil {
		turn.runs()
	}
	return err
}

func (t *turn) end(ctx context.Context) {
	switch {
	case t.queue == nil: // nothing is limited
	case t.taken:
		t.queue.Leave(t.id)
	default:
		t.queue.Release(ctx, t.id)
	}
}

func task(vm *vmlinev1.VM, uses []lease.Use) lease.Task {
	return lease.Task{ID: vm.GetUid(), Customer: vm.GetPackage().GetCustomer(), Uses: uses}
}

// await is machine.Await for a heavy task, whose lease it holds until the task has ended.
func (p *provisioner) await(ctx context.Context, c *pve.Client, t *bus.Trigger) (string, error) {
	recorded := t.VM.GetTask()
	if recorded == nil {
		return "", nil
	}
	uses := p.cloneUses(ctx, t.VM)
	if recorded.GetPurpose() == machine.PurposeMigrate {
		uses = p.migrateUses(ctx, t.VM)
	}
	held := p.hold(t.VM, uses)
	defer func() { held.end(ctx) }()
	purpose, err := machine.Await(ctx, c, t)
	if t.VM.GetTask() != nil {
		held.runs() // it goes on without this step
	}
	return purpose, err
}

// hold takes the lease of a task that runs already.
func (p *provisioner) hold(vm *vmlinev1.VM, uses []lease.Use) *turn {
	if len(uses) == 0 {
		return &turn{}
	}
	queue := p.leases[vm.GetCluster()]
	queue.Hold(task(vm, uses))
	return &turn{queue: queue, id: vm.GetUid()}
}

// keepTurn renews the lease of a task that runs although nobody awaits it.
func (p *provisioner) keepTurn(ctx context.Context, vm *vmlinev1.VM) {
	if uses := p.cloneUses(ctx, vm); len(uses) > 0 {
		p.leases[vm.GetCluster()].Renew(ctx, task(vm, uses))
	}
}

// cloneUses are the node that makes the clone and the storages that it is made on.
func (p *provisioner) cloneUses(ctx context.Context, vm *vmlinev1.VM) []lease.Use {
	return p.uses(ctx, vm, vm.GetTemplateNode())
}

// migrateUses are both nodes and the storages on them.
func (p *provisioner) migrateUses(ctx context.Context, vm *vmlinev1.VM) []lease.Use {
	return p.uses(ctx, vm, vm.GetNode(), target(vm))
}

// uses are what is limited of the nodes and of the VM's storages as seen from there: a shared one is the
// same from all of them. What cannot be read now is not limited; the nodes always are.
func (p *provisioner) uses(ctx context.Context, vm *vmlinev1.VM, nodes ...string) []lease.Use {
	inv := p.inventories[vm.GetCluster()]
	var uses []lease.Use
	if inv.rules.TasksPerNode > 0 {
		for _, node := range nodes {
			uses = append(uses, lease.Use{Of: "node " + node, Limit: inv.rules.TasksPerNode})
		}
	}
	if inv.rules.TasksPerStorage == 0 {
		return uses
	}
	all, err := inv.list(ctx, sharedAge)
	if err != nil {
		return uses
	}
	for _, name := range inv.storagesFor(ctx, vm) {
		for _, node := range nodes {
			of := "storage " + name
			if !shared(all, name) {
				of += " on " + node
			}
			use := lease.Use{Of: of, Limit: inv.rules.TasksPerStorage}
			if !slices.Contains(uses, use) {
				uses = append(uses, use)
			}
		}
	}
	return uses
}

// storagesFor are the storages that a VM's disks are made on.
func (i *inventory) storagesFor(ctx context.Context, vm *vmlinev1.VM) []string {
	if named := vm.GetPackage().GetSystemDisk().GetStorage(); named != "" && copies(vm) {
		return []string{named}
	}
	storages, err := i.templateStorages(ctx, vm.GetTemplateNode(), int(vm.GetTemplateVmid()), templateAge)
	if err != nil {
		return nil
	}
	return storages
}

func shared(all pve.Resources, storage string) bool {
	return slices.ContainsFunc(all.Storages, func(s pve.Storage) bool { return s.Name == storage && s.Shared })
}
