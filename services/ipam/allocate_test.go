package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestRow8EveryAddressIsGivenOnce: 500 addresses, 500 orders at once, and one more.
func TestRow8EveryAddressIsGivenOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := v4Pool("v4", "10.0.0.0/16")
		p.First, p.Last = "10.0.1.0", "10.0.2.243" // 500 addresses
		w.pools = []*vmlinev1.Pool{p}
		instances := []*service{w.instance(t, nil), w.instance(t, nil)}
		var g errgroup.Group
		g.SetLimit(100)
		var mu sync.Mutex
		got := map[string]bool{}
		for i := range 500 {
			g.Go(func() error {
				vm, err := instances[i%2].give(context.Background(), order(fmt.Sprint("vm-", i), 1, 0))
				mu.Lock()
				defer mu.Unlock()
				for _, a := range addresses(vm) {
					got[a] = true
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(got) != 500 || len(instances[0].heldBy(t, "")) != 500 {
			t.Fatalf("%d addresses given, %d held", len(got), len(instances[0].heldBy(t, "")))
		}
		_, err := instances[0].give(context.Background(), order("one-more", 1, 0))
		var person *bus.NeedsPerson
		if !errors.As(err, &person) {
			t.Fatalf("got %v, want a refusal", err)
		}
		if want := "needs 1 more IPv4 address(es) for cluster c1, bridge vmbr0, but there are none: pool v4 (10.0.0.0/16) has 0 of 500 free"; !strings.Contains(person.Cause, want) {
			t.Errorf("cause %q, want %q", person.Cause, want)
		}
		if person.Kept == "" || !strings.Contains(person.Next, "repeat the order") {
			t.Errorf("kept %q, next %q", person.Kept, person.Next)
		}
		instances[0].verify(t)
	})
}

func TestTwoWorkersOnOneVMGiveOneSet(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a, b := w.instance(t, nil), w.instance(t, nil)
		for i := range 20 {
			vm := order(fmt.Sprint("vm-", i), 2, 0)
			var sets [4][]string
			var g errgroup.Group
			for j, s := range []*service{a, b, a, b} {
				g.Go(func() error {
					got, err := s.give(context.Background(), vm)
					sets[j] = addresses(got)
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, set := range sets[1:] {
				if !slices.Equal(set, sets[0]) {
					t.Fatalf("one VM got %v", sets)
				}
			}
			if held := a.heldBy(t, ownerOf(vm)); len(held) != 2 {
				t.Fatalf("holds %v", held)
			}
		}
	})
}

func TestPoolsAreUsedInOrderAndByPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		elsewhere := v4Pool("elsewhere", "192.0.2.0/24")
		elsewhere.Bridge = "vmbr1"
		tagged := v4Pool("tagged", "198.51.100.0/24")
		tagged.Vlan = 7
		v6 := v4Pool("v6", "2001:db8::/64")
		v6.Gateway = "fe80::1"
		v6.Exclude = []string{"2001:db8::/112"}
		w.pools = []*vmlinev1.Pool{elsewhere, v6, v4Pool("first", "203.0.113.0/30"), v4Pool("second", "203.0.113.4/30"), tagged}
		s := w.instance(t, nil)
		vm := s.mustGive(t, order("vm", 3, 2))
		want := []string{"203.0.113.1", "203.0.113.2", "203.0.113.5", "2001:db8::1:0", "2001:db8::1:1"}
		if !slices.Equal(addresses(vm), want) {
			t.Fatalf("got %v, want %v", addresses(vm), want)
		}
		a := vm.GetAddresses()[3]
		if a.GetPool() != "v6" || a.GetPrefixLength() != 64 || a.GetGateway() != "fe80::1" || a.GetDnsServers()[0] != "192.0.2.53" {
			t.Errorf("address %v", a)
		}
		if again := s.mustGive(t, order("vm", 3, 2)); !slices.Equal(addresses(again), want) {
			t.Errorf("again: %v", addresses(again))
		}
		in7 := order("in7", 1, 0)
		in7.Package.Network.Vlan = 7
		if got := addresses(s.mustGive(t, in7)); !slices.Equal(got, []string{"198.51.100.1"}) {
			t.Errorf("with VLAN 7: %v", got)
		}
		s.verify(t)
	})
}

// TestLaterPoolIsKept: the first pool gets room again after a VM had to take from the second.
func TestLaterPoolIsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("first", "203.0.113.0/30"), v4Pool("second", "203.0.113.4/30")}
		s := w.instance(t, nil)
		other := s.mustGive(t, order("other", 1, 0))
		vm := s.mustGive(t, order("vm", 2, 0))
		if err := s.end(context.Background(), other); err != nil {
			t.Fatal(err)
		}
		if again := s.mustGive(t, order("vm", 2, 0)); !slices.Equal(addresses(again), addresses(vm)) {
			t.Errorf("got %v, had %v", addresses(again), addresses(vm))
		}
	})
}

