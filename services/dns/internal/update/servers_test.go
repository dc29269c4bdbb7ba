package update

import (
	"context"
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
	"go.uber.org/goleak"

	"github.com/vmline/vmline/pkg/nameserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyName   = "vmline-test."
	keySecret = "YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHkgMDEyMzQ1Ng=="
)

// servers are the DNS servers that the conformance suite runs against.
var servers = map[string]func(t testing.TB, zones []string) string{
	"nameserver": startNameserver,
	"bind":       startBIND,
}

func startNameserver(t testing.TB, zones []string) string {
	return startNameserverAt(t, "127.0.0.1:0", zones).Addrs()[0]
}

func startNameserverAt(t testing.TB, addr string, zones []string) *nameserver.Server {
	t.Helper()
	s, err := nameserver.Start(nameserver.Config{Addrs: []string{addr}, Zones: zones, Keys: []nameserver.Key{{Name: keyName, Secret: keySecret}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

const bindOptions = `options {
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

const bindZoneFile = `$TTL 300
@ SOA localhost. hostmaster.localhost. 1 7200 900 1209600 60
@ NS localhost.
`

// startBIND runs named as a plain process on a free port with all its files in a temporary directory.
func startBIND(t testing.TB, zones []string) string {
	t.Helper()
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip("BIND is not installed (Debian: apt-get install bind9)")
	}
	dir, addr := t.TempDir(), freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	var conf strings.Builder
	fmt.Fprintf(&conf, bindOptions, dir, port, keyName, keySecret)
	for _, z := range zones {
		name := strings.TrimSuffix(z, ".")
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; allow-update { key %q; }; };\n", name, name+".zone", keyName)
		write(t, filepath.Join(dir, name+".zone"), bindZoneFile)
	}
	write(t, filepath.Join(dir, "named.conf"), conf.String())
	// With -f it stays in the foreground, with -g it would also log to the terminal.
	cmd := exec.Command(named, "-f", "-n", "1", "-c", filepath.Join(dir, "named.conf"), "-L", filepath.Join(dir, "named.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // why it ended stands in its log
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	waitFor(t, addr, zones[len(zones)-1], done, filepath.Join(dir, "named.log"))
	return addr
}

// waitFor asks for the last zone until it is served.
func waitFor(t testing.TB, addr, zone string, done <-chan struct{}, log string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		m := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
		if r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(m, addr); err == nil && r.Authoritative {
			return
		}
		select {
		case <-done:
			text, _ := os.ReadFile(log)
			t.Fatalf("named has stopped\n%s", text)
		case <-deadline:
			text, _ := os.ReadFile(log)
			t.Fatalf("named does not serve %s\n%s", zone, text)
		case <-tick.C:
		}
	}
}

// freePort finds a port that is free for TCP and UDP.
func freePort(t testing.TB) string {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := tcp.Addr().String()
		udp, err := net.ListenPacket("udp", addr)
		_ = tcp.Close()
		if err == nil {
			_ = udp.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
