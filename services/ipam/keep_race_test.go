package ipam

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestATerminationBesideALateClaim lets the steps to set_ip and to terminated overtake each other. Whatever
// set_ip was for, nothing stays held.
func TestATerminationBesideALateClaim(t *testing.T) {
	for _, tt := range []struct {
		name string
		// begun is the VM whose set_ip comes late; before makes what it finds.
		begun func(s *service, t *testing.T, ref string) *vmlinev1.VM
	}{
		{"an order", func(_ *service, _ *testing.T, ref string) *vmlinev1.VM { return order(ref, 1, 0) }},
		{"a change taken back", func(s *service, t *testing.T, ref string) *vmlinev1.VM {
			return takenBack(s.mustGive(t, changing(s.mustGive(t, order(ref, 1, 0)), count(0))))
		}},
		{"an adoption", func(_ *service, _ *testing.T, ref string) *vmlinev1.VM { return adopted(ref, v4Addr(50)) }},
		{"an adoption that cannot be", func(_ *service, _ *testing.T, ref string) *vmlinev1.VM { return adopted(ref, v4Addr(50), v4Addr(99)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, startMiniredis(t))
			r, slow, fast := newRace(t, w)
			neighbour := order("neighbour", 1, 0)
			neighbour.Package.Network.Addresses = []string{v4Addr(99)}
			neighbour = r.observer.mustGive(t, neighbour)
			r.everyWay(t, func(ref string) scene {
				vm := tt.begun(r.observer, t, ref)
				removed := goingAway(vm, vmlinev1.Status_STATUS_REMOVED)
				entry, err := r.observer.bus.Append(t.Context(), removed, 0)
				if err != nil {
					t.Fatal(err)
				}
				return scene{
					slow: func() error { return asked(slow.give(t.Context(), vm)) },
					fast: func() error {
						gone := goingAway(vm, vmlinev1.Status_STATUS_VMID_RELEASED)
						if _, err := fast.bus.Append(t.Context(), gone, entry); err != nil {
							return err
						}
						return fast.end(t.Context(), gone)
					},
					check: func(t *testing.T) {
						if held := r.observer.heldBy(t, ""); !slices.Equal(held, keysOf(neighbour)) {
							t.Errorf("%v is held", held)
						}
						r.observer.indexes(t, ownerOf(vm))
					},
				}
			})
		})
	}
}

// takenBack is a VM whose change is cancelled, when set_ip is next.
func takenBack(vm *vmlinev1.VM) *vmlinev1.VM {
	vm = proto.CloneOf(vm)
	vm.Package = vm.GetOperation().GetBefore().GetPackage()
	vm.Operation.Kind, vm.Operation.Undoes = vmlinev1.Operation_KIND_CANCEL, true
	return vm
}

// goingAway is the VM while a termination takes it away.
func goingAway(vm *vmlinev1.VM, status vmlinev1.Status) *vmlinev1.VM {
	vm = proto.CloneOf(vm)
	vm.Status = status
	vm.Operation = &vmlinev1.Operation{Kind: vmlinev1.Operation_KIND_TERMINATE, State: vmlinev1.Operation_STATE_RUNNING}
	return vm
}

// asked is the error of a step, without one that asks for a person.
func asked(_ *vmlinev1.VM, err error) error {
	if _, ok := errors.AsType[*bus.NeedsPerson](err); ok {
		return nil
	}
	return err
}
