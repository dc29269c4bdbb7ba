package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE
)

// testTime bounds every wait of a test. It is only ever used up by a test that fails.
const testTime = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// startServer runs a server that syncs lazily, until the test ends.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedded.Stop(s) })
	return s
}

// connect opens a bus with a connection of its own.
func connect(t testing.TB, s nats.InProcessConnProvider, o Options) *Bus {
	t.Helper()
	nc, err := DialInProcess(s, "test", quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return newBus(t, nc, o)
}

func newBus(t testing.TB, nc *nats.Conn, o Options) *Bus {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	b, err := New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open returns a bus on a server of its own, with the topology applied.
func open(t testing.TB, o Options) *Bus {
	t.Helper()
	return apply(t, connect(t, startServer(t), o))
}

func apply(t testing.TB, b *Bus) *Bus {
	t.Helper()
	if err := b.Apply(testContext(t), 1); err != nil {
		t.Fatal(err)
	}
	return b
}

// admitted is the first state of an operation, as admission writes it.
func admitted(ref string, kind vmlinev1.Operation_Kind) *vmlinev1.VM {
	route, _ := chain.RouteOf(kind)
	before := &vmlinev1.VM{Ref: ref, Status: route.From[0]}
	return chain.Begin(before, &vmlinev1.Command{Id: "op-" + ref, Ref: ref, Kind: kind}, time.Unix(0, 0), func() string { return "uid-" + ref })
}

// begin writes the first state of a new VM.
func begin(t testing.TB, b *Bus, ref string, kind vmlinev1.Operation_Kind) uint64 {
	t.Helper()
	seq, err := b.Append(testContext(t), admitted(ref, kind), 0)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// until waits for a state of the VM.
func until(t testing.TB, b *Bus, ref string, is func(*vmlinev1.VM) bool) Entry {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var last Entry
	err := b.Tail(ctx, ref, func() {
		if e, err := b.Last(ctx, ref); err == nil && is(e.VM) {
			last = e
			cancel()
		}
	}, func(e Entry) bool {
		if is(e.VM) {
			last = e
		}
		return last.VM == nil
	})
	if err != nil || last.VM == nil {
		now, _ := b.Last(context.Background(), ref)
		t.Fatalf("the state of %s did not come: %v; it is %v", ref, err, now.VM)
	}
	return last
}

func ended(vm *vmlinev1.VM) bool {
	return vm.GetOperation().GetState() == vmlinev1.Operation_STATE_SUCCEEDED
}

func parked(vm *vmlinev1.VM) bool {
	return vm.GetOperation().GetState() == vmlinev1.Operation_STATE_PARKED
}

// checkLog checks from the log that the VM reached every status of the route once and in order.
func checkLog(t testing.TB, b *Bus, ref string, kind vmlinev1.Operation_Kind) {
	t.Helper()
	entries, err := b.History(testContext(t), ref)
	if err != nil {
		t.Fatal(err)
	}
	route := admitted(ref, kind).GetOperation().GetRoute()
	var reached []vmlinev1.Status
	for _, e := range entries {
		if ev := e.VM.GetEvent(); ev == vmlinev1.Event_EVENT_ADMITTED || ev == vmlinev1.Event_EVENT_REACHED {
			reached = append(reached, e.VM.GetStatus())
		}
	}
	if len(reached) != len(route) {
		t.Fatalf("%s reached %v, want %v", ref, reached, route)
	}
	for i := range reached {
		if reached[i] != route[i] {
			t.Fatalf("%s reached %v, want %v", ref, reached, route)
		}
	}
	last := entries[len(entries)-1].VM
	if !ended(last) || last.GetRetry() != nil || last.GetProblem() != nil || len(last.GetOperation().GetReached()) != len(route) {
		t.Fatalf("%s ended as %v", ref, last)
	}
}

// stepsWith gives every step of owner the same function.
func stepsWith(owner chain.Service, f StepFunc) map[vmlinev1.Status]StepFunc {
	steps := map[vmlinev1.Status]StepFunc{}
	for _, s := range chain.StepsOf(owner) {
		steps[s.To] = f
	}
	return steps
}

func noWork(context.Context, *Trigger) (Outcome, error) { return Done, nil }

var owners = chain.Services

// process is one process of every service that owns steps.
type process struct {
	bus    *Bus
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// runWorkers runs workers and retry ticks of every owner until the test ends or stop is called.
func runWorkers(t testing.TB, b *Bus, f StepFunc) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{bus: b, cancel: cancel}
	t.Cleanup(p.stop)
	for _, owner := range owners {
		w, err := b.NewWorker(owner, stepsWith(owner, f))
		if err != nil {
			t.Fatal(err)
		}
		sweep := func(context.Context) error { return nil }
		ticks := map[string]func(context.Context) error{TickSweep: sweep, TickIPAMReconcile: sweep, TickVMIDReconcile: sweep}
		p.run(t, func() error { return w.Run(ctx) })
		p.run(t, func() error { return b.Ticks(ctx, owner, ticks, w.Retry) })
	}
	return p
}

func (p *process) run(t testing.TB, f func() error) {
	p.done.Go(func() {
		if err := f(); err != nil && !errors.Is(err, context.Canceled) && !p.bus.nc.IsClosed() {
			t.Errorf("run: %v", err)
		}
	})
}

// stop ends the process gracefully.
func (p *process) stop() {
	p.cancel()
	p.done.Wait()
}

// counter counts the calls of an interceptor by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) intercept(ctx context.Context, call string, do func(context.Context) error) error {
	c.mu.Lock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[call]++
	c.mu.Unlock()
	return do(ctx)
}

func (c *counter) of(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[call]
}
