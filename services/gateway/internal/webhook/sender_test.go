package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/testbus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var (
	quiet  = slog.New(slog.DiscardHandler)
	master = bytes.Repeat([]byte("m"), 32)
)

// patience is how long a test waits for what has to come. Only one that fails uses it up.
const patience = time.Minute

// fixture is a registry on a real NATS server, and a receiver.
type fixture struct {
	testing.TB
	mu       sync.Mutex
	now      time.Time
	bus      *bus.Bus
	registry *Registry
	receiver *receiver
}

func start(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	f.bus = testbus.New(t, bus.Options{Now: f.clock})
	var err error
	if f.registry, err = NewRegistry(f.bus, master, Guard{AllowNetworks: loopback}); err != nil {
		t.Fatal(err)
	}
	f.receiver = &receiver{TB: t, status: http.StatusNoContent}
	f.receiver.server = httptest.NewTLSServer(f.receiver)
	t.Cleanup(f.receiver.server.Close)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// run runs a sender until the test ends, or the returned function is called.
func (f *fixture) run() (s *Sender, stop func()) {
	transport := f.receiver.server.Client().Transport.(*http.Transport)
	s = NewSender(f.registry, &feed{bus: f.bus}, transport, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Errorf("run: %v", err)
		}
	})
	f.Cleanup(stop)
	return s, stop
}

// advance moves the clock and lets the sender see it.
func (f *fixture) advance(s *Sender, d time.Duration) {
	f.mu.Lock()
	f.now = f.now.Add(d)
	f.mu.Unlock()
	s.wake("")
}

func (f *fixture) register() Endpoint {
	f.Helper()
	f.receiver.mu.Lock() // what is sent before the receiver knows the secret waits
	defer f.receiver.mu.Unlock()
	e, secret, err := f.registry.Create(f.Context(), f.receiver.server.URL, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.receiver.secrets = append(f.receiver.secrets, secret)
	return e
}

// endpoint is the one there is. A list that is read while the record is written anew may lack it.
func (f *fixture) endpoint() Endpoint {
	f.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		list, err := f.registry.List(f.Context())
		if err == nil && len(list) == 1 {
			return list[0]
		}
		if err != nil || len(list) > 1 || time.Now().After(deadline) {
			f.Fatalf("%+v, %v", list, err)
		}
	}
}

// until waits for an endpoint's record.
func (f *fixture) until(what string, is func(Endpoint) bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !is(f.endpoint()); {
		if time.Now().After(deadline) {
			f.Fatalf("%s: it is %+v", what, f.endpoint())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// write writes a VM's next state, its operation in this state.
func (f *fixture) write(event vmlinev1.Event, state vmlinev1.Operation_State) uint64 {
	f.Helper()
	vm, after := &vmlinev1.VM{Ref: ref}, uint64(0)
	if last, err := f.bus.Last(f.Context(), ref); err == nil {
		vm, after = last.VM, last.Seq
	}
	vm.Event, vm.Operation = event, &vmlinev1.Operation{Id: fmt.Sprintf("%s.%d", ref, after), State: state}
	seq, err := f.bus.Append(f.Context(), vm, after)
	if err != nil {
		f.Fatal(err)
	}
	return seq
}

func (f *fixture) succeed() uint64 {
	f.Helper()
	return f.write(vmlinev1.Event_EVENT_REACHED, vmlinev1.Operation_STATE_SUCCEEDED)
}

const ref = "w-1"

// feed is the log of the test's one VM, two changes a page.
type feed struct{ bus *bus.Bus }

func (f *feed) After(ctx context.Context, seq uint64) (events []api.Event, upTo uint64, err error) {
	entries, err := f.bus.History(ctx, ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil, 0, err
	}
	for _, e := range entries {
		if e.Seq > seq && len(events) < 2 {
			events, upTo = append(events, api.EventOf(e.VM, e.Seq)), e.Seq
		}
	}
	return events, max(upTo, seq), nil
}

func (f *feed) Changes(ctx context.Context, changed func()) error {
	return f.bus.Tail(ctx, "*", changed, func(bus.Entry) bool { changed(); return true })
}

// receiver is the other side. It checks every signature.
type receiver struct {
	testing.TB
	server *httptest.Server

	mu      sync.Mutex
	secrets []string
	status  int
	got     []string // type and sequence of every event that came
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	at, _ := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	genuine := slices.ContainsFunc(r.secrets, func(secret string) bool {
		want, err := Sign(req.Header.Get("webhook-id"), time.Unix(at, 0), body, secret)
		return err == nil && slices.Contains(strings.Fields(req.Header.Get("webhook-signature")), want)
	})
	e := decoded(r, body)
	if !genuine || req.Header.Get("webhook-id") != fmt.Sprintf("vm_%d", e.Data.Seq) || e.Data.Ref != ref {
		r.Errorf("a forged webhook: %v %s", req.Header, body)
	}
	r.got = append(r.got, fmt.Sprintf("%s %d", e.Type, e.Data.Seq))
	w.WriteHeader(r.status)
}

func (r *receiver) addSecret(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, s)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) came() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, ", ")
}

