package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// local is a configuration that needs nothing but a directory.
func local(t *testing.T) *config.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "vmline") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &config.Config{DataDir: dir, NATS: config.NATS{Sync: "fast"}, Gateway: config.Gateway{Listen: "127.0.0.1:0", PlainHTTP: true}}
}

func open(t *testing.T, cfg *config.Config, services ...Service) *App {
	t.Helper()
	a, err := Open(cfg, "test", quiet(), services...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestOneDataDirectoryOneProcess(t *testing.T) {
	cfg := local(t)
	first := open(t, cfg)
	_, err := Open(cfg, "test", quiet())
	if err == nil || !strings.Contains(err.Error(), "another process uses the data directory "+cfg.DataDir) {
		t.Fatalf("opened twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
}

func TestServicesGetTheirOwnSecretsAlone(t *testing.T) {
	cfg := local(t)
	if _, err := readGatewaySecrets(cfg); err == nil || !strings.Contains(err.Error(), "run `vmline apply` once") {
		t.Errorf("gateway before apply: %v", err)
	}
	if _, err := readOpener(cfg); err == nil || !strings.Contains(err.Error(), "run `vmline apply` once") {
		t.Errorf("provisioner before apply: %v", err)
	}
	if err := open(t, cfg).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	gateway, err := readGatewaySecrets(cfg)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := readOpener(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := gateway.sealer.Seal([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := opener.Open(sealed); err != nil || string(got) != "password" {
		t.Errorf("the provisioner reads %q, %v", got, err)
	}
	if err := os.RemoveAll(secretsOf(cfg.DataDir, "provisioner")); err != nil {
		t.Fatal(err)
	}
	if again, err := readGatewaySecrets(cfg); err != nil || again.token != gateway.token {
		t.Errorf("the gateway needs the provisioner's secrets: %v", err)
	}
}

func TestTokenFromAFileOfItsOwn(t *testing.T) {
	cfg := local(t)
	if err := open(t, cfg).Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg.Gateway.TokenFile = filepath.Join(cfg.DataDir, "mine")
	if err := os.WriteFile(cfg.Gateway.TokenFile, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := readGatewaySecrets(cfg); err != nil || s.token != "hunter2" {
		t.Errorf("token %q, %v", s.token, err)
	}
}

// recorder makes services that write down when they stop.
type recorder struct {
	mu      sync.Mutex
	stopped []string
}

func (r *recorder) service(name string, run func(context.Context) error) Service {
	return Service{Name: name, run: func(ctx context.Context, _ *App) error {
		err := run(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stopped = append(r.stopped, name)
		return err
	}}
}

func untilStopped(ctx context.Context) error { <-ctx.Done(); return nil }

func TestTheGatewayStopsBeforeTheOthers(t *testing.T) {
	for range 20 {
		var r recorder
		ctx, stop := context.WithCancel(t.Context())
		started := make(chan struct{})
		services := []Service{
			r.service("ipam", func(ctx context.Context) error { close(started); return untilStopped(ctx) }),
			r.service(Gateway.Name, untilStopped),
			r.service("dns", untilStopped),
		}
		go func() { <-started; stop() }()
		if err := (&App{log: quiet()}).Run(ctx, services...); err != nil {
			t.Fatal(err)
		}
		if len(r.stopped) != 3 || r.stopped[0] != Gateway.Name {
			t.Fatalf("stopped in the order %v", r.stopped)
		}
	}
}

func TestAServiceThatDiesEndsTheProcess(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		dies func(context.Context) error
		want string
	}{
		{"with an error", func(context.Context) error { return boom }, "ipam: boom"},
		{"without one", func(context.Context) error { return nil }, "ipam: it ended by itself"},
	} {
		var r recorder
		err := (&App{log: quiet()}).Run(t.Context(),
			r.service("ipam", tt.dies), r.service(Gateway.Name, untilStopped), r.service("dns", untilStopped))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if !slices.Contains(r.stopped, "dns") || !slices.Contains(r.stopped, Gateway.Name) {
			t.Errorf("%s: only %v stopped", tt.name, r.stopped)
		}
	}
}

func TestTheGatewayServes(t *testing.T) {
	cfg := local(t)
	a := open(t, cfg, Gateway)
	if err := a.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, Gateway) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/v1/services": 401} {
		answer, err := client.Get(a.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheEmbeddedRedisNeedsAPassword(t *testing.T) {
	a := open(t, local(t), IPAM)
	if err := a.redis.Ping(t.Context()).Err(); err != nil {
		t.Errorf("we cannot use it: %v", err)
	}
	if err := a.redis.Do(t.Context(), "AUTH", "guessed").Err(); err == nil {
		t.Error("anybody can use it")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*config.Config)
		service Service
		want    string
	}{
		{"no clusters", func(*config.Config) {}, Provisioner, "provisioner: no clusters are configured"},
		{"bad redis", func(c *config.Config) { c.Redis.URL = "redis://u:hunter2@h/x" }, IPAM, "ipam: redis.url"},
		{"taken port", func(c *config.Config) { c.Gateway.Listen = "256.0.0.1:80" }, Gateway, "gateway: listen tcp"},
	} {
		cfg := local(t)
		tt.change(cfg)
		_, err := Open(cfg, "test", quiet(), tt.service)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
