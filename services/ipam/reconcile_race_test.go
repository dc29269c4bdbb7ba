package ipam

import (
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestReconcileBesideALateStep: reconcile looks, or Redis is flushed and the index built anew, while a step is
// late. The VM holds what it lists afterwards, and the index agrees.
func TestReconcileBesideALateStep(t *testing.T) {
	for _, tt := range []struct {
		name string
		step func(t *testing.T, r race, slow *service, ref string) func() error
		fast func(t *testing.T, w *world, fast *service) error
	}{
		{"set_ip and reconcile", lateOrder, reconciled},
		{"terminated and reconcile", lateEnd, reconciled},
		{"terminated and a build", lateEnd, flushed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, startMiniredis(t))
			r, slow, fast := newRace(t, w)
			r.everyWay(t, func(ref string) scene {
				return scene{
					slow: tt.step(t, r, slow, ref),
					fast: func() error { return tt.fast(t, w, fast) },
					check: func(t *testing.T) {
						last, err := r.observer.bus.Last(t.Context(), ref)
						if err != nil {
							t.Fatal(err)
						}
						r.observer.indexes(t, ownerOf(last.VM), r.observer.heldBy(t, ownerOf(last.VM))...)
						r.observer.holdsItsOwn(t, ref)
					},
				}
			})
		})
	}
}

func reconciled(t *testing.T, _ *world, fast *service) error { return fast.reconcile(t.Context()) }

func flushed(t *testing.T, w *world, fast *service) error {
	w.flush(t)
	return fast.index.open(t.Context(), fast.pools[0])
}

func lateOrder(t *testing.T, r race, slow *service, ref string) func() error {
	vm := order(ref, 1, 0)
	entry := r.observer.mustAppend(t, vm, 0)
	return func() error { return slow.carry(t.Context(), vm, entry) }
}

func lateEnd(t *testing.T, r race, slow *service, ref string) func() error {
	vm := goingAway(r.observer.mustGive(t, order(ref, 1, 0)), vmlinev1.Status_STATUS_VMID_RELEASED)
	entry := r.observer.mustAppend(t, vm, 0)
	return func() error {
		if err := slow.end(t.Context(), vm); err != nil {
			return err
		}
		gone := in(clone(vm), vmlinev1.Status_STATUS_TERMINATED, vmlinev1.Operation_STATE_SUCCEEDED)
		_, err := slow.bus.Append(t.Context(), gone, entry)
		return err
	}
}

// TestAChangeBesideALateReconcile: reconcile is about to release what the VM holds and does not list, while a
// change takes it up and comes to its end.
func TestAChangeBesideALateReconcile(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	r, slow, fast := newRace(t, w)
	r.everyWay(t, func(ref string) scene {
		vm := r.observer.mustGive(t, order(ref, 1, 0))
		vm.Addresses, vm.Package.Network.Ipv4Count = nil, 0
		entry := r.observer.mustAppend(t, in(vm, vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED), 0)
		w.pass(grace)
		return scene{
			slow: func() error { return slow.reconcile(t.Context()) },
			fast: func() error {
				next := changing(vm, count(1))
				entry, err := fast.bus.Append(t.Context(), next, entry)
				if err != nil {
					return err
				}
				return fast.carry(t.Context(), next, entry)
			},
			check: func(t *testing.T) { r.observer.holdsItsOwn(t, ref) },
		}
	})
}
