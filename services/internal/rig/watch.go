package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// patience is how long a test waits for something that has to happen. It is only used up by a test that
// fails, on a machine that may be busy with others.
const patience = 3 * time.Minute

// Await returns the VM's state once want says so. It fails the test when that takes too long.
func (r *Rig) Await(ref string, want func(*vmlinev1.VM) bool) *vmlinev1.VM {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last bus.Entry
	for {
		if e, err := r.Bus.Last(ctx, ref); err == nil {
			if last = e; want(e.VM) {
				return e.VM
			}
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("%s did not get there; it stands at %v", ref, last.VM)
		case <-tick.C:
		}
	}
}

// AwaitRest returns once the durable consumers of a stream have acknowledged every message. It fails the test
// when that takes too long.
func (r *Rig) AwaitRest(stream string, consumers ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	nc, err := bus.Dial(bus.Server{URL: r.URL(), Name: "rest"}, quiet)
	must(r.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(r.t, err)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, name := range consumers {
		for last := uint64(0); ; <-tick.C {
			consumer, err := js.Consumer(ctx, stream, name)
			if err != nil {
				r.t.Fatalf("%s of %s is not at rest: %v", name, stream, err)
			}
			info := consumer.CachedInfo()
			if last == 0 {
				last = r.lastOf(ctx, js, stream, info.Config.FilterSubject)
			}
			// A message counts as pending only a moment after it was stored.
			if info.Delivered.Stream >= last && info.NumPending == 0 && info.NumAckPending == 0 {
				break
			}
		}
	}
}

// lastOf is the sequence of a stream's newest message with such a subject; 0 for none.
func (r *Rig) lastOf(ctx context.Context, js jetstream.JetStream, stream, subject string) uint64 {
	r.t.Helper()
	s, err := js.Stream(ctx, stream)
	must(r.t, err)
	msg, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0
	}
	must(r.t, err)
	return msg.Sequence
}

// AwaitRefusal returns why a command was not admitted. It fails the test when that takes too long.
func (r *Rig) AwaitRefusal(id string) *vmlinev1.Refusal {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	bucket, err := r.Bus.Bucket(ctx, bus.BucketREFUSAL)
	must(r.t, err)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	refusal := &vmlinev1.Refusal{}
	for {
		if _, err = bucket.Get(ctx, id, refusal); err == nil {
			return refusal
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("%s was not refused: %v", id, err)
		case <-tick.C:
		}
	}
}

// Ended says that the VM's operation of a kind has succeeded.
func Ended(kind vmlinev1.Operation_Kind) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetKind() == kind && vm.GetOperation().GetState() == vmlinev1.Operation_STATE_SUCCEEDED
	}
}

// Parked says that the VM's operation waits for a person.
func Parked(vm *vmlinev1.VM) bool {
	return vm.GetOperation().GetState() == vmlinev1.Operation_STATE_PARKED
}

// CheckLog fails the test unless the log has every status of the VM's operations exactly once and in
// the order of their routes. An operation that was interrupted or refused may have only a beginning of its route.
func (r *Rig) CheckLog(ref string) {
	r.t.Helper()
	entries, err := r.Bus.History(r.t.Context(), ref)
	must(r.t, err)
	passed := map[string][]vmlinev1.Status{}
	routes := map[string][]vmlinev1.Status{}
	refused := map[string]bool{}
	var order []string
	for _, e := range entries {
		op := e.VM.GetOperation()
		if e.VM.GetEvent() == vmlinev1.Event_EVENT_ADMITTED || e.VM.GetEvent() == vmlinev1.Event_EVENT_REACHED {
			passed[op.GetId()] = append(passed[op.GetId()], e.VM.GetStatus())
		}
		if routes[op.GetId()] == nil {
			if len(order) == 0 && e.VM.GetEvent() != vmlinev1.Event_EVENT_ADMITTED {
				continue // the stream has let go of its beginning
			}
			order = append(order, op.GetId())
		}
		refused[op.GetId()] = op.GetState() == vmlinev1.Operation_STATE_REFUSED
		routes[op.GetId()] = op.GetRoute() // the last one: a plan takes out what there is no need for
	}
	for i, id := range order {
		route := routes[id]
		if last := i == len(order)-1; !last || refused[id] {
			route = route[:min(len(passed[id]), len(route))]
		}
		if !slices.Equal(passed[id], route) {
			r.t.Errorf("%s, operation %s passed %v, want %v", ref, id, names(passed[id]), names(route))
		}
	}
}

