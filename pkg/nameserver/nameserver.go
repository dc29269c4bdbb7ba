// Package nameserver is a small authoritative DNS server whose records live in memory. It serves
// `vmline demo` and evaluations that have no DNS server of their own.
//
// It answers queries over UDP and TCP, takes dynamic updates (RFC 2136) and zone transfers (RFC 5936)
// signed with TSIG (RFC 8945), and keeps the SOA serial. It knows no wildcards, no delegations and no
// DNSSEC: whoever needs those runs BIND, Knot or PowerDNS.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

// portAttempts is how often a port that is free for TCP but taken for UDP is given back for another.
const portAttempts = 16

// Config says what to serve and where.
type Config struct {
	// Addrs are the host:port pairs to listen on, UDP and TCP each. Port 0 takes a free port.
	Addrs []string
	// Zones are the names of the zones to serve.
	Zones []string
	// Keys may update and transfer every zone. Without keys nobody may.
	Keys []Key
}

// Server is a running name server.
type Server struct {
	zones     map[string]*zone
	keys      keyring
	addrs     []string
	listeners []*dns.Server
	running   errgroup.Group
}

// Start checks the configuration, listens and answers until Close. Nothing runs when it returns an error.
func Start(cfg Config) (*Server, error) {
	s := &Server{zones: map[string]*zone{}}
	var err error
	if s.keys, err = newKeyring(cfg.Keys); err != nil {
		return nil, err
	}
	for _, name := range cfg.Zones {
		if _, ok := dns.IsDomainName(name); !ok || name == "" {
			return nil, fmt.Errorf("name server: %q is not a zone name", name)
		}
		origin := dns.CanonicalName(name)
		if s.zones[origin] != nil {
			return nil, fmt.Errorf("name server: zone %s is configured twice", origin)
		}
		s.zones[origin] = newZone(origin)
	}
	for _, addr := range cfg.Addrs {
		if err := s.listen(addr); err != nil {
			return nil, errors.Join(err, s.Close(context.Background()))
		}
	}
	return s, nil
}

// Addrs are the addresses listened on, in the order of the configuration, with the ports taken.
func (s *Server) Addrs() []string { return s.addrs }

// Close stops listening, lets the answers that are under way finish, and returns when nothing runs any
// more or when ctx ends.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.ShutdownContext(ctx))
	}
	errs = append(errs, s.running.Wait())
	return errors.Join(errs...)
}

func (s *Server) listen(addr string) error {
	tcp, udp, err := listenBoth(addr)
	if err != nil {
		return fmt.Errorf("name server: listen on %s: %w", addr, err)
	}
	s.addrs = append(s.addrs, tcp.Addr().String())
	s.serve(&dns.Server{Listener: tcp})
	s.serve(&dns.Server{PacketConn: udp})
	return nil
}

// serve returns once the listener answers, so that Close always finds it started. An error of a running
// listener is what Close returns.
func (s *Server) serve(l *dns.Server) {
	started := make(chan struct{})
	l.NotifyStartedFunc = sync.OnceFunc(func() { close(started) })
	l.Handler = s
	l.TsigProvider = s.keys
	l.MsgAcceptFunc = accept
	l.UDPSize = dns.DefaultMsgSize
	l.MaxTCPQueries = -1
	l.IdleTimeout = func() time.Duration { return 30 * time.Second }
	s.listeners = append(s.listeners, l)
	s.running.Go(func() error {
		defer l.NotifyStartedFunc()
		return l.ActivateAndServe()
	})
	<-started
}

// listenBoth listens on the same address and port with TCP and UDP.
func listenBoth(addr string) (net.Listener, net.PacketConn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	for attempt := 1; ; attempt++ {
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		taken := strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)
		udp, err := net.ListenPacket("udp", net.JoinHostPort(host, taken))
		if err == nil {
			return tcp, udp, nil
		}
		_ = tcp.Close()
		if port != "0" || attempt == portAttempts {
			return nil, nil, err
		}
	}
}

// accept lets updates pass, which the library refuses by default.
func accept(h dns.Header) dns.MsgAcceptAction {
	const response = 1 << 15
	if h.Bits&response == 0 && int(h.Bits>>11)&0xF == dns.OpcodeUpdate {
		return dns.MsgAccept
	}
	return dns.DefaultMsgAcceptFunc(h)
}
