// Package cachetest starts Redis servers for the tests of what uses package cache.
package cachetest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/redistest"
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
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket, ReadTimeout: time.Second, MaxRetries: -1})
	s := &Server{Client: client, Away: server.Hang, Back: server.Resume}
	t.Cleanup(func() { _ = s.Client.Close() }) // the test is over
	return s
}
