package ipam

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// changing is the VM, ready until now, when its package changes and set_ip is next.
func changing(vm *vmlinev1.VM, change func(*vmlinev1.Network)) *vmlinev1.VM {
	vm = proto.CloneOf(vm)
	before := &vmlinev1.Before{Status: vmlinev1.Status_STATUS_READY, Package: proto.CloneOf(vm.GetPackage())}
	for _, a := range vm.GetAddresses() {
		before.Addresses = append(before.Addresses, a.GetAddress())
	}
	change(vm.Package.Network)
	route := []vmlinev1.Status{
		vmlinev1.Status_STATUS_CHANGE_PACKAGE, vmlinev1.Status_STATUS_PLANNED, vmlinev1.Status_STATUS_SET_IP,
		vmlinev1.Status_STATUS_SET_CLOUDINIT, vmlinev1.Status_STATUS_IP_RELEASED, vmlinev1.Status_STATUS_READY,
	}
	vm.Status = vmlinev1.Status_STATUS_PLANNED
	vm.Operation = &vmlinev1.Operation{
		Id: "change-" + vm.GetRef(), Kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, Goal: vmlinev1.Operation_KIND_CHANGE_PACKAGE,
		State: vmlinev1.Operation_STATE_RUNNING, Route: route, Before: before,
		Reached: []*vmlinev1.Reached{{Status: route[0]}, {Status: route[1]}},
	}
	return vm
}

// count asks for so many IPv4 addresses and these chosen ones.
func count(v4 uint32, chosen ...string) func(*vmlinev1.Network) {
	return func(n *vmlinev1.Network) { n.Ipv4Count, n.Addresses = v4, chosen }
}

