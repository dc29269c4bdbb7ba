package ipam

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// in is the VM in another state of its operation.
func in(vm *vmlinev1.VM, status vmlinev1.Status, state vmlinev1.Operation_State) *vmlinev1.VM {
	vm.Status, vm.Operation.State = status, state
	if status != vmlinev1.Status_STATUS_CREATION {
		vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: status, At: timestamppb.Now()})
	}
	return vm
}

func TestReconcileReleasesOnlyWhatIsNobodys(t *testing.T) {
	const (
		running     = vmlinev1.Operation_STATE_RUNNING
		parked      = vmlinev1.Operation_STATE_PARKED
		succeeded   = vmlinev1.Operation_STATE_SUCCEEDED
		refused     = vmlinev1.Operation_STATE_REFUSED
		interrupted = vmlinev1.Operation_STATE_INTERRUPTED
		creation    = vmlinev1.Status_STATUS_CREATION
		setIP       = vmlinev1.Status_STATUS_SET_IP
		ready       = vmlinev1.Status_STATUS_READY
		removed     = vmlinev1.Status_STATUS_REMOVED
		terminated  = vmlinev1.Status_STATUS_TERMINATED
	)
	for _, tt := range []struct {
		name   string
		vm     *vmlinev1.VM // nil: not in the log
		listed bool
		age    time.Duration
		gone   bool
	}{
		{"terminated", in(order("vm", 1, 0), terminated, succeeded), false, time.Hour, true},
		{"terminated, listed as history", in(order("vm", 1, 0), terminated, succeeded), true, time.Hour, true},
		{"terminated just now", in(order("vm", 1, 0), terminated, succeeded), false, time.Minute, false},
		{"waits for its addresses", in(order("vm", 1, 0), creation, running), false, time.Hour, false},
		{"parked before set_ip", in(order("vm", 1, 0), creation, parked), false, time.Hour, false},
		{"on its way, listed", in(order("vm", 1, 0), setIP, running), true, time.Hour, false},
		{"being removed", in(order("vm", 1, 0), removed, running), false, time.Hour, false},
		{"ready and listed", in(order("vm", 1, 0), ready, succeeded), true, time.Hour, false},
		{"ready and not listed", in(order("vm", 1, 0), ready, succeeded), false, time.Hour, true},
		{"refused and listed", in(order("vm", 1, 0), ready, refused), true, time.Hour, false},
		{"refused and not listed", in(order("vm", 1, 0), ready, refused), false, time.Hour, true},
		{"interrupted", in(order("vm", 1, 0), ready, interrupted), false, time.Hour, false},
		{"not in the log", nil, false, time.Hour, false},
		{"another uid", func() *vmlinev1.VM {
			vm := in(order("vm", 1, 0), creation, running)
			vm.Uid = "next"
			return vm
		}(), false, time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, startMiniredis(t))
			s := w.instance(t, nil)
			given := s.mustGive(t, order("vm", 1, 0))
			if tt.vm != nil {
				if tt.listed {
					tt.vm.Addresses = given.GetAddresses()
				}
				if _, err := s.bus.Append(t.Context(), tt.vm, 0); err != nil {
					t.Fatal(err)
				}
			}
			w.pass(tt.age)
			if err := s.reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if held := s.heldBy(t, ""); (len(held) == 0) != tt.gone {
				t.Errorf("held: %v", held)
			}
			s.verify(t)
		})
	}
}

func TestReconcileMakesTheIndexAgree(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		p := s.pools[0]
		waiting, kept := order("waiting", 1, 0), s.mustGive(t, order("kept", 1, 0))
		if _, err := s.bus.Append(t.Context(), waiting, 0); err != nil {
			t.Fatal(err)
		}
		ready := in(order("past", 1, 0), vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED)
		if _, err := s.bus.Append(t.Context(), ready, 0); err != nil {
			t.Fatal(err)
		}
		// Reserved in the index alone: by a VM that waits, by one that does not, by an unknown one.
		for _, o := range []owner{ownerOf(waiting), ownerOf(ready), "unknown/1"} {
			if _, err := s.index.take(t.Context(), p, o, 1); err != nil {
				t.Fatal(err)
			}
		}
		// Held in the truth alone, and thought to be another's.
		if _, err := s.claim(t.Context(), "stranger/1", choice{p, 99}.key()); err != nil {
			t.Fatal(err)
		}
		n, _ := p.number(netip.MustParseAddr(addresses(kept)[0]))
		if err := s.index.hold(t.Context(), p, "thief/1", n); err != nil {
			t.Fatal(err)
		}
		if err := s.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		for o, want := range map[owner]int{ownerOf(waiting): 1, ownerOf(ready): 0, "unknown/1": 0, "stranger/1": 1, ownerOf(kept): 1, "thief/1": 0} {
			if got, err := s.index.has(t.Context(), p, o); err != nil || len(got) != want {
				t.Errorf("%s has %v in the index, want %d (%v)", o, got, want, err)
			}
		}
		if held := s.heldBy(t, ""); !slices.Equal(held, []string{keysOf(kept)[0], "v4." + p.address(99).String()}) {
			t.Errorf("held: %v", held)
		}
	})
}
