package keys

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/testbus"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/services/gateway/internal/sealing"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var (
	quiet  = slog.New(slog.DiscardHandler)
	master = bytes.Repeat([]byte("m"), sealing.MinMaster)
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fixture is a store and a ring that follows it, on a real NATS server.
type fixture struct {
	testing.TB
	clock *clock
	bus   *bus.Bus
	store *Store
	ring  *Ring
}

func start(t testing.TB, intercept bus.Interceptor) *fixture {
	t.Helper()
	f := &fixture{TB: t, clock: &clock{at: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}}
	f.bus = testbus.New(t, bus.Options{Now: f.clock.now, Intercept: intercept})
	var err error
	if f.store, err = NewStore(f.bus, master); err != nil {
		t.Fatal(err)
	}
	f.ring = NewRing(f.store, "installation-token", quiet)
	f.run(f.ring)
	return f
}

func (f *fixture) run(r *Ring) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("run: %v", err)
		}
	})
	select {
	case <-r.Ready():
	case <-time.After(patience):
		f.Fatal("the keys were not read")
	}
}

func (f *fixture) create(n New) (Key, string) {
	f.Helper()
	k, text, err := f.store.Create(f.Context(), n)
	if err != nil {
		f.Fatal(err)
	}
	return k, text
}

// patience is how long a test waits for what has to come. Only one that fails uses it up.
const patience = time.Minute

// soon waits until is holds.
func (f *fixture) soon(what string, is func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			f.Fatalf("it never came: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (f *fixture) known(text string) func() bool {
	return func() bool { _, err := f.ring.Bearer(text); return err == nil }
}

func (f *fixture) unknown(text string) func() bool {
	return func() bool { return !f.known(text)() }
}
