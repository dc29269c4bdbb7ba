package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
)

// fire publishes a tick as its schedule would.
func fire(t testing.TB, b *Bus, name string) {
	t.Helper()
	if err := b.Tick(testContext(t), name); err != nil {
		t.Fatal(err)
	}
}

func TestARecurringTickFires(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	if err := b.schedule(ctx, TickDNSSync, "@every 1s", nil); err != nil {
		t.Fatal(err)
	}
	fired := 0
	err := b.Ticks(ctx, "dns", map[string]func(context.Context) error{
		TickDNSSync: func(context.Context) error {
			if fired++; fired == 2 {
				cancel()
			}
			return errors.New("logged, and the next one comes anyway")
		},
	}, nil)
	if err != nil || fired != 2 {
		t.Errorf("fired %d times, %v", fired, err)
	}
}

func TestATickDoesNotRunBesideItself(t *testing.T) {
	t.Parallel()
	acks := make(chan struct{}, 100)
	b := open(t, Options{Intercept: func(ctx context.Context, call string, do func(context.Context) error) error {
		err := do(ctx)
		if call == "msg.ack" {
			acks <- struct{}{}
		}
		return err
	}})
	ctx, cancel := context.WithCancel(testContext(t))
	started, release := make(chan struct{}, 10), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		err := b.Ticks(ctx, "dns", map[string]func(context.Context) error{
			TickDNSSync: func(context.Context) error { started <- struct{}{}; <-release; return nil },
		}, nil)
		if err != nil {
			t.Error(err)
		}
	})
	fire(t, b, TickDNSSync)
	<-started
	fire(t, b, TickDNSSync)
	<-acks // of the second one
	fire(t, b, "dns.unknown")
	<-acks
	close(release)
	<-acks
	if len(started) != 0 {
		t.Error("the handler ran beside itself")
	}
	fire(t, b, TickDNSSync)
	<-started
	cancel()
	running.Wait()
}

func TestRetryTicks(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	at := time.Now().Add(700 * time.Millisecond)
	if err := b.scheduleRetry(ctx, chain.IPAM, "a-1", 3, at); err != nil {
		t.Fatal(err)
	}
	if err := b.Retrigger(ctx, chain.IPAM, "a-2", 4); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]uint64{}
	err := b.Ticks(ctx, chain.IPAM, nil, func(_ context.Context, ref string, seq uint64) error {
		mu.Lock()
		defer mu.Unlock()
		if ref == "a-2" && got[ref] == 0 {
			got[ref] = seq
			return errors.New("the server is away")
		}
		got[ref] = seq
		if ref == "a-1" {
			if early := time.Until(at); early > 0 {
				t.Errorf("the tick came %s early", early)
			}
		}
		if len(got) == 2 && ref == "a-1" {
			cancel()
		}
		return nil
	})
	if err != nil || got["a-1"] != 3 || got["a-2"] != 4 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestARetryForAnOldStateDoesNothing(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	seq := begin(t, b, "a-1", create)
	w, err := b.NewWorker(chain.IPAM, stepsWith(chain.IPAM, func(context.Context, *Trigger) (Outcome, error) {
		t.Error("the step ran")
		return Done, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for ref, seq := range map[string]uint64{"a-1": seq + 1, "a-2": seq} {
		if err := w.Retry(testContext(t), ref, seq); err != nil {
			t.Error(err)
		}
	}
}
