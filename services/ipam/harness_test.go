package ipam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/overtake"
	"github.com/vmline/vmline/pkg/redistest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// onBoth runs a test on a real Redis and on the one that is built into vmline.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newWorld(t, startMiniredis(t))) })
	t.Run("redis-server", func(t *testing.T) { test(t, newWorld(t, startRedis(t))) })
}

func startMiniredis(t testing.TB) *redis.Options {
	return &redis.Options{Addr: miniredis.RunT(t).Addr()}
}

func startRedis(t testing.TB) *redis.Options {
	return &redis.Options{Network: "unix", Addr: redistest.Start(t).Socket}
}

// world is a NATS server and a Redis that any number of instances of the service share.
type world struct {
	nats  nats.InProcessConnProvider
	redis *redis.Options
	pools []*vmlinev1.Pool

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB, o *redis.Options) *world { return newWorldOn(t, o, true) }

// newWorldOn lets the NATS server sync every write, or not.
func newWorldOn(t testing.TB, o *redis.Options, fast bool) *world {
	srv, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: fast})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedded.Stop(srv) })
	w := &world{nats: srv, redis: o, now: time.Now(), pools: []*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/24")}}
	if err := w.bus(t, nil).Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return w
}

func v4Pool(name, prefix string) *vmlinev1.Pool {
	return &vmlinev1.Pool{Name: name, Cluster: "c1", Bridge: "vmbr0", Prefix: prefix, DnsServers: []string{"192.0.2.53"}}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) bus(t testing.TB, intercept bus.Interceptor) *bus.Bus {
	log := slog.New(slog.DiscardHandler)
	nc, err := bus.DialInProcess(w.nats, "ipam", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := bus.New(nc, bus.Options{Now: w.clock, Intercept: intercept, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *world) client(t testing.TB) redis.UniversalClient {
	client := redis.NewClient(w.redis)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// instance starts one more service. Its calls pass through fate, if there is one.
func (w *world) instance(t testing.TB, f *fate) *service {
	client := w.client(t)
	var intercept bus.Interceptor
	if f != nil {
		intercept = f.bus
		client.AddHook(f)
	}
	s, err := newService(context.Background(), Config{
		Bus: w.bus(t, intercept), Redis: client, Pools: w.pools, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.index.poll, s.index.patience = time.Millisecond, 20*time.Millisecond
	return s
}

func (w *world) flush(t testing.TB) {
	t.Helper()
	client := redis.NewClient(w.redis)
	defer client.Close()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

// held is what the truth holds for one VM, or for all with "", as sorted keys.
func (s *service) heldBy(t testing.TB, o owner) []string {
	t.Helper()
	held, err := s.held(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for k, a := range held {
		if o == "" || a.holder == o {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// verify compares the index of every pool with the truth, and looks whether each number is either
// given or free.
func (s *service) verify(t testing.TB) {
	t.Helper()
	held, err := s.held(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.pools {
		if err := s.index.open(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		count := 0
		err := s.index.each(t.Context(), p, func(n uint64, o owner) {
			count++
			if got := held[key(p.conf.GetName(), p.address(n))].holder; got != o {
				t.Errorf("pool %s: the index gives %s to %q, the truth to %q", p.conf.GetName(), p.address(n), o, got)
			}
			if numbers, err := s.index.has(t.Context(), p, o); err != nil || !slices.Contains(numbers, n) {
				t.Errorf("pool %s: the index does not find %s for %q: %v %v", p.conf.GetName(), p.address(n), o, numbers, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, a := range held {
			if _, ok := p.number(a.addr); ok && a.pool == p.conf.GetName() {
				want++
			}
		}
		if count != want {
			t.Errorf("pool %s: the index has %d addresses, the truth %d", p.conf.GetName(), count, want)
		}
	}
}

// order is a VM that was ordered and waits for its addresses.
func order(ref string, v4, v6 uint32) *vmlinev1.VM {
	return &vmlinev1.VM{
		Ref: ref, Uid: "uid-" + ref, Status: vmlinev1.Status_STATUS_CREATION,
		Package: &vmlinev1.Package{Cluster: "c1", Network: &vmlinev1.Network{Bridge: "vmbr0", Ipv4Count: v4, Ipv6Count: v6}},
		Operation: &vmlinev1.Operation{
			Id: "op-" + ref, Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING,
			Route:   []vmlinev1.Status{vmlinev1.Status_STATUS_CREATION, vmlinev1.Status_STATUS_SET_IP},
			Reached: []*vmlinev1.Reached{{Status: vmlinev1.Status_STATUS_CREATION}},
		},
	}
}

// give runs the step set_ip on a copy of the VM and returns the copy.
func (s *service) give(ctx context.Context, vm *vmlinev1.VM) (*vmlinev1.VM, error) {
	t := &bus.Trigger{VM: proto.CloneOf(vm)}
	_, err := s.setIP(ctx, t)
	return t.VM, err
}

func (s *service) mustGive(t testing.TB, vm *vmlinev1.VM) *vmlinev1.VM {
	t.Helper()
	got, err := s.give(context.Background(), vm)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *service) end(ctx context.Context, vm *vmlinev1.VM) error {
	_, err := s.terminated(ctx, &bus.Trigger{VM: proto.CloneOf(vm)})
	return err
}

func addresses(vm *vmlinev1.VM) []string {
	var texts []string
	for _, a := range vm.GetAddresses() {
		texts = append(texts, a.GetAddress())
	}
	return texts
}

func keysOf(vm *vmlinev1.VM) []string {
	var keys []string
	for _, a := range vm.GetAddresses() {
		addr, _ := parseAddr("", a.GetAddress())
		keys = append(keys, key(a.GetPool(), addr))
	}
	slices.Sort(keys)
	return keys
}

// fate stands around every call of one instance, to the bus and to Redis. At one of them it strikes.
type fate struct {
	// at is the call, counted from 1; after says on which side of it.
	at    int
	after bool
	// strike happens there; an error kills the instance: no later call gets through.
	strike func() error
	// work, if there is one, is told of each call instead.
	work *overtake.Work

	mu    sync.Mutex
	calls int
	names []string
	dead  bool
}

var errKilled = errors.New("killed")

// rise makes the instance live again, to be struck at another call.
func (f *fate) rise(at int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.after, f.calls, f.dead, f.names = at, after, 0, false, nil
}

func (f *fate) around(name string, do func() error) error {
	if f.work != nil {
		return f.work.Call(name, do)
	}
	f.mu.Lock()
	f.calls++
	f.names = append(f.names, name)
	mine, dead := f.calls == f.at, f.dead
	f.mu.Unlock()
	if dead {
		return errKilled
	}
	if mine && !f.after {
		if err := f.hit(); err != nil {
			return err
		}
	}
	err := do()
	if mine && f.after {
		if killed := f.hit(); killed != nil {
			return killed // whoever is killed learns no answer
		}
	}
	return err
}

func (f *fate) hit() error {
	err := f.strike()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = err != nil
	return err
}

func (f *fate) bus(ctx context.Context, call string, do func(context.Context) error) error {
	return f.around(call, func() error { return do(ctx) })
}

func (f *fate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (f *fate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := f.around("redis."+cmd.Name(), func() error { return next(ctx, cmd) })
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (f *fate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// everywhere runs a scenario once for each side of each call that it makes, on fresh worlds made by
// prepare, until its calls are through.
func everywhere(t *testing.T, scenario func(t *testing.T, at int, after bool) (f *fate)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			var f *fate
			t.Run(fmt.Sprintf("call %d after=%t", at, after), func(t *testing.T) { f = scenario(t, at, after) })
			if f == nil || t.Failed() {
				return
			}
			if f.calls < at {
				if at < 4 {
					t.Fatalf("only %d calls were seen: %v", f.calls, f.names)
				}
				break
			}
		}
	}
}

// v4Addr is an address of the default pool.
func v4Addr(n int) string { return fmt.Sprintf("203.0.113.%d", n) }

func clone(vm *vmlinev1.VM) *vmlinev1.VM { return proto.CloneOf(vm) }
