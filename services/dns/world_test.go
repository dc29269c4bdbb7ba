package dns

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/nameserver/bindtest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long a test waits for what has to come. Only one that fails uses it up.
const patience = time.Minute

const (
	keyName   = "vmline-test."
	keySecret = "YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgMDEyMzQ1Ng=="

	reverse1 = "1.2.0.192.in-addr.arpa."
	reverse2 = "2.2.0.192.in-addr.arpa."
)

// world is a bus, a DNS server that can be switched off, and a clock.
type world struct {
	*testing.T
	bus     *bus.Bus
	addr    string
	records *nameserver.Server // keeps the records while the front is down
	front   *miekg.Server
	log     *lines
	offset  atomic.Int64 // what the clock is ahead, in ns

	updates, queries atomic.Int32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, log: &lines{}}
	srv, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedded.Stop(srv) })
	quiet := slog.New(slog.DiscardHandler)
	nc, err := bus.DialInProcess(srv, "test", quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	now := func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }
	if w.bus, err = bus.New(nc, bus.Options{Logger: quiet, Now: now}); err != nil {
		t.Fatal(err)
	}
	if err := w.bus.Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.records, err = nameserver.Start(nameserver.Config{
		Zones: []string{"example.com", "2.0.192.in-addr.arpa"}, Keys: []nameserver.Key{{Name: keyName, Secret: keySecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.addr = bindtest.FreePort(t)
	w.up()
	t.Cleanup(w.down)
	return w
}

// up lets the DNS server be reached, on the same port each time.
func (w *world) up() {
	w.Helper()
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	w.addr = l.Addr().String()
	started := make(chan struct{})
	w.front = &miekg.Server{
		Listener: l, TsigSecret: map[string]string{keyName: keySecret}, MaxTCPQueries: -1,
		NotifyStartedFunc: func() { close(started) },
		MsgAcceptFunc:     func(miekg.Header) miekg.MsgAcceptAction { return miekg.MsgAccept },
		Handler: miekg.HandlerFunc(func(rw miekg.ResponseWriter, r *miekg.Msg) {
			if r.Opcode == miekg.OpcodeUpdate {
				w.updates.Add(1)
			} else if r.IsTsig() != nil {
				w.queries.Add(1)
			}
			w.records.ServeDNS(rw, r)
		}),
	}
	front := w.front
	go func() { _ = front.ActivateAndServe() }()
	<-started
}

func (w *world) down() {
	if w.front != nil {
		_ = w.front.Shutdown()
		w.front = nil
	}
}

func (w *world) config() Config {
	z := func(name string) Zone {
		return Zone{Name: name, Server: w.addr, TSIG: TSIG{Name: keyName, Secret: keySecret}, TTL: 60}
	}
	return Config{Bus: w.bus, Zones: []Zone{z("example.com"), z("2.0.192.in-addr.arpa")}, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
}

// service is one that does only what the test asks for.
func (w *world) service() *service {
	w.Helper()
	s, err := newService(w.config())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(s.client.Close)
	return s
}

// run runs a whole service until the returned function is called.
func (w *world) run() (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	cfg := w.config() // here: up sets what it reads
	go func() { done <- Run(ctx, cfg) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("run: %v", err)
		}
	})
}

// vm is a machine that is being made, vm<host> with the address 192.0.2.<host>.
func (w *world) vm(host int) *vmlinev1.VM {
	return &vmlinev1.VM{
		Ref: fmt.Sprintf("shop-%d", host), Uid: fmt.Sprintf("uid-%d", host), Status: vmlinev1.Status_STATUS_SET_IP,
		Operation: &vmlinev1.Operation{Id: "o", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING},
		Package:   &vmlinev1.Package{Name: fmt.Sprintf("vm%d", host), Dns: &vmlinev1.Dns{Domain: "example.com", Ptr: true}},
		Addresses: []*vmlinev1.Address{{Address: fmt.Sprintf("192.0.2.%d", host)}},
	}
}

func ready(vm *vmlinev1.VM) *vmlinev1.VM {
	vm.Status, vm.Operation.State = vmlinev1.Status_STATUS_READY, vmlinev1.Operation_STATE_SUCCEEDED
	return vm
}

func terminated(vm *vmlinev1.VM) *vmlinev1.VM {
	vm.Status = vmlinev1.Status_STATUS_TERMINATED
	vm.Operation = &vmlinev1.Operation{Id: "t", Kind: vmlinev1.Operation_KIND_TERMINATE, State: vmlinev1.Operation_STATE_SUCCEEDED}
	return vm
}

// append writes the next state of a VM.
func (w *world) append(vm *vmlinev1.VM) bus.Entry {
	w.Helper()
	after := uint64(0)
	if last, err := w.bus.Last(w.Context(), vm.GetRef()); err == nil {
		after = last.Seq
	}
	if _, err := w.bus.Append(w.Context(), vm, after); err != nil {
		w.Fatal(err)
	}
	last, err := w.bus.Last(w.Context(), vm.GetRef())
	if err != nil {
		w.Fatal(err)
	}
	return last
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// dig reads what stands, also while nobody else can reach the server.
func (w *world) dig(name, rrtype string) string {
	answer := &recorder{}
	w.records.ServeDNS(answer, new(miekg.Msg).SetQuestion(name, miekg.StringToType[rrtype]))
	var all []string
	for _, rr := range answer.msg.Answer {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (w *world) stands(name, rrtype, want string) {
	w.Helper()
	if got := w.dig(name, rrtype); got != want {
		w.Errorf("%s %s: %q, want %q", name, rrtype, got, want)
	}
}

// complete checks the records of vm<host>, absent that there are none.
func (w *world) complete(host int) {
	w.Helper()
	w.stands(fmt.Sprintf("vm%d.example.com.", host), "A", fmt.Sprintf("192.0.2.%d", host))
	w.stands(fmt.Sprintf("%d.2.0.192.in-addr.arpa.", host), "PTR", fmt.Sprintf("vm%d.example.com.", host))
}

func (w *world) absent(host int) {
	w.Helper()
	for _, name := range []string{fmt.Sprintf("vm%d.example.com.", host), fmt.Sprintf("%d.2.0.192.in-addr.arpa.", host)} {
		w.stands(name, "ANY", "")
		w.stands("_vmline."+name, "ANY", "")
	}
}

// eventually waits for a record.
func (w *world) eventually(name, rrtype, want string) {
	w.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for w.dig(name, rrtype) != want {
		select {
		case <-deadline:
			w.Fatalf("%s %s: %q, want %q\n%s", name, rrtype, w.dig(name, rrtype), want, w.log)
		case <-tick.C:
		}
	}
}

// foreign is somebody else's change at a name: it removes all and adds the records.
func (w *world) foreign(zoneName, name string, records ...string) {
	w.Helper()
	m := new(miekg.Msg).SetUpdate(zoneName)
	m.RemoveName([]miekg.RR{&miekg.ANY{Hdr: miekg.RR_Header{Name: name}}})
	for _, text := range records {
		rr, err := miekg.NewRR(name + " 60 " + text)
		w.must(err)
		m.Insert([]miekg.RR{rr})
	}
	m.SetTsig(keyName, miekg.HmacSHA256, 300, time.Now().Unix())
	c := miekg.Client{Net: "tcp", Timeout: patience, TsigSecret: map[string]string{keyName: keySecret}}
	r, _, err := c.Exchange(m, w.addr)
	w.must(err)
	if r.Rcode != miekg.RcodeSuccess {
		w.Fatal(miekg.RcodeToString[r.Rcode])
	}
	w.updates.Store(0)
}

// sent checks how many messages the services sent since the last check.
func (w *world) sent(doing string, updates, queries int32) {
	w.Helper()
	if u, q := w.updates.Swap(0), w.queries.Swap(0); u != updates || q != queries {
		w.Errorf("%s: %d updates and %d queries, want %d and %d", doing, u, q, updates, queries)
	}
}

// recorder keeps an answer.
type recorder struct {
	miekg.ResponseWriter
	msg *miekg.Msg
}

func (r *recorder) RemoteAddr() net.Addr        { return &net.TCPAddr{} }
func (r *recorder) WriteMsg(m *miekg.Msg) error { r.msg = m; return nil }
func (r *recorder) TsigStatus() error           { return nil }

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// has counts the log lines that hold a text.
func (l *lines) has(text string) int {
	n := 0
	for _, line := range strings.Split(l.String(), "\n") {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
