// Package rig puts the whole of vmline together for tests and benchmarks: a real NATS server, a real
// Redis where one is installed, the Proxmox simulator, and any number of each service, which a test
// can stop, start and stand between. It is imported by tests only.
package rig

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/pkg/secrets"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns"
	"github.com/vmline/vmline/services/ipam"
	"github.com/vmline/vmline/services/lifecycle"
	"github.com/vmline/vmline/services/provisioner"
)

// Options of a Rig. The zero value works.
type Options struct {
	// Sim is the cluster; nil means pvesim.Default with tasks that end at once.
	Sim *pvesim.Config
	// Synced has the NATS server sync every write, as it does in production. Tests that kill no
	// machine save that time.
	Synced bool
	// Pools of addresses; nil means one large IPv4 pool and one IPv6 pool on vmbr0.
	Pools []*vmlinev1.Pool
	// Zones whose records dns keeps, where it runs.
	Zones []dns.Zone
	// Retry of failed steps; zero fields mean delays of a few milliseconds.
	Retry bus.RetryPolicy
	// AckWait is how long a dead worker's message waits for the next one; 0 means 5 s. A machine that stands
	// still for so long has every step in hand delivered twice, which costs calls that a test may count.
	AckWait time.Duration
	// Settle is lifecycle's wait for a clone on its way; 0 means 2 s: a request that was begun has reached the
	// cluster by then, also on a busy machine.
	Settle time.Duration
	// Parking are the machines that keep disks which nobody uses.
	Parking []int
	// PollEvery is the interval of a settled poll for a task's end; 0 means 20 ms.
	PollEvery time.Duration
	// Rules that the provisioner keeps to in the cluster; the zero value has no limits.
	Rules provisioner.Rules
	// Now is the clock of the services; nil means time.Now.
	Now func() time.Time
}

// Cluster is the name of the simulated cluster in packages.
const Cluster = "dc1"

// Rig is everything but the services, which Start adds.
type Rig struct {
	// Sim is the simulated cluster, also reachable over HTTP.
	Sim *pvesim.Cluster
	// Bus is the test's own connection.
	Bus *bus.Bus
	// Redis is the test's own connection to the index.
	Redis *redis.Client
	// Opener has the key that passwords are sealed for.
	Opener secrets.Opener

	t       testing.TB
	options Options
	dir     string
	*bench
}

// bench is the NATS server, which all views of a Rig share.
type bench struct {
	mu       sync.Mutex
	stopNATS func()
	port     int
}

// For is the same Rig for a subtest: what fails, fails it, and what is started ends with it.
func (r *Rig) For(t testing.TB) *Rig {
	view := *r
	view.t = t
	return &view
}

// New builds a Rig that ends with its test.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	o = o.withDefaults()
	key, err := secrets.GenerateKey()
	must(t, err)
	r := &Rig{Sim: pvesim.New(*o.Sim), Opener: key, t: t, options: o, dir: t.TempDir(), bench: &bench{port: -1}}
	t.Cleanup(r.Sim.Close)
	r.Redis = startRedis(t)
	r.startNATS()
	t.Cleanup(r.StopNATS)
	r.Bus = r.connect("test", nil)
	must(t, r.Bus.Apply(t.Context(), 1))
	return r
}