func names(statuses []vmlinev1.Status) []string {
	out := make([]string, len(statuses))
	for i, s := range statuses {
		out[i] = chain.Name(s)
	}
	return out
}

// CheckWorld fails the test unless the simulator has exactly one VM for each ref that is ready, none
// for the others, and no address or VMID belongs to two. Foreign VMs are those without our tag.
func (r *Rig) CheckWorld() {
	r.t.Helper()
	var (
		live   = map[string]*vmlinev1.VM{}
		owners = map[string]string{}
	)
	must(r.t, r.Bus.Each(r.t.Context(), func(e bus.Entry) error {
		if e.VM.GetStatus() != vmlinev1.Status_STATUS_READY {
			return nil
		}
		live[machine.Mark(e.VM)] = e.VM
		keys := []string{fmt.Sprintf("VMID %d", e.VM.GetVmid()), "MAC " + e.VM.GetMac()}
		for _, a := range e.VM.GetAddresses() {
			keys = append(keys, a.GetAddress())
		}
		for _, key := range keys {
			if other, taken := owners[key]; taken {
				r.t.Errorf("%s belongs to %s and to %s", key, other, e.VM.GetRef())
			}
			owners[key] = e.VM.GetRef()
		}
		return nil
	}))
	for _, vm := range r.Ours() {
		want := live[vm.Config["description"]]
		if want == nil || int(want.GetVmid()) != vm.VMID || want.GetNode() != vm.Node {
			r.t.Errorf("VM %d on %s (%s) belongs to no VM that is ready there", vm.VMID, vm.Node, vm.Config["description"])
		}
		delete(live, vm.Config["description"])
	}
	for mark := range live {
		r.t.Errorf("%s is ready and has no VM", mark)
	}
}

// Ours are the simulator's VMs that bear our mark.
func (r *Rig) Ours() []pvesim.VMState {
	return slices.DeleteFunc(r.Sim.VMs(), func(vm pvesim.VMState) bool {
		return len(vm.Config["description"]) < 6 || vm.Config["description"][:6] != machine.Tag
	})
}

// comingBack is how long what a VM held may still be on its way back: a step that its termination overtook
// gives its VMID back when it comes to see that.
const comingBack = 20 * time.Second

// CheckReserved fails the test unless exactly these numbers of addresses and VMIDs come to be held.
func (r *Rig) CheckReserved(addresses, vmids int) {
	r.t.Helper()
	deadline := time.Now().Add(comingBack)
	for name, want := range map[string]int{bus.BucketIPAM: addresses, bus.BucketVMID: vmids} {
		held := r.held(name)
		for len(held) != want && time.Now().Before(deadline) {
			<-time.After(10 * time.Millisecond)
			held = r.held(name)
		}
		if len(held) != want {
			r.t.Errorf("%s holds %d keys, want %d: %v", name, len(held), want, held)
		}
	}
}

// held are the keys of a bucket.
func (r *Rig) held(name string) (keys []string) {
	r.t.Helper()
	bucket, err := r.Bus.Bucket(r.t.Context(), name)
	must(r.t, err)
	must(r.t, bucket.Each(r.t.Context(), ">", func(i bus.Item) error {
		keys = append(keys, i.Key)
		return nil
	}))
	return keys
}
