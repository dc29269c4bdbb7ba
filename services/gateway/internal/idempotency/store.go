package idempotency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/cache"
)

// Retention is how long the digest of a payload is remembered.
const Retention = 24 * time.Hour

// Payloads remembers what was asked for under an operation's id.
type Payloads struct{ cache *cache.Cache }

// NewPayloads returns the memory in Redis.
func NewPayloads(c *cache.Cache) *Payloads { return &Payloads{cache: c} }

// Claim notes that an operation's id stands for a payload, of which digest is a keyed digest. It
// returns the *api.Problem TypeReused if it stands for another one, and the error of stored.
//
// Stored returns the digest that the VM's log has of the operation, nil for none; it is asked only
// where Redis knows nothing.
func (p *Payloads) Claim(ctx context.Context, id string, digest []byte, stored func(context.Context) ([]byte, error)) error {
	known, err := p.known(ctx, id)
	if err != nil || known == nil {
		if known, err = stored(ctx); err != nil {
			return fmt.Errorf("look for an earlier request of operation %s: %w", id, err)
		}
	}
	if known == nil {
		known = p.note(ctx, id, digest)
	}
	if !bytes.Equal(known, digest) {
		return &api.Problem{
			Type: TypeReused, Title: "The Idempotency-Key was used before", Status: http.StatusUnprocessableEntity,
			Detail: "The Idempotency-Key came before with another payload. Nothing was changed by this request.",
			Next:   "Send a new key with a new order.",
		}
	}
	return nil
}

func name(id string) string { return "gateway:idempotency:" + id }

// known is what Redis has, nil for nothing.
func (p *Payloads) known(ctx context.Context, id string) ([]byte, error) {
	answer := make(chan []byte, 1)
	err := p.cache.Do(ctx, func(ctx context.Context, r redis.UniversalClient) error {
		digest, err := r.Get(ctx, name(id)).Bytes()
		answer <- digest
		return err
	})
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return <-answer, nil
}

// note keeps the digest unless another request was first, and returns the one that counts.
func (p *Payloads) note(ctx context.Context, id string, digest []byte) []byte {
	first := make(chan bool, 1)
	err := p.cache.Do(ctx, func(ctx context.Context, r redis.UniversalClient) error {
		set, err := r.SetNX(ctx, name(id), digest, Retention).Result()
		first <- set
		return err
	})
	if err != nil || <-first {
		return digest
	}
	if known, err := p.known(ctx, id); err == nil && known != nil {
		return known
	}
	return digest
}
