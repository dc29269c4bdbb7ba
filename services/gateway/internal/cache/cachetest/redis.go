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

	away, back func()
	caches     []*cache.Cache
}

// Redis answers on the slowest machine within patient; while it is away nobody needs to wait long.
const (
	patient   = 30 * time.Second
	impatient = 100 * time.Millisecond
)

// Cache returns a cache on the server. Its clock is now.
func (s *Server) Cache(now func() time.Time) *cache.Cache {
	c := cache.New(s.Client, now, slog.New(slog.DiscardHandler))
	c.Patience = patient
	s.caches = append(s.caches, c)
	return c
}

// Away makes the server not answer any more. No request may be under way.
func (s *Server) Away() {
	s.away()
	s.waitFor(impatient)
}

// Back makes it answer again.
func (s *Server) Back() {
	s.back()
	s.waitFor(patient)
}

func (s *Server) waitFor(patience time.Duration) {
	for _, c := range s.caches {
		c.Patience = patience
	}
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
		away:   func() { m.SetError("away") },
		back:   func() { m.SetError("") },
	}
	t.Cleanup(func() { _ = s.Client.Close() }) // the test is over
	return s
}

// process stops the process to take it away: connections stay open and nothing answers.
func process(t testing.TB) *Server {
	server := redistest.Start(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket, ReadTimeout: patient, MaxRetries: -1})
	s := &Server{Client: client, away: server.Hang, back: server.Resume}
	t.Cleanup(func() { _ = s.Client.Close() }) // the test is over
	return s
}
