// Package testbus has a Bus on a real NATS server for tests. It is imported by tests only.
package testbus

import (
	"log/slog"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
)

// New returns a Bus with its streams on a real NATS server of its own, which ends with the test. Without a
// Logger in its options it is silent.
func New(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	must(t, err)
	t.Cleanup(func() { embedded.Stop(server) })
	conn, err := bus.DialInProcess(server, "test", o.Logger)
	must(t, err)
	t.Cleanup(conn.Close)
	b, err := bus.New(conn, o)
	must(t, err)
	must(t, b.Apply(t.Context(), 1))
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
