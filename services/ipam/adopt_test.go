package ipam

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// adopted is a VM whose machine has been read and uses the addresses.
func adopted(ref string, addresses ...string) *vmlinev1.VM {
	vm := order(ref, 1, 0)
	vm.Status, vm.Operation.Kind = vmlinev1.Status_STATUS_ADOPTED, vmlinev1.Operation_KIND_ADOPT
	for _, a := range addresses {
		vm.Addresses = append(vm.Addresses, &vmlinev1.Address{Address: a, PrefixLength: 24})
	}
	return vm
}

func TestAdoptClaimsExactlyWhatTheMachineHas(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		elsewhere := v4Pool("elsewhere", "198.51.100.0/24")
		elsewhere.Bridge = "vmbr1"
		w.pools[0].Exclude = []string{"203.0.113.200"}
		w.pools = append(w.pools, v4Pool("v6", "2001:db8::/64"), elsewhere)
		s := w.instance(t, nil)
		vm := s.mustGive(t, adopted("vm", "203.0.113.50", "192.0.2.1", "2001:db8::5", "203.0.113.200", "198.51.100.9"))
		if got := sketch(vm); got != "203.0.113.50 192.0.2.1 2001:db8::5 203.0.113.200 198.51.100.9" {
			t.Errorf("has %s", got)
		}
		if want := []string{"v4.203.0.113.50", "v6.2001-db8--5"}; !slices.Equal(s.heldBy(t, ""), want) {
			t.Errorf("held %v, want %v", s.heldBy(t, ""), want)
		}
		if a := vm.GetAddresses()[0]; a.GetPool() != "v4" || len(a.GetDnsServers()) != 1 {
			t.Errorf("the pool's address is %v", a)
		}
		for i, want := range []string{
			"192.0.2.1 is not managed: no pool for cluster c1, bridge vmbr0 has its network",
			"2001:db8::5 has the prefix length 24 on the machine and 64 in pool v6",
			"203.0.113.200 is not managed: pool v4 has its network and never gives it",
			"198.51.100.9 is not managed: pool elsewhere has its network, but on bridge vmbr1, VLAN 0",
		} {
			if got := vm.GetWarnings(); len(got) != 4 || !strings.Contains(got[i], want) {
				t.Errorf("warnings %q, want %q", got, want)
			}
		}
		again := s.mustGive(t, vm)
		if sketch(again) != sketch(vm) || len(again.GetWarnings()) != 4 {
			t.Errorf("again: %s, %q", sketch(again), again.GetWarnings())
		}
		s.verify(t)
		if err := s.end(t.Context(), vm); err != nil || len(s.heldBy(t, "")) != 0 {
			t.Errorf("after the end %v are held (%v)", s.heldBy(t, ""), err)
		}
	})
}

func TestAdoptOfAnAddressThatAnotherHas(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		neighbour := s.mustGive(t, order("neighbour", 1, 0))
		vm, err := s.give(t.Context(), adopted("vm", "203.0.113.50", addresses(neighbour)[0]))
		var person *bus.NeedsPerson
		if !errors.As(err, &person) || person.Cause != "The machine uses address 203.0.113.1 of pool v4, which belongs to VM neighbour" {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(person.Kept, "Reserved for this VM: 203.0.113.50.") || !strings.Contains(person.Next, "Have VM neighbour give it up") {
			t.Errorf("kept %q, next %q", person.Kept, person.Next)
		}
		if held := s.heldBy(t, ownerOf(vm)); !slices.Equal(held, []string{"v4.203.0.113.50"}) {
			t.Errorf("holds %v", held)
		}
		if held := s.heldBy(t, ownerOf(neighbour)); len(held) != 1 {
			t.Errorf("the neighbour holds %v", held)
		}
		if err := s.end(t.Context(), neighbour); err != nil {
			t.Fatal(err)
		}
		if got := sketch(s.mustGive(t, vm)); got != "203.0.113.50 203.0.113.1" {
			t.Errorf("after the neighbour's end: %s", got)
		}
		s.verify(t)
	})
}

