// Package cachetest starts Redis servers for the tests of what uses package cache.
package cachetest

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/services/gateway/internal/cache"
)

// Server is a Redis that a test can take away.
type Server struct {
	Client *redis.Client
	// Away makes it not answer any more, Back makes it answer again.
	Away, Back func()
}

// Cache returns a cache on the server. Its clock is now.
func (s *Server) Cache(now func() time.Time) *cache.Cache {
	return cache.New(s.Client, now, slog.New(slog.DiscardHandler))
}

// OnBoth runs a test on a real Redis and on the one that is built into vmline.
func OnBoth(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Run("miniredis", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("redis-server", func(t *testing.T) { test(t, process(t)) })
}

func embedded(t testing.TB) *Server {
	m := miniredis.RunT(t)
	s := &Server{
		Client: redis.NewClient(&redis.Options{Addr: m.Addr()}),
		Away:   func() { m.SetError("away") },
		Back:   func() { m.SetError("") },
	}
	t.Cleanup(func() { _ = s.Client.Close() }) // the test is over
	return s
}

// process stops the process to take it away: connections stay open and nothing answers.
func process(t testing.TB) *Server {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "gateway") //nolint:usetesting // sockets have short paths, a test's own directory may be too deep
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the test is over
	socket := filepath.Join(dir, "redis")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no") //nolint:gosec,noctx // G204: the path is that of redis-server; it ends with the test
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		_ = cmd.Wait()
	})
	s := &Server{
		Client: redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ReadTimeout: time.Second, MaxRetries: -1}),
		Away:   func() { must(t, cmd.Process.Signal(syscall.SIGSTOP)) },
		Back:   func() { must(t, cmd.Process.Signal(syscall.SIGCONT)) },
	}
	t.Cleanup(func() { _ = s.Client.Close() }) // the test is over
	for deadline := time.Now().Add(10 * time.Second); s.Client.Ping(t.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("Redis did not start")
		}
		<-time.After(5 * time.Millisecond)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
