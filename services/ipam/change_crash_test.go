package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// bigger adds an address of each family and takes the second IPv4 one away for a chosen one.
func bigger(n *vmlinev1.Network) {
	n.Ipv4Count, n.Ipv6Count, n.Addresses = 2, 2, []string{"203.0.113.77"}
}

// strikes are what happens to an instance in the middle of a step.
func (w *world) strikes(t *testing.T) map[string]func() error {
	return map[string]func() error{
		"killed":             func() error { return errKilled },
		"flushed":            func() error { w.flush(t); return nil },
		"flushed and killed": func() error { w.flush(t); return errKilled },
	}
}

// TestChangeKilledOrFlushedAnywhere: set_ip and ip_released of a change of package, struck at every call
// and repeated by another instance, end with what one run gives.
func TestChangeKilledOrFlushedAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = append(w.pools, v4Pool("far", "203.0.113.64/28"))
		s := crowd(t, w)
		for name, strike := range w.strikes(t) {
			t.Run(name+" in set_ip", func(t *testing.T) {
				everywhere(t, func(t *testing.T, at int, after bool) *fate {
					vm := changing(s.mustGive(t, order("vm", 2, 1)), bigger)
					f := &fate{at: at, after: after, strike: strike}
					if _, err := w.instance(t, f).give(t.Context(), vm); err != nil && !f.dead {
						t.Fatal(err)
					}
					checkChange(t, s, vm, s.mustGive(t, vm))
					return f
				})
			})
			t.Run(name+" in ip_released", func(t *testing.T) {
				everywhere(t, func(t *testing.T, at int, after bool) *fate {
					vm := changing(s.mustGive(t, order("vm", 2, 1)), bigger)
					during := s.mustGive(t, vm)
					f := &fate{at: at, after: after, strike: strike}
					err := w.instance(t, f).releaseLeaving(t.Context(), clone(during), forGood)
					if err != nil && !f.dead {
						t.Fatal(err)
					}
					checkChange(t, s, vm, during)
					return f
				})
			})
		}
	})
}

// checkChange finishes the change and sees that the VM holds what it lists, and nobody else lost anything.
func checkChange(t *testing.T, s *service, vm, during *vmlinev1.VM) {
	t.Helper()
	had, has := addresses(vm), addresses(during)
	want := []string{had[0], "203.0.113.77", had[2], has[3], had[1]}
	if !slices.Equal(has, want) || !during.GetAddresses()[4].GetLeaving() {
		t.Errorf("had %v, has %s", had, sketch(during))
	}
	after := s.ipReleasedNow(t, during)
	if got := addresses(after); !slices.Equal(got, want[:4]) {
		t.Errorf("in the end it has %v", got)
	}
	if held := s.heldBy(t, ownerOf(vm)); !slices.Equal(held, keysOf(after)) {
		t.Errorf("holds %v, lists %s", held, sketch(after))
	}
	if released := after.GetOperation().GetResult().GetReleased(); len(released) != 1 || released[0].GetAddress() != had[1] {
		t.Errorf("result %v", released)
	}
	s.verify(t)
	if err := s.end(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	if held := s.heldBy(t, ""); len(held) != 3 {
		t.Errorf("the neighbour has 3 addresses, held are %v", held)
	}
	s.verify(t)
}

// TestALateReleaseMissesWhatWasTakenBack: a worker of ip_released stands still at each of its calls while
// the change is undone by a cancel. The address that the VM has again stays its own.
func TestALateReleaseMissesWhatWasTakenBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := crowd(t, w)
		everywhere(t, func(t *testing.T, at int, after bool) *fate {
			ref := fmt.Sprintf("vm-%d-%t", at, after)
			during := s.mustGive(t, changing(s.mustGive(t, order(ref, 2, 0)), count(1)))
			entry, err := s.bus.Append(t.Context(), clone(during), 0)
			if err != nil {
				t.Fatal(err)
			}
			var back *vmlinev1.VM
			f := &fate{at: at, after: after, strike: func() error {
				cancel := clone(during)
				cancel.Package, cancel.Operation.Kind = cancel.GetOperation().GetBefore().GetPackage(), vmlinev1.Operation_KIND_CANCEL
				cancel.Operation.Undoes = true
				// Admission publishes the cancel before its set_ip begins.
				if _, err := s.bus.Append(context.Background(), clone(cancel), entry); err != nil {
					return err
				}
				back = s.mustGive(t, cancel)
				return nil
			}}
			late := w.instance(t, f)
			err = late.releaseLeaving(t.Context(), clone(during), func(ctx context.Context) error {
				last, err := late.bus.Last(ctx, ref)
				if err == nil && last.Seq != entry {
					err = bus.ErrSuperseded
				}
				return err
			})
			if err != nil && !errors.Is(err, bus.ErrSuperseded) {
				t.Fatal(err)
			}
			if back != nil {
				if held := s.heldBy(t, ownerOf(back)); !slices.Equal(held, keysOf(back)) || len(held) != 2 {
					t.Errorf("holds %v, lists %s", held, sketch(back))
				}
			}
			if err := s.end(t.Context(), during); err != nil {
				t.Fatal(err)
			}
			s.verify(t)
			return f
		})
	})
}

// TestReconcileMissesWhatIsTakenAgain: what the VM held without listing it is given to it by set_ip while
// reconcile is about to release it.
func TestReconcileMissesWhatIsTakenAgain(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	s := crowd(t, w)
	everywhere(t, func(t *testing.T, at int, after bool) *fate {
		vm := s.mustGive(t, order(fmt.Sprintf("vm-%d-%t", at, after), 2, 0))
		abandoned := vm.GetAddresses()[1].GetAddress()
		vm.Addresses = vm.GetAddresses()[:1]
		vm.Package.Network.Ipv4Count = 1
		in(vm, vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED)
		entry, err := s.bus.Append(t.Context(), clone(vm), 0)
		if err != nil {
			t.Fatal(err)
		}
		w.pass(grace)
		var changed *vmlinev1.VM
		f := &fate{at: at, after: after, strike: func() error {
			changed = changing(vm, count(2))
			if _, err := s.bus.Append(context.Background(), clone(changed), entry); err != nil {
				return err
			}
			changed = s.mustGive(t, changed)
			return nil
		}}
		if err := w.instance(t, f).reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch held := s.heldBy(t, ownerOf(vm)); {
		case changed != nil && (!slices.Equal(held, keysOf(changed)) || len(held) != 2):
			t.Errorf("holds %v, lists %s", held, sketch(changed))
		case changed == nil && len(held) != 1:
			t.Errorf("%s was not released: %v", abandoned, held)
		}
		if changed != nil {
			vm = changed // lists all that it has
		}
		if err := s.end(t.Context(), vm); err != nil {
			t.Fatal(err)
		}
		return f
	})
}
