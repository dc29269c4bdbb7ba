package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vmline/vmline/pkg/config"
)

// healthTimeout bounds one look at a service's health.
const healthTimeout = 3 * time.Second

// socketOf is where a service tells its health: a socket that needs no port and that no other
// machine can reach.
func socketOf(dataDir, name string) string { return filepath.Join(dataDir, name+".sock") }

// serveHealth answers whether the service is connected to a server with all streams, until stop.
func (a *App) serveHealth(name string) (stop func(), err error) {
	path := socketOf(a.cfg.DataDir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a process that was killed
		return nil, fmt.Errorf("remove the old health socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the health socket: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: healthTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		if err := a.Bus.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("health is not told any more", "error", err)
		}
	}()
	return func() { _ = server.Close(); <-done }, nil
}

// checkHealth asks a running service.
func checkHealth(ctx context.Context, s Service, path string, _ io.Writer) error {
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*healthTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socketOf(cfg.DataDir, s.Name))
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://health/", nil)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", s.Name, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // what could be read says enough
		return fmt.Errorf("%s is not ready: %s", s.Name, text)
	}
	return nil
}
