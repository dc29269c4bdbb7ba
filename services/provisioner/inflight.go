package provisioner

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/reading"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

const (
	// fleetAge is how old the reading of the VMs' states may be. Orders that come together share one.
	fleetAge = 2 * time.Second
	// promiseTime is longer than a place that was chosen takes to stand in the VM's state.
	promiseTime = 30 * time.Second
	// listedAfter is longer than Proxmox, and then the inventory, take to list a new machine.
	listedAfter = 15 * time.Second
	// anew is how often all states are read, not only those that changed.
	anew = 5 * time.Minute
)

// inFlight knows what our VMs take of the nodes, also those that Proxmox does not count yet.
//
// Their states on the bus are the truth: they outlive this process, hold what every process placed, and
// say how large a machine will be while its clone still looks like the template. What changed of them is
// read when something is placed, at most every 2 s, and of each VM only what counts is kept. The places
// that this process chose since are remembered until a reading has them.
type inFlight struct {
	bus    *bus.Bus
	shared *reading.Shared[struct{}]

	mu       sync.Mutex
	seq      uint64    // of the newest state that was read
	whole    time.Time // when all states were read
	members  map[string]member
	promises map[string]promise // by uid
}

// member is what counts of one VM that has its place.
type member struct {
	uid, cluster string
	seq          uint64
	// ended is when the machine was made or moved; zero where it is not, or has not been for long.
	ended time.Time
	vm    *vmlinev1.VM // where the template's size still has to be looked up; nil otherwise
	placement.Machine
}

type promise struct {
	member
	ref string
	at  time.Time
}

func newInFlight(b *bus.Bus) *inFlight {
	return &inFlight{bus: b, shared: reading.New[struct{}](), members: map[string]member{}, promises: map[string]promise{}}
}

// place lets choose take a place for a VM, knowing all others', and remembers what it took. Orders
// choose one after the other, so that each sees the choice before it.
func (f *inFlight) place(ctx context.Context, vm *vmlinev1.VM, inv placement.Inventory, fresh bool) (placement.Choice, error) {
	if err := f.read(ctx, fresh); err != nil {
		return placement.Choice{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	inv = without(inv, int(vm.GetVmid()))
	choice, err := placement.Choose(inv, f.others(vm, inv), vm.GetPackage())
	if err == nil {
		m := memberOf(vm, f.members[vm.GetRef()].seq)
		m.Node, m.OnItsWay, m.vm = choice.Node, true, nil
		m.Storage, m.Disk = inv.Writes(choice, vm.GetPackage())
		f.promises[vm.GetUid()] = promise{m, vm.GetRef(), f.bus.Now()}
	}
	return choice, err
}

// over says why a VM's node carries too much now that its place stands in its state; nil if it does not.
// Two processes may have chosen the last room of a node at the same moment: whoever looks later sees it.
func (f *inFlight) over(ctx context.Context, vm *vmlinev1.VM, inv placement.Inventory) error {
	if err := f.read(ctx, true); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return placement.Over(without(inv, int(vm.GetVmid())), f.others(vm, inv), vm.GetPackage(), home(vm))
}

// read learns what changed; fresh has it read now.
func (f *inFlight) read(ctx context.Context, fresh bool) error {
	age := fleetAge
	if fresh {
		age = 0
	}
	_, err := f.shared.Get(ctx, f.bus.Now, age, func() (struct{}, error) { return struct{}{}, f.update(ctx) })
	return err
}

// update reads what changed since the last time. After a while it reads everything: a stream that was
// restored counts anew.
func (f *inFlight) update(ctx context.Context) error {
	begun := f.bus.Now()
	f.mu.Lock()
	after, all := f.seq, begun.Sub(f.whole) >= anew
	f.mu.Unlock()
	if !all {
		return f.bus.EachSince(ctx, after, func(e bus.Entry) error { f.learn(e); return nil })
	}
	known := map[string]bool{}
	err := f.bus.Each(ctx, func(e bus.Entry) error {
		known[e.VM.GetRef()] = true
		f.learn(e)
		return nil
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.whole = begun
	maps.DeleteFunc(f.members, func(ref string, _ member) bool { return !known[ref] })
	return nil
}

// learn takes in a VM's newest state.
func (f *inFlight) learn(e bus.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = e.Seq
	if placed(e.VM) {
		f.members[e.VM.GetRef()] = memberOf(e.VM, e.Seq)
	} else {
		delete(f.members, e.VM.GetRef())
	}
}

// without is the inventory as if a machine were not there yet.
func without(inv placement.Inventory, vmid int) placement.Inventory {
	inv.VMs = slices.DeleteFunc(slices.Clone(inv.VMs), func(vm pve.VM) bool { return vmid != 0 && vm.VMID == vmid })
	return inv
}

// others are the machines of the VM's cluster without itself.
func (f *inFlight) others(vm *vmlinev1.VM, inv placement.Inventory) []placement.Machine {
	now := f.bus.Now()
	maps.DeleteFunc(f.promises, func(uid string, p promise) bool {
		m, seen := f.members[p.ref]
		return now.Sub(p.at) > promiseTime || seen && m.uid == uid && m.seq > p.seq
	})
	var others []placement.Machine
	for _, m := range f.members {
		if _, newer := f.promises[m.uid]; newer || m.uid == vm.GetUid() || m.cluster != vm.GetCluster() {
			continue
		}
		m.New = now.Sub(m.ended) < listedAfter
		if m.vm != nil {
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

// memberOf is what counts of a VM's state. Its machine is on its way while it is being made or moved.
func memberOf(vm *vmlinev1.VM, seq uint64) member {
	pkg, op := vm.GetPackage(), vm.GetOperation()
	m := member{uid: vm.GetUid(), cluster: vm.GetCluster(), seq: seq}
	moves := slices.ContainsFunc(op.GetRoute(), func(s vmlinev1.Status) bool {
		return s == vmlinev1.Status_STATUS_CLONE || s == vmlinev1.Status_STATUS_MIGRATED
	})
	underWay := op.GetState() == vmlinev1.Operation_STATE_RUNNING || op.GetState() == vmlinev1.Operation_STATE_PARKED
	node := home(vm)
	if underWay {
		node = target(vm)
	}
	if moves && op.GetState() == vmlinev1.Operation_STATE_SUCCEEDED {
		m.ended = op.GetFinishedAt().AsTime()
	}
	if writes(vm) {
		m.vm = vm
	}
	m.Machine = placement.Machine{
		VMID: int(vm.GetVmid()), Node: cmp.Or(node, vm.GetNode()), Customer: pkg.GetCustomer(),
		Memory: int64(pkg.GetMemoryMib()) << 20, Cores: float64(pkg.GetCores()), OnItsWay: moves && underWay,
	}
	return m
}

// writes says that a VM's clone has not been seen to end: what it writes is not taken of the storage yet.
func writes(vm *vmlinev1.VM) bool {
	return vm.GetTemplateVmid() != 0 && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED &&
		!slices.ContainsFunc(vm.GetOperation().GetReached(), func(r *vmlinev1.Reached) bool { return r.GetStatus() == vmlinev1.Status_STATUS_CLONE })
}
