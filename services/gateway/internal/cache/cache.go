// Package cache asks Redis in a way that no request depends on: it waits for a short while only, and
// leaves Redis alone for a moment after it did not answer.
package cache

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// rest is how long Redis is not asked after it failed.
const rest = time.Second

// ErrAway says that Redis did not answer, or not in time. What was asked of it may have happened.
var ErrAway = errors.New("redis is away")

// Cache is a Redis that may be gone. Its methods are safe for concurrent use.
type Cache struct {
	// Patience is how long a request waits for Redis: 250 ms, unless it is set before the first one.
	Patience time.Duration

	client redis.UniversalClient
	now    func() time.Time
	log    *slog.Logger
	// until is when Redis may be asked again, in nanoseconds since 1970.
	until atomic.Int64
}

// New returns a cache on a client, which stays the caller's to close. Without a client, which is nil, Redis
// is always away.
func New(client redis.UniversalClient, now func() time.Time, log *slog.Logger) *Cache {
	return &Cache{Patience: 250 * time.Millisecond, client: client, now: now, log: log}
}

// Do runs one exchange with Redis. It returns nil, redis.Nil, the end of ctx, or ErrAway. After
// anything but nil, do may still be running: the caller must not read what it writes.
func (c *Cache) Do(ctx context.Context, do func(context.Context, redis.UniversalClient) error) error {
	if c.client == nil || c.now().UnixNano() < c.until.Load() {
		return ErrAway
	}
	bounded, cancel := context.WithTimeout(ctx, c.Patience)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- do(bounded, c.client)
	}()
	var err error
	select {
	case err = <-done:
	case <-bounded.Done(): // the client library keeps to time-outs of its own, which are longer
		select {
		case err = <-done:
		default:
			err = bounded.Err()
		}
	}
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	c.until.Store(c.now().Add(rest).UnixNano())
	c.log.Warn("Redis did not answer; the gateway goes on without it", "error", err)
	return ErrAway
}
