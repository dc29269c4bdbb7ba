package update

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/nameserver/bindtest"
	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"
)

// fake runs a DNS server that answers as told.
func fake(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{
		Listener: l, Handler: handler, NotifyStartedFunc: func() { close(started) },
		TsigSecret:    map[string]string{keyName: keySecret},
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.ActivateAndServe() })
	<-started
	t.Cleanup(func() {
		_ = srv.Shutdown()
		serving.Wait()
	})
	return l.Addr().String()
}

// reply answers with an RCODE, signed or not.
func reply(w dns.ResponseWriter, r *dns.Msg, rcode int, signed bool, change func(*dns.Msg)) {
	m := new(dns.Msg).SetRcode(r, rcode)
	if change != nil {
		change(m)
	}
	if signed {
		m.SetTsig(keyName, dns.HmacSHA256, 300, time.Now().Unix())
	}
	_ = w.WriteMsg(m)
}

func TestAnswersThatAreNotAccepted(t *testing.T) {
	tests := []struct {
		name   string
		rcode  int
		signed bool
		change func(*dns.Msg)
		want   Kind
		person bool
	}{
		{"SERVFAIL", dns.RcodeServerFailure, true, nil, Failing, false},
		{"SERVFAIL, not signed", dns.RcodeServerFailure, false, nil, Failing, false},
		{"REFUSED", dns.RcodeRefused, true, nil, Refused, true},
		{"NOTAUTH", dns.RcodeNotAuth, true, nil, NotAuthoritative, true},
		{"NOTZONE", dns.RcodeNotZone, true, nil, NotAuthoritative, true},
		{"NOTIMP", dns.RcodeNotImplemented, false, nil, Unsupported, true},
		{"FORMERR", dns.RcodeFormatError, false, nil, Unsupported, true},
		{"success, not signed", dns.RcodeSuccess, false, nil, BadAnswer, true},
		{"name in use, not signed", dns.RcodeYXDomain, false, nil, BadAnswer, true},
		{"another message's answer", dns.RcodeSuccess, true, func(m *dns.Msg) { m.Id++ }, BadAnswer, true},
		{"a query back", dns.RcodeSuccess, true, func(m *dns.Msg) { m.Response = false }, BadAnswer, true},
		{"another opcode", dns.RcodeSuccess, true, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, BadAnswer, true},
		{"an RCODE of the future", 11, true, nil, Failing, false},
	}
	for _, tt := range tests {
		addr := fake(t, func(w dns.ResponseWriter, r *dns.Msg) { reply(w, r, tt.rcode, tt.signed, tt.change) })
		s := newSuite(t, addr, 0)
		s.client = s.newClient(keySecret, s.zoneNames()...)
		err := s.blind(s.vm(1))
		s.kind(err, tt.want)
		var e *Error
		if !errors.As(err, &e) || e.NeedsPerson() != tt.person || !strings.Contains(err.Error(), "shop-1") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestClockSkew(t *testing.T) {
	addr := fake(t, func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetRcode(r, dns.RcodeSuccess)
		m.SetTsig(keyName, dns.HmacSHA256, 300, time.Now().Add(-time.Hour).Unix())
		_ = w.WriteMsg(m)
	})
	s := newSuite(t, addr, 0)
	s.client = s.newClient(keySecret, s.zoneNames()...)
	s.kind(s.blind(s.vm(1)), BadClock)
}

func TestLookupNeedsAnAuthority(t *testing.T) {
	addr := fake(t, func(w dns.ResponseWriter, r *dns.Msg) { reply(w, r, dns.RcodeSuccess, true, nil) })
	s := newSuite(t, addr, 0)
	s.client = s.newClient(keySecret, s.zoneNames()...)
	_, err := s.look(s.vm(1))
	s.kind(err, NotAuthoritative)
}

func TestServerDown(t *testing.T) {
	now := time.Unix(1, 0)
	s := newSuite(t, bindtest.FreePort(t), 0)
	s.client = New(s.zones(keySecret, s.zoneNames()...), Options{Now: func() time.Time { return now }})
	err := s.blind(s.vm(1))
	s.kind(err, Unreachable)
	if !Passes(err) {
		t.Errorf("%v needs a person", err)
	}
	startNameserverAt(t, s.addr, s.zoneNames())
	_, err = s.look(s.vm(1))
	s.kind(err, Unreachable) // it is left alone for a while
	now = now.Add(rest)
	s.must(s.blind(s.vm(1)))
	s.complete(1)
}

// TestUnsignedZone: the answers need no signature where there is no key.
func TestUnsignedZone(t *testing.T) {
	addr := fake(t, func(w dns.ResponseWriter, r *dns.Msg) {
		if r.IsTsig() != nil {
			t.Error("signed")
		}
		reply(w, r, dns.RcodeSuccess, false, nil)
	})
	set, err := zone.NewSet([]zone.Zone{{Name: "c1.test", Server: addr}})
	if err != nil {
		t.Fatal(err)
	}
	s := newSuite(t, addr, 0)
	s.client = New(set, Options{})
	t.Cleanup(s.client.Close)
	s.must(s.blind(s.vm(1)))
}

func TestPasses(t *testing.T) {
	refused, failing, conflict := &Error{Kind: Refused}, &Error{Kind: Failing}, &ConflictError{Name: "a."}
	for _, tt := range []struct {
		err    error
		passes bool
		n      int
	}{
		{nil, false, 0},
		{refused, false, 0},
		{failing, true, 0},
		{conflict, false, 1},
		{errors.Join(refused, errors.Join(conflict, conflict)), false, 2},
		{errors.Join(errors.Join(conflict), errors.Join(errors.Join(failing))), true, 1},
		{errors.New("other"), true, 0},
	} {
		if Passes(tt.err) != tt.passes || len(Conflicts(tt.err)) != tt.n {
			t.Errorf("%v: %v, %d conflicts", tt.err, Passes(tt.err), len(Conflicts(tt.err)))
		}
	}
}

func TestServerRestartsBetweenMessages(t *testing.T) {
	s := newSuite(t, bindtest.FreePort(t), 0)
	first := startNameserverAt(t, s.addr, s.zoneNames())
	s.client = s.newClient(keySecret, s.zoneNames()...)
	s.must(s.blind(s.vm(1)))
	s.must(first.Close(t.Context()))
	startNameserverAt(t, s.addr, s.zoneNames())
	s.must(s.blind(s.vm(1))) // its idle connections are dead
	s.complete(1)
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	release := make(chan struct{})
	addr := fake(t, func(dns.ResponseWriter, *dns.Msg) { <-release })
	t.Cleanup(func() { close(release) })
	s := newSuite(t, addr, 0)
	s.client = New(s.zones(keySecret, s.zoneNames()...), Options{Timeout: 20 * time.Millisecond})
	s.kind(s.blind(s.vm(1)), Unreachable)

	s.client = New(s.zones(keySecret, s.zoneNames()...), Options{Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- s.client.Apply(ctx, markOf(s.vm(1)), plan.Calculate(record.Compute(s.vm(1), s.client.zones), nil))
	}()
	cancel()
	s.kind(<-done, Unreachable)
}

// TestMessages counts what is sent: creating, changing and deleting a VM takes one update a zone.
func TestMessages(t *testing.T) {
	s := newSuite(t, "", 0)
	behind := startNameserverAt(t, "127.0.0.1:0", s.zoneNames())
	var updates, queries atomic.Int32
	s.addr = fake(t, func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Opcode == dns.OpcodeUpdate {
			updates.Add(1)
		} else {
			queries.Add(1)
		}
		behind.ServeDNS(w, r)
	})
	s.client = s.newClient(keySecret, s.zoneNames()...)
	changed := s.vm(1)
	changed.Package.Dns.Ttl = 90
	sent := func(wantUpdates, wantQueries int32, doing string, err error) {
		t.Helper()
		if u, q := updates.Swap(0), queries.Swap(0); u != wantUpdates || q != wantQueries || err != nil {
			t.Errorf("%s: %d updates and %d queries, want %d and %d (%v)", doing, u, q, wantUpdates, wantQueries, err)
		}
	}
	before := record.Compute(s.vm(1), s.client.zones)
	sent(3, 0, "create", s.blind(s.vm(1)))
	after := record.Compute(changed, s.client.zones)
	sent(3, 0, "change", s.client.Apply(t.Context(), before.Mark, plan.Calculate(after, plan.Standing(before.Wanted))))
	_, err := s.look(changed)
	sent(0, 3+2+2, "compare", err) // forward: mark, A, AAAA; each reverse name: mark, PTR
	leaving := record.Compute(gone(changed), s.client.zones)
	sent(3, 0, "delete", s.client.Apply(t.Context(), before.Mark, plan.Calculate(leaving, plan.Standing(after.Wanted))))
	_, err = s.look(gone(changed))
	sent(0, 3, "compare the deleted", err)
}
