package provisioner

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/reading"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

const (
	// fleetAge is how old the reading of all VMs' states may be. Orders that come together share one.
	fleetAge = 2 * time.Second
	// promiseTime is longer than a place that was chosen takes to stand in the VM's state.
	promiseTime = 30 * time.Second
	// listedAfter is longer than Proxmox, and then the inventory, take to list a new machine.
	listedAfter = 15 * time.Second
)

// inFlight knows what our VMs take of the nodes, also those that Proxmox does not count yet.
//
// Their states on the bus are the truth: they outlive this process, hold what every process placed, and
// say how large a machine will be while its clone still looks like the template. They are read as a
// whole at most every 2 s, and only while something is placed: that costs one short-lived consumer,
// where following the stream would keep a second copy of every VM in every process for good. The
// places that this process chose since are remembered until a reading has them.
type inFlight struct {
	bus    *bus.Bus
	states *reading.Shared[fleet]

	mu       sync.Mutex
	promises map[string]promise // by uid
}

// fleet is one reading of all VMs that have their place, by uid.
type fleet struct {
	begun    time.Time
	machines map[string]member
}

type member struct {
	cluster string
	vm      *vmlinev1.VM // where the template's size still has to be looked up; nil otherwise
	placement.Machine
}

type promise struct {
	member
	at time.Time
}

func newInFlight(b *bus.Bus) *inFlight {
	return &inFlight{bus: b, states: reading.New[fleet](), promises: map[string]promise{}}
}

// place lets choose take a place for a VM, knowing all others', and remembers what it took. Orders
// choose one after the other, so that each sees the choice before it.
func (f *inFlight) place(ctx context.Context, vm *vmlinev1.VM, inv placement.Inventory, fresh bool) (placement.Choice, error) {
	ours, err := f.read(ctx, fresh)
	if err != nil {
		return placement.Choice{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	inv = without(inv, int(vm.GetVmid()))
	choice, err := placement.Choose(inv, f.others(ours, vm, inv), vm.GetPackage())
	if err == nil {
		m := machineOf(vm, f.bus.Now())
		m.Node, m.OnItsWay = choice.Node, true
		m.Storage, m.Disk = inv.Writes(choice, vm.GetPackage())
		f.promises[vm.GetUid()] = promise{member{vm.GetCluster(), nil, m}, f.bus.Now()}
	}
	return choice, err
}

// over says why a VM's node carries too much now that its place stands in its state; nil if it does not.
// Two processes may have chosen the last room of a node at the same moment: whoever looks later sees it.
func (f *inFlight) over(ctx context.Context, vm *vmlinev1.VM, inv placement.Inventory) error {
	ours, err := f.read(ctx, true)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return placement.Over(without(inv, int(vm.GetVmid())), f.others(ours, vm, inv), vm.GetPackage(), home(vm))
}

func (f *inFlight) read(ctx context.Context, fresh bool) (fleet, error) {
	age := fleetAge
	if fresh {
		age = 0
	}
	return f.states.Get(ctx, f.bus.Now, age, func() (fleet, error) {
		all := fleet{begun: f.bus.Now(), machines: map[string]member{}}
		err := f.bus.Each(ctx, func(e bus.Entry) error {
			if placed(e.VM) {
				all.machines[e.VM.GetUid()] = member{e.VM.GetCluster(), e.VM, machineOf(e.VM, all.begun)}
			} else {
				delete(all.machines, e.VM.GetUid()) // a VM may come twice, newest last
			}
			return nil
		})
		return all, err
	})
}

// without is the inventory as if a machine were not there yet.
func without(inv placement.Inventory, vmid int) placement.Inventory {
	inv.VMs = slices.DeleteFunc(slices.Clone(inv.VMs), func(vm pve.VM) bool { return vmid != 0 && vm.VMID == vmid })
	return inv
}

// others are the machines of the VM's cluster without itself.
func (f *inFlight) others(all fleet, vm *vmlinev1.VM, inv placement.Inventory) []placement.Machine {
	now := f.bus.Now()
	for uid, p := range f.promises {
		_, seen := all.machines[uid]
		if now.Sub(p.at) > promiseTime || seen && all.begun.After(p.at) {
			delete(f.promises, uid)
		}
	}
	var others []placement.Machine
	for uid, m := range all.machines {
		if _, newer := f.promises[uid]; newer || uid == vm.GetUid() || m.cluster != vm.GetCluster() {
			continue
		}
		if writes(m.vm) {
			choice := placement.Choice{Template: int(m.vm.GetTemplateVmid()), TemplateNode: m.vm.GetTemplateNode(), CloneNode: m.vm.GetNode(), Node: m.Node}
			m.Storage, m.Disk = inv.Writes(choice, m.vm.GetPackage())
		}
		others = append(others, m.Machine)
	}
	for uid, p := range f.promises {
		if uid != vm.GetUid() && p.cluster == vm.GetCluster() {
			others = append(others, p.Machine)
		}
	}
	return others
}

// placed says that a VM has its place and has not given it back.
func placed(vm *vmlinev1.VM) bool {
	gone := vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED || vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED
	return vm.GetVmid() != 0 && home(vm) != "" && !gone
}

// machineOf is what a VM's state says of its machine. It is on its way while it is being made or moved, and
// new for a while after that.
func machineOf(vm *vmlinev1.VM, now time.Time) placement.Machine {
	pkg, op := vm.GetPackage(), vm.GetOperation()
	ended := op.GetState() == vmlinev1.Operation_STATE_SUCCEEDED
	underWay := op.GetState() == vmlinev1.Operation_STATE_RUNNING || op.GetState() == vmlinev1.Operation_STATE_PARKED
	node := home(vm)
	if underWay {
		node = target(vm)
	}
	moves := slices.ContainsFunc(op.GetRoute(), func(s vmlinev1.Status) bool {
		return s == vmlinev1.Status_STATUS_CLONE || s == vmlinev1.Status_STATUS_MIGRATED
	})
	return placement.Machine{
		VMID: int(vm.GetVmid()), Node: cmp.Or(node, vm.GetNode()), Customer: pkg.GetCustomer(),
		Memory: int64(pkg.GetMemoryMib()) << 20, Cores: float64(pkg.GetCores()),
		OnItsWay: moves && underWay, New: moves && ended && now.Sub(op.GetFinishedAt().AsTime()) < listedAfter,
	}
}

// writes says that a VM's clone has not been seen to end: what it writes is not taken of the storage yet.
func writes(vm *vmlinev1.VM) bool {
	return vm != nil && vm.GetTemplateVmid() != 0 && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED &&
		!slices.ContainsFunc(vm.GetOperation().GetReached(), func(r *vmlinev1.Reached) bool { return r.GetStatus() == vmlinev1.Status_STATUS_CLONE })
}
