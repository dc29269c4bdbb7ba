package bus

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestFollowSeesTheNewestState: the first attempt fails, the VM goes on meanwhile, and what the
// handler then gets is the state as it is.
func TestFollowSeesTheNewestState(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	seq := begin(t, b, "a-1", create)
	begin(t, b, "unwanted", create)
	var mu sync.Mutex
	attempts := 0
	wanted := func(e Entry) bool { return e.VM.GetRef() == "a-1" && e.Seq == seq }
	err := b.Follow(ctx, "dns", wanted, func(ctx context.Context, e Entry) error {
		mu.Lock()
		defer mu.Unlock()
		if attempts++; attempts == 1 {
			if _, err := b.Append(ctx, admitted("a-1", terminate), e.Seq); err != nil {
				t.Error(err)
			}
			return errors.New("the DNS server does not answer")
		}
		if e.VM.GetStatus() != vmlinev1.Status_STATUS_TERMINATE || e.Seq <= seq {
			t.Errorf("got %v", e.VM)
		}
		cancel()
		return nil
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

// TestFollowTakesTurns: an older state never overtakes a newer one of the same VM.
func TestFollowTakesTurns(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	seq := begin(t, b, "a-1", create)
	var (
		mu   sync.Mutex
		seen []uint64
		last uint64
	)
	err := b.Follow(ctx, "dns", func(Entry) bool { return true }, func(ctx context.Context, e Entry) error {
		if !mu.TryLock() {
			t.Error("the handler runs twice for one VM")
			return nil
		}
		defer mu.Unlock()
		seen = append(seen, e.Seq)
		if len(seen) == 1 {
			for last = seq; len(seen) == 1 && last < seq+5; {
				var err error
				if last, err = b.Append(ctx, admitted("a-1", create), last); err != nil {
					t.Error(err)
				}
			}
		}
		if e.Seq == last {
			cancel()
		}
		return nil
	})
	if err != nil || !slices.IsSorted(seen) || seen[len(seen)-1] != last {
		t.Errorf("saw %v of %d, %v", seen, last, err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	runWorkers(t, b, noWork)
	route, _ := chain.RouteOf(create)
	for _, ref := range []string{"a-1", "*"} {
		key := map[string]string{"a-1": "a-1", "*": "a-2"}[ref]
		var seen []vmlinev1.Status
		err := b.Tail(testContext(t), ref, func() { begin(t, b, key, create) }, func(e Entry) bool {
			seen = append(seen, e.VM.GetStatus())
			if e.Seq == 0 || e.Time.IsZero() || e.VM.GetRef() != key {
				t.Errorf("entry %+v", e)
			}
			return !ended(e.VM)
		})
		if err != nil || !slices.Equal(seen, route.Statuses) {
			t.Errorf("tail of %s: %v, %v", ref, seen, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background()) // as a browser's: without a deadline
	if err := b.Tail(ctx, "a-3", cancel, func(Entry) bool { return true }); err != nil {
		t.Errorf("tail that was ended: %v", err)
	}
	if err := b.Tail(ctx, ">", cancel, nil); err == nil {
		t.Error("a ref that cannot be was tailed")
	}
}
