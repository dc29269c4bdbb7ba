package cache_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/services/gateway/internal/cache"
	"github.com/vmline/vmline/services/gateway/internal/cache/cachetest"
)

func TestNobodyWaitsForARedisThatIsAway(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		now := time.Unix(1_800_000_000, 0)
		c := s.Cache(func() time.Time { return now })
		ask := func(ctx context.Context) error {
			return c.Do(ctx, func(ctx context.Context, r redis.UniversalClient) error { return r.Get(ctx, "x").Err() })
		}
		if err := ask(t.Context()); !errors.Is(err, redis.Nil) {
			t.Fatalf("a key that is not there: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ask(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has gone: %v", err)
		}
		if err := ask(t.Context()); !errors.Is(err, redis.Nil) {
			t.Errorf("after a client that has gone: %v", err)
		}
		s.Away()
		// The server's client would wait longer than this.
		some, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := ask(some); !errors.Is(err, cache.ErrAway) {
			t.Errorf("while it is away: %v", err)
		}
		s.Back()
		if err := ask(t.Context()); !errors.Is(err, cache.ErrAway) {
			t.Errorf("asked within its rest: %v", err)
		}
		now = now.Add(time.Second)
		if err := ask(t.Context()); !errors.Is(err, redis.Nil) {
			t.Errorf("after its rest: %v", err)
		}
	})
}
