package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/config"
)

func TestUsage(t *testing.T) {
	t.Setenv(config.EnvFile, "")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "-config"},
		{[]string{"--config", "x", "y"}, exitUsage, "-config"},
		{[]string{"--nonsense"}, exitUsage, "flag provided but not defined"},
		{[]string{"--help"}, exitDone, "-health"},
		{[]string{"--config", "none.yaml"}, exitUsage, "there is no file none.yaml"},
	} {
		var out strings.Builder
		if code := mainOf(t.Context(), IPAM, tt.args, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%v: code %d, %s", tt.args, code, out.String())
		}
	}
}

// configFile writes the configuration of a single service and returns its path.
func configFile(t *testing.T, natsURL string) string {
	t.Helper()
	path := filepath.Join(local(t).DataDir, "vmline.yaml")
	text := "data_dir: data\nnats: {url: \"" + natsURL + "\"}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestASingleServiceNeedsAServer(t *testing.T) {
	var out strings.Builder
	code := mainOf(t.Context(), IPAM, []string{"--config", configFile(t, "")}, &out)
	if code != exitFailed || !strings.Contains(out.String(), "a service on its own needs a NATS server") {
		t.Errorf("code %d, %s", code, out.String())
	}
}

// TestHealth runs a program against a server without streams, then with them.
func TestHealth(t *testing.T) {
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true, Host: "127.0.0.1", Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Stop(server)
	path := configFile(t, server.ClientURL())
	health := func() (code int, text string) {
		var out strings.Builder
		code = mainOf(t.Context(), DNS, []string{"--config", path, "--health"}, &out)
		return code, out.String()
	}
	if code, text := health(); code != exitFailed || !strings.Contains(text, "dns does not answer") {
		t.Errorf("not running: code %d, %s", code, text)
	}

	running := make(chan *App)
	service := Service{Name: DNS.Name, run: func(ctx context.Context, a *App) error {
		running <- a
		<-ctx.Done()
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var out strings.Builder
	go func() { ended <- mainOf(ctx, service, []string{"--config", path}, &out) }()
	a := <-running
	if code, text := health(); code != exitFailed || !strings.Contains(text, "dns is not ready: stream VM") {
		t.Errorf("without streams: code %d, %s", code, text)
	}
	if err := a.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, text := health(); code != exitDone {
		t.Errorf("with streams: code %d, %s", code, text)
	}
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("ended with code %d: %s", code, out.String())
	}
}
