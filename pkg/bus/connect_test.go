package bus

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus/embedded"
)

// TestDialBeforeTheServer: a service may start before its server does.
func TestDialBeforeTheServer(t *testing.T) {
	t.Parallel()
	o := embedded.Options{Dir: t.TempDir(), Port: -1, Fast: true}
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Port = port(s)
	url := s.ClientURL()
	embedded.Stop(s)
	nc, err := Dial(Server{URL: url, Name: "test"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if s, err = embedded.Start(o); err != nil {
		t.Fatal(err)
	}
	defer embedded.Stop(s)
	b := newBus(t, nc, Options{})
	if err := b.subscribed(testContext(t)); err != nil {
		t.Fatal(err)
	}
	apply(t, b)
}

func TestDialRefusesFilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for name, s := range map[string]Server{
		"seed": {NKeyFile: missing}, "authority": {CAFile: missing},
	} {
		s.URL = "nats://127.0.0.1:1"
		if nc, err := Dial(s, quiet); err == nil {
			nc.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDialShowsNoPassword(t *testing.T) {
	_, err := Dial(Server{URL: "nats://vmline:planted-secret@exa mple:4222", Name: "test"}, slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "planted-secret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}