// TestAChangeOfAnAdoptedVM: addresses that no pool manages count like others, and go without a release.
func TestAChangeOfAnAdoptedVM(t *testing.T) {
	other := v4Pool("other", "198.51.100.0/28")
	other.Vlan = 7
	w := newWorld(t, startMiniredis(t))
	w.pools = append(w.pools, other)
	s := w.instance(t, nil)
	vm := s.mustGive(t, adopted("vm", "192.0.2.1", "203.0.113.50"))
	for _, tt := range []struct {
		name   string
		change func(*vmlinev1.Network)
		during string
	}{
		{"as many", count(2), "192.0.2.1 203.0.113.50"},
		{"one more", count(3), "192.0.2.1 203.0.113.50 203.0.113.1"},
		{"one less", count(1), "192.0.2.1 -203.0.113.50"},
		{"none", count(0), "-192.0.2.1 -203.0.113.50"},
		{"as named when it was adopted", count(1, "192.0.2.1", "203.0.113.50"), "192.0.2.1 203.0.113.50"},
		{"the one that is not managed is named", count(1, "192.0.2.1"), "192.0.2.1 -203.0.113.50"},
		{"the other one is named", count(1, "203.0.113.50"), "203.0.113.50 -192.0.2.1"},
		{"another network", func(n *vmlinev1.Network) { n.Ipv4Count, n.Vlan = 1, 7 }, "198.51.100.1 -192.0.2.1 -203.0.113.50"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.flush(t)
			if got := sketch(s.mustGive(t, changing(vm, tt.change))); got != tt.during {
				t.Errorf("has %s, want %s", got, tt.during)
			}
		})
	}
	moved := changing(vm, func(n *vmlinev1.Network) { n.Vlan, n.Addresses = 7, []string{"192.0.2.1"} })
	_, err := s.give(t.Context(), moved)
	var refused *bus.Refused
	if !errors.As(err, &refused) || !strings.Contains(refused.Cause, "192.0.2.1 cannot be given: no pool for cluster c1, bridge vmbr0, VLAN 7 has it") {
		t.Errorf("named in another network: %v", err)
	}
}

// TestAPoolThatComesLater has an address that an adopted machine uses: nobody else gets it.
func TestAPoolThatComesLater(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	w.pools = nil
	vm := w.instance(t, nil).mustGive(t, adopted("vm", "203.0.113.1"))
	in(vm, vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED)
	w.pools = []*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/29")}
	s := w.instance(t, nil)
	entry, err := s.bus.Append(t.Context(), clone(vm), 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if held := s.heldBy(t, ""); !slices.Equal(held, []string{"v4.203.0.113.1"}) {
			t.Fatalf("held %v", held)
		}
		w.pass(2 * grace)
	}
	if got := sketch(s.mustGive(t, order("other", 1, 0))); got != "203.0.113.2" {
		t.Errorf("another VM got %s", got)
	}
	change := changing(vm, count(2))
	entry = s.mustAppend(t, change, entry)
	changed := s.mustGive(t, change)
	if got := sketch(changed); got != "203.0.113.1 203.0.113.3" || changed.GetAddresses()[0].GetPool() != "v4" {
		t.Errorf("has %s, %v", got, changed.GetAddresses()[0])
	}
	s.verify(t)
	if err := s.end(t.Context(), vm); err != nil { // its state still lists the address without a pool
		t.Fatal(err)
	}
	if held := s.heldBy(t, ownerOf(vm)); len(held) != 0 {
		t.Errorf("after the end it holds %v", held)
	}
	_, err = s.bus.Append(t.Context(), in(clone(vm), vmlinev1.Status_STATUS_TERMINATED, vmlinev1.Operation_STATE_SUCCEEDED), entry)
	if err == nil {
		err = s.reconcile(t.Context())
	}
	if err != nil || len(s.heldBy(t, ownerOf(vm))) != 0 {
		t.Errorf("reconcile holds %v for it (%v)", s.heldBy(t, ownerOf(vm)), err)
	}
}
