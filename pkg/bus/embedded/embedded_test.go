package embedded

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestStartInProcessOnly(t *testing.T) {
	s, err := Start(Options{Dir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer Stop(s)
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if s.Addr() != nil {
		t.Errorf("it listens on %s", s.Addr())
	}
	if !s.JetStreamEnabled() || !s.JetStreamConfig().SyncAlways {
		t.Errorf("JetStream is %+v", s.JetStreamConfig())
	}
}

func TestStartListensOnThisMachineOnly(t *testing.T) {
	s, err := Start(Options{Dir: t.TempDir(), Port: -1, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer Stop(s)
	if ip := s.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		t.Errorf("it listens on %s", ip)
	}
	if s.JetStreamConfig().SyncAlways {
		t.Error("fast syncs every write")
	}
	if got := s.JetStreamConfig().MaxStore; got != maxStore {
		t.Errorf("the streams may have %d bytes, which depends on the disk", got)
	}
}

func TestStartSaysWhyADirectoryIsOfNoUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(Options{Dir: file}); err == nil {
		Stop(s)
		t.Error("a file was taken as a directory")
	}
}
