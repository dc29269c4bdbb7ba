// Package nonce remembers the nonces of signed requests, so that none is accepted twice.
//
// Redis remembers them for all gateways. While Redis is away each gateway remembers what it accepted
// itself, because a lost Redis must not stop orders: then a request that somebody listened to inside
// TLS could be sent once to each other gateway within the time of its signature. It would do no harm:
// a signed change has an Idempotency-Key, and its repetition is the same operation.
package nonce

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/services/gateway/internal/cache"
)

// TTL is how long a nonce is remembered. It is longer than any signature is accepted.
const TTL = 10 * time.Minute

// maxLocal bounds what is remembered without Redis, to some 10 MiB. Beyond, the oldest is forgotten.
const maxLocal = 100_000

// Nonces remembers nonces. Its methods are safe for concurrent use.
type Nonces struct {
	cache *cache.Cache
	now   func() time.Time

	mu sync.Mutex
	// local are those that Redis does not have, queue is their order.
	local map[string]time.Time
	queue []string
}

// New returns an empty memory.
func New(c *cache.Cache, now func() time.Time) *Nonces {
	return &Nonces{cache: c, now: now, local: map[string]time.Time{}}
}

// Use says whether the key shows this nonce for the first time.
func (n *Nonces) Use(ctx context.Context, keyID, nonce string) bool {
	name := keyID + ":" + nonce
	if n.seen(name) {
		return false
	}
	fresh := make(chan bool, 1)
	err := n.cache.Do(ctx, func(ctx context.Context, r redis.UniversalClient) error {
		set, err := r.SetNX(ctx, "gateway:nonce:"+name, "", TTL).Result()
		fresh <- set
		return err
	})
	if err != nil {
		return n.add(name)
	}
	return <-fresh
}

// seen says whether a nonce was accepted while Redis was away.
func (n *Nonces) seen(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.local[name]
	return ok && n.now().Sub(at) < TTL
}

// add says whether the nonce was not there.
func (n *Nonces) add(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for len(n.queue) > 0 && (len(n.queue) >= maxLocal || now.Sub(n.local[n.queue[0]]) >= TTL) {
		delete(n.local, n.queue[0])
		n.queue = n.queue[1:]
	}
	if _, ok := n.local[name]; ok {
		return false
	}
	n.local[name] = now
	n.queue = append(n.queue, name)
	return true
}