// sketch is a VM's addresses; those that leave have a minus.
func sketch(vm *vmlinev1.VM) string {
	var texts []string
	for _, a := range vm.GetAddresses() {
		text := a.GetAddress()
		if a.GetLeaving() {
			text = "-" + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// ipReleasedNow runs the step ip_released on a copy of the VM and returns the copy.
func (s *service) ipReleasedNow(t testing.TB, vm *vmlinev1.VM) *vmlinev1.VM {
	t.Helper()
	vm = proto.CloneOf(vm)
	if err := s.releaseLeaving(t.Context(), vm, forGood); err != nil {
		t.Fatal(err)
	}
	return vm
}

// TestRow9AddressesOfALiveVM: row 9 of the field's complaints. Chosen addresses are given where they
// are free; addresses are added to and removed from a VM that lives.
func TestRow9AddressesOfALiveVM(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/28"), v4Pool("v4b", "203.0.113.16/28")}
		other := v4Pool("other", "198.51.100.0/28")
		other.Vlan = 7
		w.pools = append(w.pools, other)
		s := w.instance(t, nil)
		for _, tt := range []struct {
			name string
			// has is how many addresses the VM has at first, and chosen which of them it asked for.
			has    uint32
			chosen []string
			change func(*vmlinev1.Network)
			// during lists its addresses after set_ip, and after them after ip_released.
			during, after string
		}{
			{name: "one more", has: 1, change: count(2), during: "203.0.113.1 203.0.113.2", after: "203.0.113.1 203.0.113.2"},
			{name: "two more than the first pool has", has: 13, change: count(15, "203.0.113.14"),
				during: list(1, 14) + " 203.0.113.17", after: list(1, 14) + " 203.0.113.17"},
			{name: "the newest goes", has: 3, change: count(2), during: "203.0.113.1 203.0.113.2 -203.0.113.3", after: "203.0.113.1 203.0.113.2"},
			{name: "chosen ones stay before older ones", has: 3, change: count(2, "203.0.113.3"),
				during: "203.0.113.1 203.0.113.3 -203.0.113.2", after: "203.0.113.1 203.0.113.3"},
			{name: "a chosen one is added", has: 1, change: count(2, "203.0.113.20"), during: "203.0.113.1 203.0.113.20", after: "203.0.113.1 203.0.113.20"},
			{name: "a chosen one replaces", has: 1, change: count(1, "203.0.113.9"), during: "203.0.113.9 -203.0.113.1", after: "203.0.113.9"},
			{name: "chosen ones come first in a new VM", has: 2, chosen: []string{"203.0.113.9", "203.0.113.8"}, change: count(3),
				during: "203.0.113.9 203.0.113.8 203.0.113.1", after: "203.0.113.9 203.0.113.8 203.0.113.1"},
			{name: "all go", has: 2, change: count(0), during: "-203.0.113.1 -203.0.113.2", after: ""},
			{name: "another network", has: 2, change: func(n *vmlinev1.Network) { n.Vlan = 7 },
				during: "198.51.100.1 198.51.100.2 -203.0.113.1 -203.0.113.2", after: "198.51.100.1 198.51.100.2"},
			{name: "nothing", has: 2, change: count(2), during: "203.0.113.1 203.0.113.2", after: "203.0.113.1 203.0.113.2"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w.flush(t) // each row finds the pools' own order
				ordered := order("vm", tt.has, 0)
				ordered.Package.Network.Addresses = tt.chosen
				vm := s.mustGive(t, ordered)
				during := s.mustGive(t, changing(vm, tt.change))
				if got := sketch(during); got != tt.during {
					t.Errorf("after set_ip: %s\nwant %s", got, tt.during)
				}
				if again := s.mustGive(t, during); sketch(again) != tt.during {
					t.Errorf("set_ip again: %s", sketch(again))
				}
				if held := s.heldBy(t, ownerOf(vm)); !slices.Equal(held, keysOf(during)) {
					t.Errorf("holds %v, lists %s", held, sketch(during))
				}
				after := s.ipReleasedNow(t, during)
				if got := sketch(after); got != tt.after {
					t.Errorf("after ip_released: %s, want %s", got, tt.after)
				}
				if held := s.heldBy(t, ownerOf(vm)); !slices.Equal(held, keysOf(after)) {
					t.Errorf("holds %v, lists %s", held, sketch(after))
				}
				s.verify(t)
				if err := s.end(t.Context(), after); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// list is 203.0.113.first to 203.0.113.last.
func list(first, last int) string {
	var texts []string
	for n := first; n <= last; n++ {
		texts = append(texts, v4Addr(n))
	}
	return strings.Join(texts, " ")
}

// TestRow9AChosenAddressThatCannotBeGiven: row 9. A VM in use is not changed at all; an order waits
// for a person.
func TestRow9AChosenAddressThatCannotBeGiven(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		small := v4Pool("small", "203.0.113.0/29")
		small.Gateway, small.Exclude = "203.0.113.1", []string{"203.0.113.2"}
		elsewhere := v4Pool("elsewhere", "198.51.100.0/28")
		elsewhere.Vlan = 7
		w.pools = []*vmlinev1.Pool{small, elsewhere}
		s := w.instance(t, nil)
		neighbour := order("neighbour", 1, 0)
		neighbour.Package.Network.Addresses = []string{"203.0.113.6"}
		s.mustGive(t, neighbour)
		vm := s.mustGive(t, order("vm", 1, 0))
		for _, tt := range []struct {
			name   string
			change func(*vmlinev1.Network)
			cause  string
		}{
			{"another VM has it", count(2, "203.0.113.6"), "The chosen address 203.0.113.6 of pool small belongs to VM neighbour"},
			{"the gateway", count(1, "203.0.113.1"), "The chosen address 203.0.113.1 cannot be given: pool small (203.0.113.0/29) never gives it"},
			{"excluded", count(1, "203.0.113.2"), "203.0.113.2 cannot be given: pool small"},
			{"in another network", count(1, "198.51.100.3"), "198.51.100.3 cannot be given: no pool for cluster c1, bridge vmbr0 has it"},
			{"no address at all", count(1, "203.0.113"), `chosen address "203.0.113" is not an IPv4 or IPv6 address`},
			{"of a family without a pool", count(1, "2001:db8::7"), "2001:db8::7 cannot be given: no pool"},
			{"more than there are", count(4), "needs 1 more IPv4 address(es)"},
			{"too many", count(300), "at most 256"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got, err := s.give(t.Context(), changing(vm, tt.change))
				var refused *bus.Refused
				if !errors.As(err, &refused) || !strings.Contains(refused.Cause, tt.cause) || refused.Next == "" {
					t.Errorf("a change is refused with %v", err)
				}
				if sketch(got) != sketch(vm) {
					t.Errorf("the VM has %s now", sketch(got))
				}
				ordered := order("new", 0, 0)
				tt.change(ordered.Package.Network)
				_, err = s.give(t.Context(), ordered)
				var person *bus.NeedsPerson
				if tt.name == "more than there are" {
					ordered.Package.Network.Ipv4Count = 4
				}
				if !errors.As(err, &person) || person.Next == "" {
					t.Errorf("an order ends with %v", err)
				}
				s.verify(t) // nothing stays reserved
				if held := s.heldBy(t, ""); len(held) != 2 {
					t.Errorf("held: %v", held)
				}
			})
		}
	})
}

// TestARetryOrCancelOfAChangeWaitsForAPerson: the machine may have been changed already.
func TestARetryOrCancelOfAChangeWaitsForAPerson(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	w.pools = []*vmlinev1.Pool{v4Pool("small", "203.0.113.0/30")}
	s := w.instance(t, nil)
	vm := s.mustGive(t, order("vm", 1, 0))
	for _, kind := range []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_RETRY, vmlinev1.Operation_KIND_CANCEL} {
		changed := changing(vm, count(3))
		changed.Operation.Kind = kind
		got, err := s.give(t.Context(), changed)
		var person *bus.NeedsPerson
		if !errors.As(err, &person) || person.Kept != "The machine is left as it is and keeps its addresses." {
			t.Errorf("%v: %v", kind, err)
		}
		if sketch(got) != sketch(vm) {
			t.Errorf("%v: the VM has %s now", kind, sketch(got))
		}
	}
}

// TestCancelTakesBackWhatWasToLeave: the package before is wanted again.
func TestCancelTakesBackWhatWasToLeave(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		other := v4Pool("other", "198.51.100.0/28")
		other.Vlan = 7
		w.pools = append(w.pools, other)
		s := w.instance(t, nil)
		vm := s.mustGive(t, order("vm", 3, 0))
		for name, change := range map[string]func(*vmlinev1.Network){
			"fewer": count(1), "more": count(5), "another network": func(n *vmlinev1.Network) { n.Vlan = 7 },
			"a chosen one": count(3, "203.0.113.77"),
		} {
			t.Run(name, func(t *testing.T) {
				changed := s.mustGive(t, changing(vm, change))
				changed.Package = changed.GetOperation().GetBefore().GetPackage()
				changed.Operation.Kind, changed.Operation.Undoes = vmlinev1.Operation_KIND_CANCEL, true
				back := s.mustGive(t, changed)
				for range 2 { // the second is of a cancellation that is taken up
					if !strings.HasPrefix(sketch(back), sketch(vm)) {
						t.Errorf("had %s, has %s", sketch(vm), sketch(back))
					}
					back = s.mustGive(t, back)
				}
				end := s.ipReleasedNow(t, back)
				if sketch(end) != sketch(vm) || !slices.Equal(s.heldBy(t, ownerOf(vm)), keysOf(vm)) {
					t.Errorf("had %s, has %s in the end and holds %v", sketch(vm), sketch(end), s.heldBy(t, ownerOf(vm)))
				}
				s.verify(t)
			})
		}
	})
}