func (o Options) withDefaults() Options {
	if o.Sim == nil {
		cfg := pvesim.Default()
		o.Sim = &cfg
	}
	if o.Pools == nil {
		o.Pools = Pools()
	}
	if o.Retry == (bus.RetryPolicy{}) {
		o.Retry = bus.RetryPolicy{First: 5 * time.Millisecond, Cap: 100 * time.Millisecond}
	}
	if o.AckWait == 0 {
		o.AckWait = 5 * time.Second
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	if o.PollEvery == 0 {
		o.PollEvery = 20 * time.Millisecond
	}
	return o
}

// Pools are the pools of a Rig that is given none.
func Pools() []*vmlinev1.Pool {
	return []*vmlinev1.Pool{
		{Name: "v4", Cluster: Cluster, Bridge: "vmbr0", Prefix: "10.64.0.0/16", Gateway: "10.64.0.1", DnsServers: []string{"192.0.2.53"}},
		{Name: "v6", Cluster: Cluster, Bridge: "vmbr0", Prefix: "2001:db8:64::/64", Gateway: "2001:db8:64::1", DnsServers: []string{"2001:db8::53"}},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *Rig) startNATS() {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := embedded.Start(embedded.Options{Dir: r.dir, Fast: !r.options.Synced, Port: r.port})
	must(r.t, err)
	if r.port < 0 {
		r.port = s.Addr().(*net.TCPAddr).Port
	}
	r.stopNATS = func() { embedded.Stop(s) }
}

// URL is where the NATS server listens.
func (r *Rig) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", r.port) }

// StopNATS ends the NATS server; its streams stay on disk.
func (r *Rig) StopNATS() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopNATS != nil {
		r.stopNATS()
		r.stopNATS = nil
	}
}

// StartNATS starts the NATS server again, on the same port and the same streams.
func (r *Rig) StartNATS() { r.startNATS() }

func (r *Rig) connect(name string, intercept bus.Interceptor) *bus.Bus {
	r.t.Helper()
	nc, err := bus.Dial(bus.Server{URL: r.URL(), Name: name}, quiet)
	must(r.t, err)
	r.t.Cleanup(nc.Close)
	b, err := bus.New(nc, bus.Options{Now: r.options.Now, Intercept: intercept, Logger: quiet, Retry: r.options.Retry, AckWait: r.options.AckWait, Every: seldom})
	must(r.t, err)
	return b
}

// seldom keeps the look at the cluster out of what a test counts; Observe makes it.
var seldom = map[string]time.Duration{bus.TickObserve: 24 * time.Hour, bus.TickDrift: 24 * time.Hour}

// Observe has lifecycle compare every VM with what the cluster shows, as the tick does every 15 s. It does
// not wait for the end of that.
func (r *Rig) Observe() {
	r.t.Helper()
	must(r.t, r.Bus.Tick(r.t.Context(), bus.TickObserve))
}

// quiet keeps the services' own log out of the test's output.
var quiet = slog.New(slog.DiscardHandler)

// Edge is where a test stands between a service and the world.
type Edge struct {
	// Bus stands around every call to NATS.
	Bus bus.Interceptor
	// Proxmox stands around every call to Proxmox; it gets the transport that would carry it.
	Proxmox func(http.RoundTripper) http.RoundTripper
	// Redis is a hook for every call of the service to Redis.
	Redis redis.Hook
	// DNS stands around the connections to DNS servers; it gets what would connect.
	DNS func(dns.Dial) dns.Dial
}

// Start runs one more instance of a service. stop cuts its context and returns when it has ended.
func (r *Rig) Start(service chain.Service, edge Edge) (stop func()) {
	r.t.Helper()
	return r.StartIn(context.Background(), service, edge)
}

// StartIn is Start for an instance that also ends when life does.
func (r *Rig) StartIn(life context.Context, service chain.Service, edge Edge) (stop func()) {
	r.t.Helper()
	b := r.connect(string(service), edge.Bus)
	ctx, cancel := context.WithCancel(life)
	done := make(chan error, 1)
	run := r.service(service, b, edge)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				r.t.Errorf("%s ended with %v", service, err)
			}
		})
	}
	r.t.Cleanup(stop)
	return stop
}

// StartAll runs one instance of every service that a VM's chain needs.
func (r *Rig) StartAll() {
	for _, s := range []chain.Service{chain.IPAM, chain.Provisioner, chain.Lifecycle} {
		r.Start(s, Edge{})
	}
}

