// Package gateway is the HTTP API: it checks what a package may look like, seals its secrets, and
// sends it as a command. Beyond that it decides nothing about a VM.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

// Config is what a gateway needs.
type Config struct {
	Bus *bus.Bus
	// Listener takes the connections; Run closes it. Without one Run listens on Listen, for
	// example 127.0.0.1:8080.
	Listener net.Listener
	Listen   string
	// TLS with a certificate; nil means plain HTTP, for a loopback address or behind a proxy.
	TLS *tls.Config
	// Token is the bearer token that every request under /v1 needs.
	Token string
	// Sealer seals passwords for the provisioner.
	Sealer secrets.Sealer
	// DigestKey makes package digests and operation ids: at least 32 bytes, the same in every
	// gateway of an installation.
	DigestKey []byte
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Limits of a connection. A request must outlast the longest wait, because net/http ends it with
// either deadline; streams extend theirs as they go.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = maxWait + 15*time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	// shutdownTimeout bounds how long requests in hand may take once Run is to end.
	shutdownTimeout = 10 * time.Second
)

type gateway struct {
	bus    *bus.Bus
	token  string
	sealer secrets.Sealer
	ids    identity.Key
	log    *slog.Logger
	// stopping ends waits and streams, which would outlast a graceful end.
	stopping context.Context
	// heartbeat is how often a silent stream shows that it is alive.
	heartbeat time.Duration
}

// Run serves the API until ctx ends, then lets the requests in hand finish. It returns nil after
// such an end.
func Run(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	listener := c.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen); err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
	g := newGateway(ctx, c)
	server := &http.Server{
		Handler: g.handler(), TLSConfig: c.TLS,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	g.log.Info("gateway is listening", "address", listener.Addr().String(), "tls", c.TLS != nil)
	return serve(ctx, server, listener)
}

func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "")
		} else {
			ended <- server.Serve(listener)
		}
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("gateway: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("gateway: end of the requests in hand: %w", err), server.Close(), <-ended)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// minDigestKey is the shortest digest key in bytes.
const minDigestKey = 32

func (c Config) check() error {
	switch {
	case c.Bus == nil:
		return errors.New("gateway: no bus")
	case c.Listener == nil && c.Listen == "":
		return errors.New("gateway: no address to listen on")
	case c.Token == "":
		return errors.New("gateway: no bearer token")
	case c.Sealer == secrets.Sealer{}:
		return errors.New("gateway: no sealing key")
	case len(c.DigestKey) < minDigestKey:
		return fmt.Errorf("gateway: the digest key is shorter than %d bytes", minDigestKey)
	}
	return nil
}

func newGateway(stopping context.Context, c Config) *gateway {
	g := &gateway{
		bus: c.Bus, token: c.Token, sealer: c.Sealer, ids: c.DigestKey, log: c.Logger,
		stopping: stopping, heartbeat: 15 * time.Second,
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	return g
}

// untilStopping returns a context that also ends when the gateway does.
func (g *gateway) untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}
