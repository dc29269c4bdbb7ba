// Package app is the wiring that `vmline up` and the programs of the single services share: it
// opens what the configuration names, runs services on it, and stops them in order.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/pve"
)

// App is what services share in one process.
type App struct {
	Bus *bus.Bus

	cfg      *config.Config
	log      *slog.Logger
	redis    redis.UniversalClient
	clusters map[string]*pve.Client
	listener net.Listener
	// closers run in reverse order.
	closers []func() error
}

// Open opens what the services need; an embedded NATS server locks the data directory. Streams and
// secrets are made by Apply alone. name is the program's to the NATS server.
func Open(cfg *config.Config, name string, log *slog.Logger, services ...Service) (*App, error) {
	a := &App{cfg: cfg, log: log, clusters: map[string]*pve.Client{}}
	if err := a.open(name, services); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open(name string, services []Service) error {
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := a.openBus(name); err != nil {
		return err
	}
	for _, s := range services {
		if s.prepare == nil {
			continue
		}
		if err := s.prepare(a); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// Close lets go of everything, in reverse order.
func (a *App) Close() error {
	var errs []error
	for _, closer := range slices.Backward(a.closers) {
		errs = append(errs, closer())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

// URL of the gateway on this machine, or empty where it does not run here.
func (a *App) URL() string {
	if a.listener == nil {
		return ""
	}
	scheme := "https"
	if a.cfg.Gateway.PlainHTTP {
		scheme = "http"
	}
	addr := a.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "localhost"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(addr.Port)))
}
