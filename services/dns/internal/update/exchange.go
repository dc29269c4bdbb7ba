package update

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/services/dns/internal/zone"
)

const (
	// connections to one server at most; more would only queue there, as a server writes one update of a
	// zone at a time.
	connections = 8
	// tsigFudge is how many seconds the clocks may differ (RFC 8945, section 10).
	tsigFudge = 300
	// rest is how long a server that cannot be reached is not asked again: with thousands of VMs to look
	// after, each would wait for its own time-out.
	rest = 2 * time.Second
)

// server is one DNS server with its open TCP connections.
type server struct {
	addr    string
	timeout time.Duration
	now     func() time.Time
	dial    Dial
	slots   chan struct{}

	mu     sync.Mutex
	idle   []net.Conn
	closed bool
	// down is why the server could not be reached, and until when that is taken for granted.
	down      error
	downUntil time.Time
}

func newServer(addr string, o Options) *server {
	return &server{addr: addr, timeout: o.Timeout, now: o.Now, dial: o.Dial, slots: make(chan struct{}, connections)}
}

// exchange signs and sends a message and checks the answer. Its error is an *Error.
func (c *Client) exchange(ctx context.Context, z zone.Zone, doing string, m *dns.Msg) (*dns.Msg, error) {
	r, err := c.servers[z.Server].do(ctx, z.TSIG, m)
	kind := judge(m, r, err, z.TSIG.Name != "")
	if kind == "" {
		return r, nil
	}
	e := &Error{Kind: kind, Zone: z.Name, Server: z.Server, Doing: doing, Err: err}
	if r != nil {
		e.Rcode = r.Rcode
	}
	return nil, e
}

// judge gives an answer its kind, empty when it is good. err is what the library said: that nothing could
// be read, or that the signature is wrong. It verifies no answer that says NOTAUTH.
func judge(m, r *dns.Msg, err error, signed bool) Kind {
	if r == nil {
		return Unreachable
	}
	if r.Id != m.Id || !r.Response || r.Opcode != m.Opcode {
		return BadAnswer
	}
	sig := r.IsTsig()
	switch {
	case sig != nil && (sig.Error == dns.RcodeBadKey || sig.Error == dns.RcodeBadSig):
		return BadKey
	case sig != nil && sig.Error == dns.RcodeBadTime, errors.Is(err, dns.ErrTime):
		return BadClock
	case rcodes[r.Rcode] != "":
		return rcodes[r.Rcode]
	case err != nil || signed && sig == nil:
		return BadAnswer
	}
	switch r.Rcode {
	case dns.RcodeSuccess:
		return ""
	case dns.RcodeNameError:
		if m.Opcode == dns.OpcodeQuery {
			return ""
		}
		return prerequisite
	case dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset:
		return prerequisite
	}
	return Failing
}

// do sends a message when the server has a slot for it and was not found down just now.
func (s *server) do(ctx context.Context, key zone.TSIG, m *dns.Msg) (*dns.Msg, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := s.isDown(); err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := s.try(timed, key, m)
	if r == nil && ctx.Err() == nil {
		s.setDown(err)
	}
	return r, err
}

// try uses an idle connection or a new one. A connection that the server has closed meanwhile is
// replaced once: with the prerequisites every message may be repeated.
func (s *server) try(ctx context.Context, key zone.TSIG, m *dns.Msg) (*dns.Msg, error) {
	if conn := s.take(); conn != nil {
		r, err := s.roundTrip(ctx, conn, key, m)
		if r != nil || ctx.Err() != nil {
			return r, err
		}
	}
	conn, err := s.dial(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return s.roundTrip(ctx, conn, key, m)
}

func (s *server) isDown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Before(s.downUntil) {
		return s.down
	}
	return nil
}

func (s *server) setDown(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.downUntil = err, s.now().Add(rest)
}

// roundTrip keeps the connection for the next message when all went well, and closes it otherwise.
func (s *server) roundTrip(ctx context.Context, conn net.Conn, key zone.TSIG, m *dns.Msg) (r *dns.Msg, err error) {
	expire := func() { _ = conn.SetDeadline(time.Unix(1, 0)) }
	_ = conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, expire)
	defer func() {
		if stop() && r != nil && err == nil {
			s.give(conn)
		} else {
			_ = conn.Close()
		}
	}()
	if key.Name != "" {
		m.SetTsig(key.Name, key.Algorithm, tsigFudge, time.Now().Unix())
	}
	// A dns.Conn signs its second message with the MAC of the first, which servers refuse: it is made anew.
	co := &dns.Conn{Conn: conn, TsigSecret: map[string]string{key.Name: key.Secret}}
	if err = co.WriteMsg(m); err != nil {
		return nil, err
	}
	return co.ReadMsg()
}

func (s *server) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	conn := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	return conn
}

func (s *server) give(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return
	}
	s.idle = append(s.idle, conn)
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range s.idle {
		_ = conn.Close()
	}
	s.idle = nil
}
