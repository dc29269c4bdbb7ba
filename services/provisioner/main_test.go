package provisioner

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/testbus"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openBus returns a bus on a server of its own; intercept stands around its calls.
func openBus(t *testing.T, now func() time.Time, intercept bus.Interceptor) *bus.Bus {
	t.Helper()
	return testbus.New(t, bus.Options{Now: now, Intercept: intercept})
}

// instance is one more instance's VMIDs, which follow the bucket until the test ends.
func instance(t *testing.T, b *bus.Bus) *vmids {
	t.Helper()
	v, err := openVMIDs(t.Context(), b, time.Minute)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("following the bucket ended with %v", err)
		}
	})
	return v
}

func client(t *testing.T, sim *pvesim.Cluster) *pve.Client {
	t.Helper()
	c, err := pve.New(pve.Config{
		Name: "dc1", URL: "https://pve.invalid:8006", Transport: sim,
		TokenID: "vmline@pve!prov", TokenSecret: pvesim.Default().Tokens["vmline@pve!prov"],
	})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}
