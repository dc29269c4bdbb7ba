package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/telemetry"
)

func (a *App) openBus(name string) error {
	nc, err := a.connect(name)
	if err != nil {
		return err
	}
	a.onClose(func() error { nc.Close(); return nil })
	r := a.cfg.Retry
	a.Bus, err = bus.New(nc, bus.Options{
		Logger: a.log, Retry: bus.RetryPolicy{First: r.First, Cap: r.Cap, GiveUp: r.GiveUp},
		Every: map[string]time.Duration{bus.TickObserve: a.cfg.Observe.Every},
	})
	return err
}

func (a *App) connect(name string) (*nats.Conn, error) {
	n := a.cfg.NATS
	if n.Embedded() {
		return a.startEmbedded(name)
	}
	nc, err := bus.Dial(bus.Server{
		URL: n.URL, CredentialsFile: n.CredentialsFile, NKeyFile: n.NKeyFile, CAFile: n.CAFile, Name: name,
	}, a.log)
	if err != nil {
		return nil, errors.New(telemetry.HideInURLs(err.Error()))
	}
	return nc, nil
}

func (a *App) startEmbedded(name string) (*nats.Conn, error) {
	unlock, err := lockDir(a.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	a.onClose(unlock)
	server, err := embedded.Start(embedded.Options{
		Dir: filepath.Join(a.cfg.DataDir, "jetstream"), Fast: a.cfg.NATS.Sync == "fast",
	})
	if err != nil {
		return nil, err
	}
	a.onClose(func() error { embedded.Stop(server); return nil })
	return bus.DialInProcess(server, name, a.log)
}

// Apply makes the streams, consumers, buckets and ticks on the server, and the secrets in the data
// directory. It may be repeated at any time.
func (a *App) Apply(ctx context.Context) error {
	if err := a.Bus.Apply(ctx, max(a.cfg.NATS.Replicas, 1)); err != nil {
		return err
	}
	if err := makeSecrets(a.cfg.DataDir); err != nil {
		return fmt.Errorf("make the secrets of this installation: %w", err)
	}
	return nil
}