func TestOnlyWhatABillerWaitsForComesAndInOrder(t *testing.T) {
	f := start(t)
	f.write(vmlinev1.Event_EVENT_ADMITTED, vmlinev1.Operation_STATE_RUNNING)
	f.write(vmlinev1.Event_EVENT_REACHED, vmlinev1.Operation_STATE_RUNNING)
	f.write(vmlinev1.Event_EVENT_RETRYING, vmlinev1.Operation_STATE_RUNNING)
	f.write(vmlinev1.Event_EVENT_PARKED, vmlinev1.Operation_STATE_PARKED)
	f.register()
	f.run()
	f.until("4 is delivered", func(e Endpoint) bool { return e.Position == 4 })
	last := uint64(0)
	for range 5 {
		f.write(vmlinev1.Event_EVENT_RECORDED, vmlinev1.Operation_STATE_RUNNING)
		last = f.succeed()
	}
	f.until("the last is delivered", func(e Endpoint) bool { return e.Position == last })
	want := "operation.parked 4, operation.succeeded 6, operation.succeeded 8, operation.succeeded 10, operation.succeeded 12, operation.succeeded 14"
	if got := f.receiver.came(); got != want {
		t.Errorf("came: %s", got)
	}
}

func TestTwoGatewaysSendEachEventOnce(t *testing.T) {
	f := start(t)
	f.register()
	f.run()
	f.run()
	var want []string
	last := uint64(0)
	for range 20 {
		last = f.succeed()
		want = append(want, fmt.Sprintf("operation.succeeded %d", last))
	}
	f.until("the last is delivered", func(e Endpoint) bool { return e.Position == last })
	if got := f.receiver.came(); got != strings.Join(want, ", ") {
		t.Errorf("came: %s", got)
	}
}

func TestFailedAttemptsAreRepeatedAlsoAfterARestart(t *testing.T) {
	f := start(t)
	f.receiver.answer(http.StatusInternalServerError)
	f.register()
	s, stop := f.run()
	f.succeed()
	f.until("the first attempt failed", func(e Endpoint) bool { return e.Attempts == 1 && e.LastError != "" })
	f.advance(s, 4*time.Second) // too early
	f.advance(s, 2*time.Second)
	f.until("the second attempt failed", func(e Endpoint) bool { return e.Attempts == 2 })
	stop()
	second := f.succeed()
	f.receiver.answer(http.StatusOK)
	s, _ = f.run()
	f.advance(s, 6*time.Minute)
	f.until("both are delivered", func(e Endpoint) bool { return e.Position == second && e.Attempts == 0 && e.LastError == "" })
	if got, want := f.receiver.came(), "operation.succeeded 1, operation.succeeded 1, operation.succeeded 1, operation.succeeded 2"; got != want {
		t.Errorf("came: %s", got)
	}
}

func TestGoneDisablesUntilAPersonEnables(t *testing.T) {
	f := start(t)
	f.receiver.answer(http.StatusGone)
	e := f.register()
	s, _ := f.run()
	f.succeed()
	f.until("disabled", func(e Endpoint) bool { return e.Disabled != "" })
	f.receiver.answer(http.StatusOK)
	f.advance(s, 100*time.Hour)
	f.succeed()
	if _, err := f.registry.Enable(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	f.until("both are delivered", func(e Endpoint) bool { return e.Position == 2 && e.Disabled == "" })
	if got, want := f.receiver.came(), "operation.succeeded 1, operation.succeeded 1, operation.succeeded 2"; got != want {
		t.Errorf("came: %s", got)
	}
}

func TestRotationSignsWithBothSecrets(t *testing.T) {
	f := start(t)
	e := f.register()
	_, fresh, err := f.registry.Rotate(t.Context(), e.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := f.run()
	f.succeed() // the receiver knows the old secret alone
	f.until("signed with the old one", func(e Endpoint) bool { return e.Position == 1 })
	f.receiver.addSecret(fresh)
	f.receiver.mu.Lock()
	f.receiver.secrets = f.receiver.secrets[1:]
	f.receiver.mu.Unlock()
	f.advance(s, time.Hour)
	f.succeed()
	f.until("signed with the new one", func(e Endpoint) bool { return e.Position == 2 })
	r, _, err := f.registry.read(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err := f.registry.secrets(&r); err != nil || len(secrets) != 1 || bytes.Contains(r.Sealed, []byte(SecretPrefix)) {
		t.Errorf("after the overlap: %d secrets, %v", len(secrets), err)
	}
}

func TestRegistryRefuses(t *testing.T) {
	f := start(t)
	var bad *URLError
	if _, _, err := f.registry.Create(t.Context(), "https://169.254.169.254/", 0); !errors.As(err, &bad) || !errors.Is(err, ErrForbiddenAddress) {
		t.Errorf("a metadata address: %v", err)
	}
	for range maxEndpoints {
		f.register()
	}
	if _, _, err := f.registry.Create(t.Context(), f.receiver.server.URL, 0); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	for _, err := range []error{
		f.registry.Delete(t.Context(), "wh-none"),
		func() error { _, err := f.registry.Enable(t.Context(), "wh-none"); return err }(),
		func() error { _, _, err := f.registry.Rotate(t.Context(), "wh-none", 0); return err }(),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("an endpoint that is not there: %v", err)
		}
	}
	if _, err := NewRegistry(f.bus, []byte("short"), Guard{}); err == nil {
		t.Error("a short master secret was taken")
	}
}

func TestNothingIsSentToADeletedEndpoint(t *testing.T) {
	f := start(t)
	gone := f.register()
	s, _ := f.run()
	f.succeed()
	f.until("delivered", func(e Endpoint) bool { return e.Position == 1 })
	if err := f.registry.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		s.mu.Lock()
		n := len(s.senders)
		s.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the deleted endpoint is still served")
		}
		<-time.After(time.Millisecond)
	}
	s.endOthers(nil) // may be repeated
	f.register()     // begins at 0, too
	f.until("the new one has it", func(e Endpoint) bool { return e.Position == 1 })
	if got, want := f.receiver.came(), "operation.succeeded 1, operation.succeeded 1"; got != want {
		t.Errorf("came: %s", got)
	}
}
