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
	"net/netip"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/secrets"
	"github.com/vmline/vmline/services/gateway/internal/cache"
	"github.com/vmline/vmline/services/gateway/internal/feed"
	"github.com/vmline/vmline/services/gateway/internal/idempotency"
	"github.com/vmline/vmline/services/gateway/internal/identity"
	"github.com/vmline/vmline/services/gateway/internal/keys"
	"github.com/vmline/vmline/services/gateway/internal/limit"
	"github.com/vmline/vmline/services/gateway/internal/model"
	"github.com/vmline/vmline/services/gateway/internal/nonce"
	"github.com/vmline/vmline/services/gateway/internal/signature"
	"github.com/vmline/vmline/services/gateway/internal/webhook"
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
	// Token is the installation's own bearer token. It may do everything; the other keys are made with it.
	Token string
	// Sealer seals passwords for the provisioner.
	Sealer secrets.Sealer
	// DigestKey makes package digests and operation ids: at least 32 bytes, the same in every
	// gateway of an installation.
	DigestKey []byte
	// Redis holds nonces, counters and what lists are answered from. Nothing is lost with it. nil means
	// none.
	Redis redis.UniversalClient
	// Authorities are the names under which clients reach the gateway where a proxy hides them, for
	// example vmline.example.com; empty means the Host of each request.
	Authorities []string
	// Limit is what each key may ask; the zero value means limit.Default.
	Limit Limit
	// WebhookNetworks are networks that are not public and may be sent webhooks; WebhookHTTP lets them go
	// without TLS.
	WebhookNetworks []netip.Prefix
	WebhookHTTP     bool
	// Fingerprint is the SHA-256 of the TLS certificate in hexadecimal digits, for clients that pin it.
	Fingerprint string
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

// Limit is how much one key may ask: Requests in a Window, evenly or in one burst.
type Limit struct {
	Requests int
	Window   time.Duration
}

type gateway struct {
	bus    *bus.Bus
	sealer secrets.Sealer
	ids    identity.Key
	log    *slog.Logger

	keys    *keys.Store
	ring    *keys.Ring
	auth    *keys.Authenticator
	limiter *limit.Limiter
	slots   slots
	feed    *feed.Feed
	model   *model.Model

	webhooks *webhook.Registry
	sender   *webhook.Sender
	// payloads tells a repeated request from another one under the same key.
	payloads *idempotency.Payloads

	fingerprint string
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
	g, err := newGateway(ctx, c)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer g.inBackground(ctx)()
	server := &http.Server{
		Handler: g.handler(), TLSConfig: c.TLS, //nolint:contextcheck // each request has its own
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

func newGateway(stopping context.Context, c Config) (*gateway, error) {
	g := &gateway{
		bus: c.Bus, sealer: c.Sealer, ids: c.DigestKey, log: c.Logger,
		stopping: stopping, heartbeat: 15 * time.Second, fingerprint: c.Fingerprint,
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	var err error
	if g.keys, err = keys.NewStore(c.Bus, c.DigestKey); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	remembered := cache.New(c.Redis, c.Bus.Now, g.log)
	g.ring = keys.NewRing(g.keys, c.Token, g.log)
	g.auth = &keys.Authenticator{Ring: g.ring, Refuse: writeProblem, Verifier: &signature.Verifier{
		Secrets: g.ring.Secrets, Nonces: nonce.New(remembered, c.Bus.Now), Authorities: c.Authorities, Now: c.Bus.Now,
	}}
	g.limiter = limit.New(c.Limit.policy(), remembered, c.Bus.Now)
	g.payloads = idempotency.NewPayloads(remembered)
	guard := webhook.Guard{AllowNetworks: c.WebhookNetworks, AllowHTTP: c.WebhookHTTP}
	if g.webhooks, err = webhook.NewRegistry(c.Bus, c.DigestKey, guard); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.feed = feed.New(c.Bus, g.log)
	g.model = model.New(c.Bus, g.feed, c.Redis, g.log)
	g.sender = webhook.NewSender(g.webhooks, g.feed, nil, g.log)
	return g, nil
}

func (l Limit) policy() limit.Policy {
	p := limit.Default
	if l.Requests > 0 && l.Window >= time.Millisecond {
		p.Quota, p.Window = l.Requests, l.Window
	}
	return p
}

// inBackground starts what runs beside the requests and returns what ends it.
func (g *gateway) inBackground(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // requests in hand need it until they are done
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{g.ring.Run, g.feed.Run, g.model.Run, g.sender.Run} {
		all.Go(func() { _ = run(ctx) }) // they end with ctx alone
	}
	return func() { cancel(); all.Wait() }
}

// untilStopping returns a context that also ends when the gateway does.
func (g *gateway) untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}