func (r *Rig) service(service chain.Service, b *bus.Bus, edge Edge) func(context.Context) error {
	switch service {
	case chain.IPAM:
		client := r.redis(edge)
		return func(ctx context.Context) error {
			return ipam.Run(ctx, ipam.Config{Bus: b, Redis: client, Pools: r.options.Pools, Logger: quiet})
		}
	case chain.Provisioner:
		client := r.redis(edge)
		return func(ctx context.Context) error {
			return provisioner.Run(ctx, provisioner.Config{
				Bus: b, Clusters: r.clusters(edge), Opener: r.Opener, Logger: quiet, Rest: time.Nanosecond,
				Rules: map[string]provisioner.Rules{Cluster: r.options.Rules}, Redis: client,
			})
		}
	case chain.Lifecycle:
		return func(ctx context.Context) error {
			return lifecycle.Run(ctx, lifecycle.Config{
				Bus: b, Clusters: r.clusters(edge), Logger: quiet, Settle: r.options.Settle, Lag: time.Nanosecond,
				Parking: map[string][]int{Cluster: r.options.Parking},
			})
		}
	case chain.DNS:
		var dial dns.Dial = new(net.Dialer).DialContext
		if edge.DNS != nil {
			dial = edge.DNS(dial)
		}
		return func(ctx context.Context) error {
			return dns.Run(ctx, dns.Config{Bus: b, Zones: r.options.Zones, Dial: dial, Logger: quiet})
		}
	default:
		r.t.Fatalf("no service %q", service)
		return nil
	}
}

// redis is a service's own connection to the index.
func (r *Rig) redis(edge Edge) *redis.Client {
	client := redis.NewClient(r.Redis.Options())
	if edge.Redis != nil {
		client.AddHook(edge.Redis)
	}
	r.t.Cleanup(func() { _ = client.Close() }) // the test is over
	return client
}

func (r *Rig) clusters(edge Edge) map[string]*pve.Client {
	var transport http.RoundTripper = r.Sim
	if edge.Proxmox != nil {
		transport = edge.Proxmox(transport)
	}
	c, err := pve.New(pve.Config{
		Name: Cluster, URL: "https://pve.invalid:8006", TokenID: TokenID, TokenSecret: TokenSecret,
		PollEvery: r.options.PollEvery, Transport: transport, MaxInFlight: 64,
	})
	must(r.t, err)
	r.t.Cleanup(c.Close)
	return map[string]*pve.Client{Cluster: c}
}

// Proxmox is a client of the test's own, for what a person would do on Proxmox.
func (r *Rig) Proxmox() *pve.Client {
	r.t.Helper()
	return r.clusters(Edge{})[Cluster]
}

// The token that the default simulator knows.
const (
	TokenID     = "vmline@pve!prov" //nolint:gosec // G101: the simulator's public example
	TokenSecret = "00000000-0000-4000-8000-000000000001"
)

// Order sends the command to create, as the gateway does, and returns its id.
func (r *Rig) Order(ref string, pkg *vmlinev1.Package) string {
	r.t.Helper()
	return r.Send(ref, vmlinev1.Operation_KIND_CREATE, pkg)
}

// Terminate sends the command to terminate and returns its id.
func (r *Rig) Terminate(ref string) string {
	r.t.Helper()
	return r.Send(ref, vmlinev1.Operation_KIND_TERMINATE, nil)
}

// Send sends a command that builds on the VM's present operation.
func (r *Rig) Send(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package) string {
	r.t.Helper()
	return r.SendWith(ref, kind, pkg, nil)
}

// SendWith is Send of a command with parameters.
func (r *Rig) SendWith(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package, params *vmlinev1.Params) string {
	r.t.Helper()
	last, err := r.Bus.Last(r.t.Context(), ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		r.t.Fatal(err)
	}
	cmd, err := Command(ref, kind, pkg, last.VM.GetOperation().GetId())
	must(r.t, err)
	cmd.Params = params
	must(r.t, r.Bus.SendCommand(r.t.Context(), cmd))
	return cmd.GetId()
}

// Command is a command as the gateway makes it, built on the operation after; "" for a new VM.
func Command(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package, after string) (*vmlinev1.Command, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(pkg)
	digest, place := sha256.Sum256(data), sha256.Sum256([]byte(after))
	return &vmlinev1.Command{
		Id:  fmt.Sprintf("%s.%s.%x.%x", ref, chain.KindName(kind), digest[:4], place[:8]),
		Ref: ref, Kind: kind, Package: pkg, PackageDigest: digest[:], After: after,
		CreatedAt: timestamppb.Now(), RequestedBy: "test",
	}, err
}
