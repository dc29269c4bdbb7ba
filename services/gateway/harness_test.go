package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/secrets"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// fixture is a gateway on a real NATS server.
type fixture struct {
	testing.TB
	bus    *bus.Bus
	conn   *nats.Conn
	opener secrets.Opener
	client *api.Client
	log    *lockedBuffer
	config Config
	redis  *miniredis.Miniredis
	stop   func()
	// stopNATS ends the server before the test does.
	stopNATS func()
}

func start(t testing.TB) *fixture {
	t.Helper()
	log := &lockedBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	stopNATS := sync.OnceFunc(func() { embedded.Stop(server) })
	t.Cleanup(stopNATS)
	conn, err := bus.DialInProcess(server, "gateway", logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b, err := bus.New(conn, bus.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	key, err := secrets.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	memory := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: memory.Addr()})
	t.Cleanup(func() { _ = client.Close() }) // the test is over
	f := &fixture{TB: t, redis: memory, bus: b, conn: conn, opener: key, log: log, stopNATS: stopNATS}
	f.config = Config{
		Bus: b, Redis: client, Token: secrets.NewToken(), Limit: Limit{Requests: 1_000_000, Window: time.Minute}, Sealer: key.Sealer(), DigestKey: bytes.Repeat([]byte("k"), minDigestKey), Logger: logger,
	}
	f.serve(f.config)
	f.ready()
	return f
}

// ready waits until the gateway has read what it needs.
func (f *fixture) ready() {
	f.Helper()
	if resp, body := f.call("GET", "/readyz", ""); resp.StatusCode != http.StatusOK {
		f.Fatalf("not ready: %d %s; the log has:\n%s", resp.StatusCode, body, f.log)
	}
}

// restart ends the gateway and starts another one, which knows nothing.
func (f *fixture) restart() {
	f.Helper()
	f.stop()
	f.serve(f.config)
	f.ready()
}

func (f *fixture) serve(c Config) {
	f.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	c.Listener = listener
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, c) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	f.client = &api.Client{BaseURL: "http://" + listener.Addr().String(), Token: c.Token, HTTP: &http.Client{Transport: transport}}
	f.stop = sync.OnceFunc(func() {
		cancel()
		transport.CloseIdleConnections()
		if err := <-ended; err != nil {
			f.Errorf("the gateway ended with: %v", err)
		}
	})
	f.Cleanup(f.stop)
}

// lifecycle admits commands and records refusals as the real one does, on the real bus, until the
// test ends.
func (f *fixture) lifecycle() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.bus.Commands(ctx, f.admit) }()
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("commands: %v", err)
		}
	})
}

// refusedCluster is a cluster that the test's lifecycle does not know.
const refusedCluster = "unknown"

func (f *fixture) admit(ctx context.Context, cmd *vmlinev1.Command) error {
	if cmd.GetPackage().GetCluster() == refusedCluster {
		bucket, err := f.bus.Bucket(ctx, bus.BucketREFUSAL)
		if err != nil {
			return err
		}
		return bucket.Create(ctx, cmd.GetId(), &vmlinev1.Refusal{
			OperationId: cmd.GetId(), Ref: cmd.GetRef(), Kind: cmd.GetKind(), CreatedAt: timestamppb.Now(),
			Problem: &vmlinev1.Problem{Cause: "There is no such cluster.", Next: "Name another."},
		})
	}
	last, err := f.bus.Last(ctx, cmd.GetRef())
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	if last.VM.GetOperation().GetId() == cmd.GetId() || chain.Admit(last.VM, cmd).Verdict != chain.Admitted {
		return nil
	}
	_, err = f.bus.Append(ctx, chain.Begin(last.VM, cmd, f.bus.Now(), f.bus.NewID), last.Seq)
	return err
}

