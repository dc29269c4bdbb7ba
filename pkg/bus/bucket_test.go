package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func bucket(t testing.TB, b *Bus) *Bucket {
	t.Helper()
	k, err := b.Bucket(testContext(t), BucketIPAM)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func address(of string) *vmlinev1.Address { return &vmlinev1.Address{Address: of} }

func TestBucketKeyHasOneHolder(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	k := bucket(t, b)
	ctx := testContext(t)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		wins []string
	)
	for i := range 8 {
		wg.Go(func() {
			err := k.Create(ctx, "dc1.10.0.0.1", address(fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins = append(wins, fmt.Sprint(i))
			case !errors.Is(err, ErrTaken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := &vmlinev1.Address{}
	revision, err := k.Get(ctx, "dc1.10.0.0.1", got)
	if err != nil || len(wins) != 1 || got.GetAddress() != wins[0] {
		t.Fatalf("held by %v, %v; %v created it", got, err, wins)
	}
	if err := k.Delete(ctx, "dc1.10.0.0.1", revision+1); !errors.Is(err, ErrSuperseded) {
		t.Errorf("delete at another revision: %v", err)
	}
	if err := k.Delete(ctx, "dc1.10.0.0.1", revision); err != nil {
		t.Fatal(err)
	}
	if err := k.Delete(ctx, "dc1.10.0.0.1", revision); !errors.Is(err, ErrSuperseded) {
		t.Errorf("delete of what is gone: %v", err)
	}
	if _, err := k.Get(ctx, "dc1.10.0.0.1", got); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted key: %v", err)
	}
	if err := k.Create(ctx, "dc1.10.0.0.1", address("again")); err != nil {
		t.Errorf("create after delete: %v", err)
	}
	if same := bucket(t, b); same != k {
		t.Error("a bucket is opened twice")
	}
}

// TestCreateAfterALostAnswer: the caller reads whose the key is.
func TestCreateAfterALostAnswer(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Intercept: nth(1, "kv.create", false)})
	k := bucket(t, b)
	ctx := testContext(t)
	if err := k.Create(ctx, "dc1.a", address("mine")); !errors.Is(err, errLost) {
		t.Fatalf("got %v", err)
	}
	if err := k.Create(ctx, "dc1.a", address("mine")); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v, want ErrTaken", err)
	}
	got := &vmlinev1.Address{}
	if _, err := k.Get(ctx, "dc1.a", got); err != nil || got.GetAddress() != "mine" {
		t.Errorf("held by %v, %v", got, err)
	}
}

func TestBucketEachAndWatch(t *testing.T) {
	t.Parallel()
	k := bucket(t, open(t, Options{}))
	ctx := testContext(t)
	keys := func(filter string) (keys []string) {
		t.Helper()
		if err := k.Each(ctx, filter, func(i Item) error { keys = append(keys, i.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if got := keys(">"); len(got) != 0 {
		t.Errorf("an empty bucket has %v", got)
	}
	for _, key := range []string{"dc1.a", "dc1.b", "dc2.a"} {
		if err := k.Create(ctx, key, address(key)); err != nil {
			t.Fatal(err)
		}
	}
	revision, err := k.Get(ctx, "dc1.a", &vmlinev1.Address{})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Delete(ctx, "dc1.a", revision); err != nil {
		t.Fatal(err)
	}
	if got := keys("dc1.*"); !slices.Equal(got, []string{"dc1.b"}) {
		t.Errorf("dc1 has %v", got)
	}
	stop := errors.New("stop")
	if err := k.Each(ctx, ">", func(Item) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the caller's error", err)
	}
	var seen []string
	err = k.Watch(ctx, ">", func(i Item) error {
		seen = append(seen, fmt.Sprintf("%s %t", i.Key, i.Deleted))
		if i.Deleted {
			return stop
		}
		if i.Key == "dc3.a" {
			return k.Delete(ctx, i.Key, i.Revision)
		}
		return nil
	}, func() error {
		seen = append(seen, "caught up")
		return k.Create(ctx, "dc3.a", address("new"))
	})
	want := []string{"dc1.b false", "dc2.a false", "caught up", "dc3.a false", "dc3.a true"}
	if !errors.Is(err, stop) || !slices.Equal(seen, want) {
		t.Errorf("saw %v, %v; want %v", seen, err, want)
	}
	ended, cancel := context.WithCancel(ctx)
	if err := k.Watch(ended, ">", func(Item) error { return nil }, func() error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

// TestBucketIsWaitedFor: a service may start before the bucket is made.
func TestBucketIsWaitedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	b := connect(t, startServer(t), Options{})
	if _, err := b.Bucket(ctx, BucketVMID); err == nil {
		t.Fatal("there is a bucket before Apply")
	}
	opened := make(chan error, 1)
	go func() {
		_, err := b.Bucket(t.Context(), BucketVMID)
		opened <- err
	}()
	if err := b.Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

// TestUpdateMakesAnEarlierReadOld: whoever read the key before cannot delete it any more.
func TestUpdateMakesAnEarlierReadOld(t *testing.T) {
	t.Parallel()
	k := bucket(t, open(t, Options{}))
	ctx := testContext(t)
	if err := k.Create(ctx, "dc1.a", address("mine")); err != nil {
		t.Fatal(err)
	}
	read, err := k.Get(ctx, "dc1.a", &vmlinev1.Address{})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Update(ctx, "dc1.a", address("still mine"), read); err != nil {
		t.Fatal(err)
	}
	if err := k.Update(ctx, "dc1.a", address("another's"), read); !errors.Is(err, ErrSuperseded) {
		t.Errorf("update at an old revision: %v", err)
	}
	if err := k.Delete(ctx, "dc1.a", read); !errors.Is(err, ErrSuperseded) {
		t.Errorf("delete at an old revision: %v", err)
	}
	got := &vmlinev1.Address{}
	if _, err := k.Get(ctx, "dc1.a", got); err != nil || got.GetAddress() != "still mine" {
		t.Errorf("held by %v, %v", got, err)
	}
}

func TestBucketRemembers(t *testing.T) {
	t.Parallel()
	k := bucket(t, open(t, Options{}))
	ctx := testContext(t)
	if items, err := k.History(ctx, "*.a"); err != nil || len(items) != 0 {
		t.Fatalf("an empty bucket remembers %v, %v", items, err)
	}
	for _, key := range []string{"dc1.a", "dc1.b", "dc2.a"} {
		if err := k.Create(ctx, key, address(key)); err != nil {
			t.Fatal(err)
		}
	}
	revision, err := k.Get(ctx, "dc1.a", &vmlinev1.Address{})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Delete(ctx, "dc1.a", revision); err != nil {
		t.Fatal(err)
	}
	if err := k.Create(ctx, "dc1.a", address("again")); err != nil {
		t.Fatal(err)
	}
	items, err := k.History(ctx, "*.a")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, i := range items {
		if i.Time.IsZero() {
			t.Errorf("%s has no time", i.Key)
		}
		seen = append(seen, fmt.Sprintf("%s %t %d", i.Key, i.Deleted, i.Revision))
	}
	if want := []string{"dc1.a false 1", "dc2.a false 3", "dc1.a true 4", "dc1.a false 5"}; !slices.Equal(seen, want) {
		t.Errorf("remembers %v, want %v", seen, want)
	}
}
