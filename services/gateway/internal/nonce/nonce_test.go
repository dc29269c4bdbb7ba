package nonce

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/services/gateway/internal/cache/cachetest"
	"github.com/vmline/vmline/services/gateway/internal/signature"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestANonceIsFreshOnce(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		now := time.Unix(1_800_000_000, 0)
		clock := func() time.Time { return now }
		one, two := New(s.Cache(clock), clock), New(s.Cache(clock), clock)
		use := func(n *Nonces, key, nonce string, want bool) {
			t.Helper()
			if got := n.Use(t.Context(), key, nonce); got != want {
				t.Errorf("%s of %s: %t", nonce, key, got)
			}
		}
		use(one, "a", "1", true)
		use(one, "a", "1", false)
		use(two, "a", "1", false) // another gateway
		use(two, "b", "1", true)  // another key
		if ttl := s.Client.TTL(t.Context(), "gateway:nonce:a:1").Val(); ttl <= signature.MaxAge+signature.MaxAhead || ttl > TTL {
			t.Errorf("remembered for %s", ttl)
		}
		s.Away()
		use(one, "a", "2", true)
		use(one, "a", "2", false)
		s.Back()
		now = now.Add(2 * time.Second)
		use(one, "a", "2", false) // Redis does not know it
		use(one, "a", "3", true)
		use(two, "a", "3", false)
	})
}

func TestOfManyAtOnceOneIsFirst(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		n := New(s.Cache(time.Now), time.Now)
		for _, away := range []bool{false, true} {
			if away {
				s.Away()
			}
			var first atomic.Int32
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if n.Use(t.Context(), "a", fmt.Sprint("nonce", away)) {
						first.Add(1)
					}
				})
			}
			all.Wait()
			if first.Load() != 1 {
				t.Errorf("Redis away: %t: %d are first", away, first.Load())
			}
		}
		s.Back()
	})
}

func TestLocalMemoryIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	n := New(nil, func() time.Time { return now })
	for i := range maxLocal + 10 {
		n.add(fmt.Sprint(i))
	}
	if len(n.local) != maxLocal || len(n.queue) != maxLocal || n.seen("0") || !n.seen("10") {
		t.Errorf("%d are remembered, %d in order", len(n.local), len(n.queue))
	}
	now = now.Add(TTL)
	if n.seen("10") {
		t.Error("remembered for too long")
	}
	if !n.add("10") || len(n.local) != 1 || len(n.queue) != 1 {
		t.Errorf("%d are left after their time", len(n.local))
	}
}
