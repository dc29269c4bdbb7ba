package rig

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// The kinds, states and statuses that the tests of lifecycle name often.
const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE

	running   = vmlinev1.Operation_STATE_RUNNING
	parked    = vmlinev1.Operation_STATE_PARKED
	succeeded = vmlinev1.Operation_STATE_SUCCEEDED

	readyStatus = vmlinev1.Status_STATUS_READY
	setIP       = vmlinev1.Status_STATUS_SET_IP
)

// standing is a state in which a command may find a VM: its operation of that kind has passed its
// route up to status. The package is the small one named "web".
func standing(t *testing.T, kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, status vmlinev1.Status) *vmlinev1.VM {
	t.Helper()
	pkg := Small("web")
	cmd, err := Command("any", create, pkg, "")
	must(t, err)
	route, _ := chain.RouteOf(kind)
	vm := &vmlinev1.VM{
		Uid: "uid-1", Status: status, Cluster: Cluster, Package: pkg, PackageDigest: cmd.GetPackageDigest(),
		Operation: &vmlinev1.Operation{Id: "earlier", Kind: kind, State: state, Route: route.Statuses},
	}
	for _, s := range route.Statuses[:slices.Index(route.Statuses, status)+1] {
		vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: s})
	}
	return vm
}

// begun gives a VM what the steps up to its clone have recorded.
func begun(vm *vmlinev1.VM) *vmlinev1.VM {
	vm.Vmid, vm.Node, vm.Placement, vm.TemplateNode, vm.TemplateVmid = 150, "pve1", "pve1", "pve1", 9000
	vm.Addresses = []*vmlinev1.Address{{Pool: "v4", Address: "10.64.0.7", PrefixLength: 16}}
	vm.Vmgenid, vm.Mac = "genid-1", "BC:24:11:00:00:01"
	return vm
}

// with is the small package, changed.
func with(change func(*vmlinev1.Package)) *vmlinev1.Package {
	pkg := Small("web")
	change(pkg)
	return pkg
}

// stand puts a VM where a row wants it; nil puts none.
func (r *Rig) stand(ref string, vm *vmlinev1.VM) {
	r.t.Helper()
	if vm != nil {
		vm.Ref = ref
		_, err := r.Bus.Append(r.t.Context(), vm, 0)
		must(r.t, err)
	}
}

// drained returns once every command that was sent is acknowledged.
func (r *Rig) drained() {
	r.t.Helper()
	nc, err := bus.Dial(bus.Server{URL: r.URL(), Name: "drained"}, quiet)
	must(r.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(r.t, err)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		stream, err := js.Stream(ctx, bus.StreamCMD)
		must(r.t, err)
		if stream.CachedInfo().State.Msgs == 0 {
			return
		}
		<-tick.C
	}
}

// refusal returns the stored refusal of a command, nil if there is none.
func (r *Rig) refusal(id string) *vmlinev1.Refusal {
	r.t.Helper()
	bucket, err := r.Bus.Bucket(r.t.Context(), bus.BucketREFUSAL)
	must(r.t, err)
	refusal := &vmlinev1.Refusal{}
	if _, err = bucket.Get(r.t.Context(), id, refusal); errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	must(r.t, err)
	return refusal
}

// log returns what the VM's log holds, nil for a ref that was never used.
func (r *Rig) log(ref string) []*vmlinev1.VM {
	r.t.Helper()
	entries, err := r.Bus.History(r.t.Context(), ref)
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	must(r.t, err)
	vms := make([]*vmlinev1.VM, len(entries))
	for i, e := range entries {
		vms[i] = e.VM
	}
	return vms
}

// admitted returns the states with which an operation of that id began.
func (r *Rig) admitted(ref, id string) []*vmlinev1.VM {
	r.t.Helper()
	return slices.DeleteFunc(r.log(ref), func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() != id || vm.GetEvent() != vmlinev1.Event_EVENT_ADMITTED
	})
}

func equal(a, b []*vmlinev1.Address) bool {
	return slices.EqualFunc(a, b, func(x, y *vmlinev1.Address) bool { return proto.Equal(x, y) })
}