// TestReleasedAddressesAreInTheResult: for the billing system's notes.
func TestReleasedAddressesAreInTheResult(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	s := w.instance(t, nil)
	day := w.clock().UTC().Format("2006-01-02")
	vm := s.mustGive(t, order("vm", 3, 0))
	vm.Addresses = append(vm.Addresses, &vmlinev1.Address{Address: "192.0.2.99"}) // adopted, not managed
	changed := s.ipReleasedNow(t, s.mustGive(t, changing(vm, count(2))))
	result := changed.GetOperation().GetResult()
	if want := day + " package changed, released 203.0.113.3"; result.GetNote() != want || len(result.GetReleased()) != 1 || result.GetReleased()[0].GetLeaving() {
		t.Errorf("result %v, want the note %q", result, want)
	}
	if got := sketch(changed); got != "203.0.113.1 203.0.113.2" {
		t.Errorf("has %s", got)
	}
	changed.Operation = &vmlinev1.Operation{Kind: vmlinev1.Operation_KIND_TERMINATE}
	end := &bus.Trigger{VM: changed}
	if _, err := s.terminated(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	result = end.VM.GetOperation().GetResult()
	if want := day + " terminated, released 203.0.113.1, 203.0.113.2"; result.GetNote() != want || len(result.GetReleased()) != 2 {
		t.Errorf("result %v, want the note %q", result, want)
	}
	nothing := &bus.Trigger{VM: &vmlinev1.VM{Ref: "none", Uid: "u", Operation: &vmlinev1.Operation{}}}
	if _, err := s.terminated(t.Context(), nothing); err != nil || nothing.VM.GetOperation().GetResult().GetNote() != day+" terminated, no address to release" {
		t.Errorf("result %v, %v", nothing.VM.GetOperation().GetResult(), err)
	}
}
