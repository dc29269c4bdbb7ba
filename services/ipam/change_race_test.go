package ipam

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestACancelBesideALateClaim: a change is cancelled while its set_ip is on its way, and the cancellation comes
// to its end. In the end the VM holds what it lists.
func TestACancelBesideALateClaim(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	r, slow, fast := newRace(t, w)
	r.everyWay(t, func(ref string) scene {
		vm := changing(r.observer.mustGive(t, order(ref, 1, 0)), count(2))
		entry := r.observer.mustAppend(t, vm, 0)
		return scene{
			slow: func() error { _, err := slow.give(t.Context(), vm); return err },
			fast: func() error {
				entry, err := fast.bus.Append(t.Context(), takenBack(vm), entry)
				if err != nil {
					return err
				}
				return fast.carry(t.Context(), takenBack(vm), entry)
			},
			check: func(t *testing.T) { r.observer.holdsItsOwn(t, ref) },
		}
	})
}

// TestAChangeBesideALateRelease: ip_released is worked on twice, and while one of them is late the other one
// ends the change and the next change takes an address again. In the end the VM holds what it lists.
func TestAChangeBesideALateRelease(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	r, slow, fast := newRace(t, w)
	r.everyWay(t, func(ref string) scene {
		vm := r.observer.mustGive(t, changing(r.observer.mustGive(t, order(ref, 2, 0)), count(1)))
		in(vm, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Operation_STATE_RUNNING)
		entry := r.observer.mustAppend(t, vm, 0)
		return scene{
			slow: func() error { return slow.releaseLeaving(t.Context(), clone(vm), slow.current(ref, entry)) },
			fast: func() error {
				entry, err := fast.giveBack(t.Context(), vm, entry)
				if err != nil {
					return err
				}
				last, err := fast.bus.Last(t.Context(), ref)
				if err != nil {
					return err
				}
				next := changing(last.VM, count(2))
				if entry, err = fast.bus.Append(t.Context(), next, entry); err != nil {
					return err
				}
				return fast.carry(t.Context(), next, entry)
			},
			check: func(t *testing.T) { r.observer.holdsItsOwn(t, ref) },
		}
	})
}

// carry does the steps to set_ip and to ip_released of a VM whose state has the sequence entry, and ends its
// operation.
func (s *service) carry(ctx context.Context, vm *vmlinev1.VM, entry uint64) error {
	vm, err := s.give(ctx, vm)
	if err != nil {
		return err
	}
	in(vm, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Operation_STATE_RUNNING)
	if entry, err = s.bus.Append(ctx, vm, entry); err != nil {
		return err
	}
	_, err = s.giveBack(ctx, vm, entry)
	return err
}

// giveBack does the step to ip_released and ends the operation.
func (s *service) giveBack(ctx context.Context, vm *vmlinev1.VM, entry uint64) (uint64, error) {
	vm = proto.CloneOf(vm)
	if err := s.releaseLeaving(ctx, vm, s.current(vm.GetRef(), entry)); err != nil {
		return 0, err
	}
	return s.bus.Append(ctx, in(vm, vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED), entry)
}

// current is what a trigger with that sequence says.
func (s *service) current(ref string, entry uint64) func(context.Context) error {
	return func(ctx context.Context) error {
		last, err := s.bus.Last(ctx, ref)
		if err == nil && last.Seq != entry {
			err = bus.ErrSuperseded
		}
		return err
	}
}

func (s *service) mustAppend(t *testing.T, vm *vmlinev1.VM, after uint64) uint64 {
	t.Helper()
	entry, err := s.bus.Append(t.Context(), clone(vm), after)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// holdsItsOwn sees that the VM holds exactly what its newest state lists. Then it ends the VM, and the index has
// nothing for it either.
func (s *service) holdsItsOwn(t *testing.T, ref string) {
	t.Helper()
	last, err := s.bus.Last(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	o, want := ownerOf(last.VM), keysOf(last.VM)
	if last.VM.GetStatus() == vmlinev1.Status_STATUS_TERMINATED {
		want = nil // they are listed as history
	}
	if held := s.heldBy(t, ""); !slices.Equal(held, want) {
		t.Errorf("%v is held, the VM lists %s", held, sketch(last.VM))
	}
	if err := s.end(t.Context(), last.VM); err != nil {
		t.Error(err)
	}
	s.indexes(t, o)
}