// change writes the VM's next state.
func (f *fixture) change(ref string, change func(*vmlinev1.VM)) {
	f.Helper()
	last, err := f.bus.Last(f.Context(), ref)
	if err != nil {
		f.Fatal(err)
	}
	change(last.VM)
	if _, err := f.bus.Append(f.Context(), last.VM, last.Seq); err != nil {
		f.Fatal(err)
	}
}

// finish takes the VM's operation to the end of its route.
func finish(vm *vmlinev1.VM) {
	op := vm.Operation
	for _, status := range op.Route[len(op.Reached):] {
		op.Reached = append(op.Reached, &vmlinev1.Reached{Status: status, At: timestamppb.Now()})
		vm.Status = status
	}
	vm.Event, op.State, op.FinishedAt = vmlinev1.Event_EVENT_REACHED, vmlinev1.Operation_STATE_SUCCEEDED, timestamppb.Now()
}

func park(vm *vmlinev1.VM) {
	vm.Event, vm.Operation.State = vmlinev1.Event_EVENT_PARKED, vmlinev1.Operation_STATE_PARKED
	vm.Problem = &vmlinev1.Problem{Step: vmlinev1.Status_STATUS_SET_IP, Cause: "The pool is empty.", Kept: "Nothing was made.", Next: "Add a pool."}
}

// put orders a VM and fails the test if that fails.
func (f *fixture) put(ref string, p api.Package) api.Operation {
	f.Helper()
	op, err := f.client.PutService(f.Context(), ref, p)
	if err != nil {
		f.Fatalf("%v; the log has:\n%s", err, f.log)
	}
	return op
}

// admitted waits until the operation is no longer merely accepted.
func (f *fixture) admitted(id string) {
	f.Helper()
	ref := id[:strings.LastIndex(id, ".")]
	f.until("operation "+id+" is admitted", func() bool {
		last, err := f.bus.Last(f.Context(), ref)
		return err == nil && last.VM.GetOperation().GetId() == id
	})
}

// call makes a request as it stands and returns its answer with the body read.
func (f *fixture) call(method, path, body string, header ...string) (*http.Response, string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.client.BaseURL+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.client.Token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.HTTP.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp, string(data)
}

// wantProblem holds an answer against a status and a type.
func (f *fixture) wantProblem(resp *http.Response, body string, status int, typ string) api.Problem {
	f.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		f.Fatalf("%d with no problem: %q", resp.StatusCode, body)
	}
	if resp.StatusCode != status || p.Status != status || p.Type != typ || resp.Header.Get("Content-Type") != "application/problem+json" {
		f.Errorf("got %d %s %s, want %d %s", resp.StatusCode, resp.Header.Get("Content-Type"), body, status, typ)
	}
	return p
}

// small is the smallest package.
func small() api.Package {
	return api.Package{
		Cluster: "dc1", Template: "debian-13", Cores: 2, MemoryMiB: 2048,
		Network: api.Network{Bridge: "vmbr0", IPv4Count: 1},
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestConfigIsChecked(t *testing.T) {
	key, err := secrets.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	whole := Config{Bus: &bus.Bus{}, Listen: "127.0.0.1:0", Token: "t", Sealer: key.Sealer(), DigestKey: make([]byte, minDigestKey)}
	if err := whole.check(); err != nil {
		t.Errorf("a whole configuration: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"bus": func(c *Config) { c.Bus = nil }, "address": func(c *Config) { c.Listen = "" }, "token": func(c *Config) { c.Token = "" },
		"sealing key": func(c *Config) { c.Sealer = secrets.Sealer{} }, "digest key": func(c *Config) { c.DigestKey = []byte("short") },
	} {
		c := whole
		change(&c)
		if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}

// isProblem says whether a call was answered with such a problem.
func isProblem(err error, status int, typ string) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == status && p.Type == typ
}

// newReceiver takes webhooks and returns its URL.
func newReceiver(t testing.TB, got chan<- string) string {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("a webhook without a signature, or cut off: %v", err)
		}
		got <- string(body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