func TestRefusalsSayWhatToDoAndGiveBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("small", "203.0.113.0/29")}
		s := w.instance(t, nil)
		for _, tt := range []struct {
			name        string
			vm          *vmlinev1.VM
			cause, next string
		}{
			{"more than there are", order("a", 7, 0), "needs 1 more IPv4 address(es)", "Add a range to pool small"},
			{"second family has no pool", order("b", 2, 1), "No pool has IPv6 addresses for cluster c1, bridge vmbr0", "Add an IPv6 pool"},
			{"absurd", order("c", 257, 0), "at most 256", "Correct the package"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				vm, err := s.give(context.Background(), tt.vm)
				var person *bus.NeedsPerson
				if !errors.As(err, &person) || !strings.Contains(person.Cause, tt.cause) || !strings.Contains(person.Next, tt.next) {
					t.Fatalf("got %v", err)
				}
				if person.Kept != "No address is reserved for this VM." || len(vm.GetAddresses()) != 0 {
					t.Errorf("kept %q, addresses %v", person.Kept, addresses(vm))
				}
				s.verify(t) // nothing is held, so nothing may be given
			})
		}
		none := s.mustGive(t, order("none", 0, 0))
		if len(none.GetAddresses()) != 0 {
			t.Errorf("got %v", addresses(none))
		}
	})
}

// TestRefusalListsWhatTheTruthHolds: the pool turned out full only after a part was held.
func TestRefusalListsWhatTheTruthHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("small", "203.0.113.0/30")}
		s := w.instance(t, nil)
		if _, err := s.index.has(t.Context(), s.pools[0], "x/x"); err != nil { // the index is built
			t.Fatal(err)
		}
		if _, err := s.claim(t.Context(), "stranger/1", choice{s.pools[0], 1}.key()); err != nil {
			t.Fatal(err)
		}
		vm, err := s.give(t.Context(), order("vm", 2, 0))
		var person *bus.NeedsPerson
		if !errors.As(err, &person) || !strings.Contains(person.Kept, "203.0.113.1") {
			t.Fatalf("got %v", err)
		}
		if !slices.Equal(keysOf(vm), s.heldBy(t, ownerOf(vm))) {
			t.Errorf("lists %v, holds %v", keysOf(vm), s.heldBy(t, ownerOf(vm)))
		}
		s.verify(t)
		vm.Package.Network.Ipv4Count = 1 // the person mends the package and repeats the order
		if got := addresses(s.mustGive(t, vm)); !slices.Equal(got, []string{"203.0.113.1"}) {
			t.Errorf("mended: %v", got)
		}
	})
}

// TestIndexThatIsBehindIsCorrected: others hold what the index takes for free.
func TestIndexThatIsBehindIsCorrected(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		p := s.pools[0]
		if _, err := s.index.has(t.Context(), p, "x/x"); err != nil {
			t.Fatal(err)
		}
		for n := range uint64(maxConflicts + 20) {
			if _, err := s.claim(t.Context(), owner(fmt.Sprintf("other-%d/1", n)), choice{p, n}.key()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.give(t.Context(), order("vm", 1, 0)); !errors.Is(err, errConflicts) {
			t.Fatalf("got %v, want a transient error", err)
		}
		vm := s.mustGive(t, order("vm", 1, 0))
		if want := p.address(maxConflicts + 20).String(); addresses(vm)[0] != want {
			t.Errorf("got %v, want %s", addresses(vm), want)
		}
		s.verify(t)
	})
}

func TestAddressesOfAnEarlierAttemptAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		vm := order("vm", 1, 0)
		vm.Addresses = []*vmlinev1.Address{s.pools[0].describe(41), s.pools[0].describe(42), {Pool: "gone", Address: "192.0.2.1"}}
		if _, err := s.claim(t.Context(), ownerOf(vm), choice{s.pools[0], 41}.key()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.claim(t.Context(), "stranger/1", choice{s.pools[0], 42}.key()); err != nil {
			t.Fatal(err)
		}
		if got := s.mustGive(t, vm); !slices.Equal(addresses(got), []string{s.pools[0].address(41).String()}) {
			t.Errorf("got %v", addresses(got))
		}
		s.verify(t)
	})
}

func TestRedisDownIsTransient(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	w.redis.Addr = "127.0.0.1:1"
	w.redis.MaxRetries = -1
	_, err := w.instance(t, nil).give(t.Context(), order("vm", 1, 0))
	var person *bus.NeedsPerson
	if err == nil || errors.As(err, &person) {
		t.Errorf("got %v, want a transient error", err)
	}
}
