// Package bindtest runs BIND for tests, as a plain process on a free port with all its files in a temporary
// directory. It is imported by tests only.
package bindtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The key that may update and transfer every zone, by hmac-sha256.
const (
	KeyName   = "vmline-test."
	KeySecret = "YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgMDEyMzQ1Ng==" //nolint:gosec // G101: for tests only
)

const options = `options {
	directory %q;
	listen-on port %s { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
key %q { algorithm hmac-sha256; secret %q; };
`

const zoneOptions = `zone %[1]q { type primary; file "%[1]s.zone"; allow-update { key %[2]q; }; allow-transfer { key %[2]q; }; };
`

const zoneFile = `$TTL 300
@ SOA localhost. hostmaster.localhost. 1 7200 900 1209600 60
@ NS localhost.
`

// patience is how long named may take to do what a test waits for. Only one that fails uses it up.
const patience = time.Minute

// Server is a BIND that ends with its test.
type Server struct {
	// Addr is its host:port, for UDP and TCP.
	Addr string

	t     testing.TB
	named string
	dir   string
	zones []string
	cmd   *exec.Cmd
	// done is closed once the process has ended.
	done chan struct{}
}

// Start runs BIND with these zones, which have nothing but their SOA and NS. Without BIND the test is
// skipped.
func Start(t testing.TB, zones ...string) *Server {
	t.Helper()
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip("BIND is not installed (Debian: apt-get install bind9)")
	}
	s := &Server{Addr: freePort(t, "127.0.0.1"), t: t, named: named, dir: t.TempDir(), zones: zones}
	_, port, _ := net.SplitHostPort(s.Addr)
	var conf strings.Builder
	fmt.Fprintf(&conf, options, s.dir, port, KeyName, KeySecret)
	for _, z := range zones {
		name := strings.TrimSuffix(z, ".")
		fmt.Fprintf(&conf, zoneOptions, name, KeyName)
		s.write(name+".zone", zoneFile)
	}
	s.write("named.conf", conf.String())
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start runs it again after Stop: on the same port, with what it held. It returns once all is served.
func (s *Server) Start() {
	s.t.Helper()
	// With -f it stays in the foreground, with -g it would also log to the terminal.
	s.cmd = exec.Command(s.named, "-f", "-n", "1", "-c", s.path("named.conf"), "-L", s.path("named.log")) //nolint:gosec,noctx // G204: the path is that of named; Stop ends it
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan<- struct{}) {
		defer close(done)
		_ = cmd.Wait() // why it ended stands in its log
	}(s.cmd, s.done)
	s.awaitZone(s.zones[len(s.zones)-1])
}

// Stop ends it. What it holds stays in its directory.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// awaitZone asks for a zone until it is served.
func (s *Server) awaitZone(zone string) {
	s.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		m := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
		if r, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second}).Exchange(m, s.Addr); err == nil && r.Authoritative {
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("named has stopped\n%s", s.log())
		case <-deadline:
			s.t.Fatalf("named does not serve %s\n%s", zone, s.log())
		case <-tick.C:
		}
	}
}

func (s *Server) log() string {
	text, _ := os.ReadFile(s.path("named.log")) // without it the failure is told all the same
	return string(text)
}

// FreePort is a host:port on which nothing listens, by TCP or UDP. Where this machine has such an address, the
// host is nobody else's: the port stays free until somebody listens there, whatever other tests do.
func FreePort(t testing.TB) string {
	t.Helper()
	return freePort(t, "127.0.0.2", "127.0.0.1")
}

// freePort takes the first of the hosts that this machine is. BIND is only where an interface has its address.
func freePort(t testing.TB, hosts ...string) string {
	t.Helper()
	var failed error
	for range 20 {
		for _, host := range hosts {
			tcp, err := net.Listen("tcp", host+":0")
			if err != nil {
				failed = err
				continue
			}
			addr := tcp.Addr().String()
			udp, err := net.ListenPacket("udp", addr)
			_ = tcp.Close()
			if err == nil {
				_ = udp.Close()
				return addr
			}
			failed = err
		}
	}
	t.Fatalf("no free port: %v", failed)
	return ""
}
