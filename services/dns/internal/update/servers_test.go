package update

import (
	"context"
	"testing"

	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/nameserver/bindtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	keyName   = bindtest.KeyName
	keySecret = bindtest.KeySecret
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

// startBIND skips the test where BIND is not installed.
func startBIND(t testing.TB, zones []string) string { return bindtest.Start(t, zones...).Addr }
