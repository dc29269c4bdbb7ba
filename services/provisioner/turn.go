package provisioner

import (
	"context"
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

func (t *turn) end(ctx context.Context) {
	if t.taken {
		t.queue.Leave(t.id)
		return
	}
	t.queue.Release(ctx, t.id)
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
	queue := p.leases[t.VM.GetCluster()]
	queue.Hold(task(t.VM, uses))
	held := turn{queue: queue, id: t.VM.GetUid()}
	defer func() { held.end(ctx) }()
	purpose, err := machine.Await(ctx, c, t)
	if t.VM.GetTask() != nil {
		held.runs() // it goes on without this step
	}
	return purpose, err
}

// keepTurn renews the lease of a task that runs although nobody awaits it.
func (p *provisioner) keepTurn(ctx context.Context, vm *vmlinev1.VM) {
	p.leases[vm.GetCluster()].Renew(ctx, task(vm, p.cloneUses(ctx, vm)))
}

// cloneUses are the node that makes the clone and the storages that it is made on.
func (p *provisioner) cloneUses(ctx context.Context, vm *vmlinev1.VM) []lease.Use {
	return p.uses(ctx, vm, vm.GetTemplateNode())
}

// migrateUses are both nodes and the storages on them.
func (p *provisioner) migrateUses(ctx context.Context, vm *vmlinev1.VM) []lease.Use {
	return p.uses(ctx, vm, vm.GetNode(), home(vm))
}

// uses are the nodes, and the VM's storages as seen from there: a shared one is the same from all of them.
// What cannot be read now is not limited; the nodes always are.
func (p *provisioner) uses(ctx context.Context, vm *vmlinev1.VM, nodes ...string) []lease.Use {
	inv := p.inventories[vm.GetCluster()]
	var uses []lease.Use
	for _, node := range nodes {
		uses = append(uses, lease.Use{Of: "node " + node, Limit: inv.rules.TasksPerNode})
	}
	storages := inv.storagesFor(ctx, vm)
	all, err := inv.list(ctx, sharedAge)
	if err != nil {
		return uses
	}
	known := map[string]bool{}
	for _, name := range storages {
		for _, node := range nodes {
			of := "storage " + name
			if !shared(all, name) {
				of += " on " + node
			}
			if !known[of] {
				known[of] = true
				uses = append(uses, lease.Use{Of: of, Limit: inv.rules.TasksPerStorage})
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
	for _, s := range all.Storages {
		if s.Name == storage && s.Shared {
			return true
		}
	}
	return false
}
