package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestReleasedLastIsGivenLast(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/29")}
		s := w.instance(t, nil)
		for i := range 4 {
			vm := s.mustGive(t, order(fmt.Sprint("vm-", i), 1, 0))
			if err := s.end(t.Context(), vm); err != nil {
				t.Fatal(err)
			}
			if len(vm.GetAddresses()) != 1 {
				t.Errorf("the state keeps its addresses as history: %v", vm.GetAddresses())
			}
		}
		got := addresses(s.mustGive(t, order("next", 2, 0)))
		got = append(got, addresses(s.mustGive(t, order("last", 3, 0)))...)
		want := []string{"203.0.113.5", "203.0.113.6", "203.0.113.1", "203.0.113.2", "203.0.113.3"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want those first that rested longest: %v", got, want)
		}
		s.verify(t)
	})
}

func TestReleaseRepeatedAfterReuse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("one", "203.0.113.5/32")}
		s := w.instance(t, nil)
		first := s.mustGive(t, order("first", 1, 0))
		if err := s.end(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		second := s.mustGive(t, order("second", 1, 0))
		for range 2 {
			if err := s.end(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if held := s.heldBy(t, ownerOf(second)); !slices.Equal(held, keysOf(second)) {
				t.Fatalf("the second VM holds %v", held)
			}
			s.verify(t)
			w.flush(t)
		}
		sameRef := order("second", 1, 0)
		sameRef.Uid, sameRef.Addresses = "another", second.Addresses
		if err := s.end(t.Context(), sameRef); err != nil || len(s.heldBy(t, ownerOf(second))) != 1 {
			t.Errorf("another uid of the same ref released it: %v", err)
		}
	})
}

func TestReleaseByManyAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a, b := w.instance(t, nil), w.instance(t, nil)
		vm := a.mustGive(t, order("vm", 4, 0))
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error { return []*service{a, b}[i%2].end(context.Background(), vm) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if held := a.heldBy(t, ""); len(held) != 0 {
			t.Errorf("held: %v", held)
		}
		a.verify(t)
	})
}

func TestReleaseOfAPoolThatIsNotConfiguredAnyMore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		vm := w.instance(t, nil).mustGive(t, order("vm", 1, 0))
		w.pools = nil
		s := w.instance(t, nil)
		if err := s.end(t.Context(), vm); err != nil || len(s.heldBy(t, "")) != 0 {
			t.Errorf("held %v, %v", s.heldBy(t, ""), err)
		}
	})
}

func TestUnreadableAddressNeedsAPerson(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	for _, a := range []*vmlinev1.Address{{Pool: "v4", Address: "x"}, {Pool: "*", Address: "192.0.2.1"}} {
		vm := order("vm", 1, 0)
		vm.Addresses = []*vmlinev1.Address{a}
		var person *bus.NeedsPerson
		if err := w.instance(t, nil).end(t.Context(), vm); !errors.As(err, &person) {
			t.Errorf("%v: %v", a, err)
		}
	}
}
