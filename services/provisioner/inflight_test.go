package provisioner

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

// twoNodes is a cluster with room for four machines of 1 GiB on a, and for two on b.
func twoNodes() placement.Inventory {
	var inv placement.Inventory
	inv.Nodes = []pve.Node{{Name: "a", Online: true, MaxMem: 4 << 30}, {Name: "b", Online: true, MaxMem: 2 << 30}}
	inv.VMs = []pve.VM{{VMID: 9000, Name: "tpl", Template: true, Node: "a"}}
	inv.Storages = []pve.Storage{{Name: "s", Node: "a", Shared: true, Active: true}, {Name: "s", Node: "b", Shared: true, Active: true}}
	inv.Volumes = map[int][]string{9000: {"s"}}
	inv.Limits.Memory = 1
	return inv
}

func orderOf(n int) *vmlinev1.VM {
	vm := newVM(n)
	vm.Package = &vmlinev1.Package{Template: "tpl", MemoryMib: 1 << 10}
	return vm
}

// TestInFlightWithinAProcess: each order sees the choices before it, until no node has room.
func TestInFlightWithinAProcess(t *testing.T) {
	f := newInFlight(openBus(t, nil, nil))
	var nodes []string
	for n := range 7 {
		choice, err := f.place(t.Context(), orderOf(n), twoNodes(), false)
		var no *placement.Impossible
		if n == 6 && errors.As(err, &no) && no.Passing {
			break
		}
		must(t, err)
		nodes = append(nodes, choice.Node)
	}
	slices.Sort(nodes)
	if want := []string{"a", "a", "a", "a", "b", "b"}; !slices.Equal(nodes, want) {
		t.Errorf("placed on %v, want %v", nodes, want)
	}
}

// TestInFlightOfOthers: what other processes placed is read from the VMs' states; what this process chose
// is remembered until it can be read there, or has come to nothing.
func TestInFlightOfOthers(t *testing.T) {
	now := time.Unix(1000, 0)
	b := openBus(t, func() time.Time { return now }, nil)
	f := newInFlight(b)
	others := func() (nodes []string) {
		must(t, f.read(t.Context(), true))
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, m := range f.others(orderOf(99), twoNodes()) {
			nodes = append(nodes, m.Node)
		}
		slices.Sort(nodes)
		return nodes
	}
	check := func(when string, want ...string) {
		t.Helper()
		if got := others(); !slices.Equal(got, want) {
			t.Errorf("%s: machines on %v, want %v", when, got, want)
		}
	}
	state := func(n int, cluster, node string, status vmlinev1.Status) {
		vm := orderOf(n)
		vm.Cluster, vm.Vmid, vm.Placement, vm.Status = cluster, uint32(100+n), node, status
		vm.Operation = &vmlinev1.Operation{Id: "op", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING}
		_, err := b.Append(t.Context(), vm, 0)
		must(t, err)
	}
	check("at first")
	state(1, "dc1", "b", vmlinev1.Status_STATUS_SET_IP)
	state(2, "dc2", "b", vmlinev1.Status_STATUS_SET_IP)
	state(3, "dc1", "b", vmlinev1.Status_STATUS_TERMINATED)
	check("placed by others", "b")

	_, err := f.place(t.Context(), orderOf(4), twoNodes(), false)
	must(t, err)
	check("chosen here", "a", "b")
	now = now.Add(promiseTime)
	check("not in its state yet", "a", "b")
	now = now.Add(time.Second)
	check("never came into its state", "b")

	_, err = f.place(t.Context(), orderOf(5), twoNodes(), false)
	must(t, err)
	now = now.Add(time.Second)
	state(5, "dc1", "b", vmlinev1.Status_STATUS_SET_IP)
	check("its state says another place", "b", "b")

	last, err := b.Last(t.Context(), "w1-1")
	must(t, err)
	last.VM.Status = vmlinev1.Status_STATUS_TERMINATED
	_, err = b.Append(t.Context(), last.VM, last.Seq)
	must(t, err)
	check("one is gone", "b")
	now = now.Add(anew)
	check("everything is read again", "b")
}

// TestOverALimit: of two processes that took the last room, the one that looks later sees it.
func TestOverALimit(t *testing.T) {
	b := openBus(t, nil, nil)
	f := newInFlight(b)
	last := func(n int) *vmlinev1.VM {
		vm := orderOf(n)
		vm.Package.MemoryMib, vm.Vmid, vm.Placement = 2<<10, uint32(100+n), "b"
		vm.Operation = &vmlinev1.Operation{Id: "op", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING, Route: []vmlinev1.Status{vmlinev1.Status_STATUS_CLONE}}
		return vm
	}
	_, err := b.Append(t.Context(), last(1), 0)
	must(t, err)
	must(t, f.over(t.Context(), last(1), twoNodes()))
	_, err = b.Append(t.Context(), last(2), 0)
	must(t, err)
	var no *placement.Impossible
	if err := f.over(t.Context(), last(2), twoNodes()); !errors.As(err, &no) || !no.Passing {
		t.Errorf("got %v", err)
	}
}
