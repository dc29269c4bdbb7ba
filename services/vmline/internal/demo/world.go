package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/nameserver"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/pkg/telemetry"
	"github.com/vmline/vmline/services/internal/app"
	"github.com/vmline/vmline/services/vmline/internal/watch"
)

const (
	clusterName  = "demo"
	templateName = "debian-13"
	domain       = "demo.example"
	pool4        = "public4"
	pool6        = "public6"
	tsigKey      = "vmline.demo."
)

// The networks are those that are set aside for documentation (RFC 5737, RFC 3849).
var (
	prefix4 = netip.MustParsePrefix("203.0.113.0/24")
	prefix6 = netip.MustParsePrefix("2001:db8:113::/64")
	zones   = []string{domain + ".", "113.0.203.in-addr.arpa.", "0.0.0.0.3.1.1.0.8.b.d.0.1.0.0.2.ip6.arpa."}
)

// durations are those of a quick cluster.
var durations = pvesim.Durations{
	Clone: 600 * time.Millisecond, Config: 20 * time.Millisecond, Resize: 80 * time.Millisecond,
	Start: 300 * time.Millisecond, Stop: 200 * time.Millisecond, Destroy: 200 * time.Millisecond,
	Migrate: 400 * time.Millisecond, Move: 400 * time.Millisecond,
}

// world is all that a demonstration needs: the cluster, the name server and vmline itself.
type world struct {
	dataDir   string
	temporary bool
	log       *os.File

	cluster *pvesim.Cluster
	proxmox *pvesim.Server
	names   *nameserver.Server
	cfg     *config.Config

	opened chan struct{}
	app    *app.App
	client *api.Client
}

func newWorld(ctx context.Context, dataDir string) (*world, error) {
	w := &world{dataDir: dataDir, opened: make(chan struct{})}
	if err := w.start(); err != nil { //nolint:contextcheck // nothing in it waits
		return nil, errors.Join(err, w.close(ctx, true))
	}
	return w, nil
}

func (w *world) start() (err error) {
	if w.dataDir == "" {
		w.temporary = true
		if w.dataDir, err = os.MkdirTemp("", "vmline-demo-"); err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
	}
	if err := os.MkdirAll(w.dataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if w.log, err = os.OpenFile(w.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	sim := pvesim.Default()
	sim.Durations = durations
	sim.Templates[0].Name = templateName
	w.cluster = pvesim.New(sim)
	if w.proxmox, err = w.cluster.Listen("127.0.0.1:0"); err != nil {
		return err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	secret := base64.StdEncoding.EncodeToString(key)
	w.names, err = nameserver.Start(nameserver.Config{
		Addrs: []string{"127.0.0.1:0"}, Zones: zones, Keys: []nameserver.Key{{Name: tsigKey, Secret: secret}},
	})
	if err != nil {
		return err
	}
	w.cfg = w.config(sim, config.Secret(secret))
	return nil
}

func (w *world) logFile() string { return filepath.Join(w.dataDir, "demo.log") }

// config is what an operator would write into a file.
func (w *world) config(sim pvesim.Config, tsigSecret config.Secret) *config.Config {
	c := &config.Config{
		DataDir: w.dataDir,
		Gateway: config.Gateway{Listen: "127.0.0.1:0", PlainHTTP: true},
		Pools: []config.Pool{
			{Name: pool4, Cluster: clusterName, Bridge: "vmbr0", Prefix: prefix4, Gateway: netip.MustParseAddr("203.0.113.1"),
				First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.250")},
			{Name: pool6, Cluster: clusterName, Bridge: "vmbr0", Prefix: prefix6, Gateway: netip.MustParseAddr("2001:db8:113::1"),
				First: netip.MustParseAddr("2001:db8:113::10"), Last: netip.MustParseAddr("2001:db8:113::ffff")},
		},
	}
	for id, secret := range sim.Tokens {
		c.Clusters = []config.Cluster{{Name: clusterName, URL: w.proxmox.URL, TokenID: id, TokenSecret: config.Secret(secret)}}
	}
	for _, name := range zones {
		c.DNS.Zones = append(c.DNS.Zones, config.Zone{
			Name: name, Server: w.names.Addrs()[0], TTL: 60, TSIG: &config.TSIG{Name: tsigKey, Secret: tsigSecret},
		})
	}
	return c
}

// serve runs every service until ctx ends.
func (w *world) serve(ctx context.Context) error {
	log := telemetry.NewLogger(w.log, slog.LevelInfo, "text")
	return app.Serve(ctx, w.cfg, "vmline", log, func(a *app.App) error {
		if err := a.Apply(ctx); err != nil {
			return err
		}
		token, err := config.ReadSecretFile(app.TokenFile(w.cfg))
		if err != nil {
			return err
		}
		w.app = a
		w.client = &api.Client{BaseURL: a.URL(), Token: string(token), HTTP: &http.Client{Transport: &http.Transport{}}}
		close(w.opened)
		return nil
	}, app.All()...)
}

// ready waits until vmline is open.
func (w *world) ready(ctx context.Context) error {
	select {
	case <-w.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow shows the steps of an operation and returns an error unless it succeeds.
func (w *world) follow(ctx context.Context, say *printer, ref string, op api.Operation) error {
	op, err := watch.Operation(ctx, w.client, op, func(s api.Step) error { say.step(ref, s); return nil })
	if err != nil {
		return fmt.Errorf("follow %s: %w", ref, err)
	}
	if op.Status != api.StatusSucceeded {
		return notSucceeded(ref, op)
	}
	return nil
}

// close lets go of everything. What shows why a demonstration failed is kept.
func (w *world) close(ctx context.Context, succeeded bool) error {
	var errs []error
	if w.client != nil {
		w.client.HTTP.CloseIdleConnections()
	}
	if w.proxmox != nil {
		w.proxmox.Close()
	}
	if w.cluster != nil {
		w.cluster.Close()
	}
	if w.names != nil {
		errs = append(errs, w.names.Close(context.WithoutCancel(ctx)))
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	if w.temporary && succeeded {
		errs = append(errs, os.RemoveAll(w.dataDir))
	} else if !succeeded {
		errs = append(errs, fmt.Errorf("the log of the services is in %s", w.logFile()))
	}
	return errors.Join(errs...)
}
