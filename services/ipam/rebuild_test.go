package ipam

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestManyBuildAtOnce: three processes find the index closed while orders come in and Redis is
// flushed again and again.
func TestManyBuildAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "10.0.0.0/20")}
		instances := []*service{w.instance(t, nil), w.instance(t, nil), w.instance(t, nil)}
		for _, s := range instances {
			s.index.patience = time.Minute // none of them dies, however long it is kept from its work
		}
		var g errgroup.Group
		g.SetLimit(30)
		for i := range 150 {
			g.Go(func() error {
				if i%10 == 0 {
					w.flush(t)
				}
				var vm *vmlinev1.VM
				err := repeated(func() (err error) {
					vm, err = instances[i%3].give(context.Background(), order(fmt.Sprint("vm-", i), 1, 0))
					return err
				})
				if err != nil || i%5 != 0 {
					return err
				}
				return repeated(func() error { return instances[(i+1)%3].end(context.Background(), vm) })
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if held := instances[0].heldBy(t, ""); len(held) != 120 {
			t.Errorf("%d held, want 120", len(held))
		}
		if err := instances[0].reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		instances[0].verify(t)
	})
}

// repeated does a step again, as its worker would, while Redis is flushed faster than the index is built.
// There are fewer flushes than its tries.
func repeated(do func() error) error {
	err := do()
	for tries := 1; errors.Is(err, errKeepsClosing) && tries < 20; tries++ {
		err = do()
	}
	return err
}

// TestBuildInBatches has more to load than one call takes, with gaps.
func TestBuildInBatches(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "10.0.0.0/16")}
		s := w.instance(t, nil)
		p := s.pools[0]
		for i := range uint64(2*batch + 1) {
			if _, err := s.claim(t.Context(), "big/1", choice{p, 2 * i}.key()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.index.take(t.Context(), p, "next/1", 3)
		if err != nil || fmt.Sprint(got) != "[1 3 5]" {
			t.Errorf("got %v, want the gaps (%v)", got, err)
		}
		if big, err := s.index.has(t.Context(), p, "big/1"); err != nil || len(big) != 2*batch+1 {
			t.Errorf("%d loaded, %v", len(big), err)
		}
	})
}

// TestPartOfTheIndexIsLost: Redis evicted a key. The index notices before it refuses an order.
func TestPartOfTheIndexIsLost(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		s.mustGive(t, order("vm", 1, 0))
		if err := s.index.redis.Del(t.Context(), redisKey(s.pools[0], "free")).Err(); err != nil {
			t.Fatal(err)
		}
		s.mustGive(t, order("next", 1, 0))
		s.verify(t)
	})
}

// TestOtherConfigurationBuildsItsOwnIndex: numbers of one layout are never read by the other.
func TestOtherConfigurationBuildsItsOwnIndex(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		before := w.instance(t, nil)
		first := before.mustGive(t, order("first", 1, 0))
		changed := v4Pool("v4", "203.0.113.0/24")
		changed.Exclude = []string{"203.0.113.0/30"}
		w.pools = []*vmlinev1.Pool{changed}
		after := w.instance(t, nil)
		for i := range 3 {
			a := after.mustGive(t, order(fmt.Sprint("after-", i), 1, 0))
			b := before.mustGive(t, order(fmt.Sprint("before-", i), 1, 0))
			if a.GetAddresses()[0].GetAddress() == b.GetAddresses()[0].GetAddress() {
				t.Errorf("both got %v", addresses(a))
			}
		}
		if held := before.heldBy(t, ""); len(held) != 7 {
			t.Errorf("held: %v", held)
		}
		if err := after.end(t.Context(), first); err != nil { // an address that is excluded now
			t.Fatal(err)
		}
		if held := before.heldBy(t, ownerOf(first)); len(held) != 0 {
			t.Errorf("still held: %v", held)
		}
		after.verify(t)
	})
}

// TestBuildThatWasTakenOverCannotGoOn: a builder that stood still comes back to life.
func TestBuildThatWasTakenOverCannotGoOn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		slow := &build{index: s.index, pool: s.pools[0], id: "slow"}
		next := &build{index: s.index, pool: s.pools[0], id: "next"}
		if state, err := slow.begin(t.Context(), ""); err != nil || state != slow.token() {
			t.Fatalf("begin: %q, %v", state, err)
		}
		if state, err := next.begin(t.Context(), ""); err != nil || state != slow.token() {
			t.Fatalf("beside another: %q, %v", state, err)
		}
		if state, err := next.begin(t.Context(), slow.token()); err != nil || state != next.token() {
			t.Fatalf("take-over: %q, %v", state, err)
		}
		if err := slow.held(t.Context(), bus.Item{Key: "v4.203.0.113.9"}); err != nil {
			t.Fatal(err)
		}
		if err := slow.flush(t.Context()); !errors.Is(err, errBuildLost) {
			t.Errorf("load after the take-over: %v", err)
		}
		if err := slow.script(t.Context(), openScript, slow.keys(), slow.token(), "x"); !errors.Is(err, errBuildLost) {
			t.Errorf("open after the take-over: %v", err)
		}
		if err := next.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.verify(t)
	})
}

func TestOnlyTheOwnersNumbersAreDropped(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		s := w.instance(t, nil)
		p := s.pools[0]
		if _, err := s.index.take(t.Context(), p, "a/1", 2); err != nil {
			t.Fatal(err)
		}
		if err := s.index.drop(t.Context(), p, "b/1", 0, 1, 7); err != nil {
			t.Fatal(err)
		}
		if got, err := s.index.take(t.Context(), p, "b/1", 1); err != nil || fmt.Sprint(got) != "[2]" {
			t.Errorf("b got %v, %v", got, err)
		}
		if free, err := s.index.free(t.Context(), p); err != nil || free != p.size-3 {
			t.Errorf("%d free of %d, %v", free, p.size, err)
		}
	})
}
