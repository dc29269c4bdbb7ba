// Package reading has those who want the same thing from Proxmox at the same time share one call.
package reading

import (
	"context"
	"sync"
	"time"
)

// Shared is something that many want at the same time: one of them reads it, the others wait for that
// reading and share it, also when it fails: otherwise each of them in turn would wait for the same
// time-out. What failed because its reader has given up is nobody else's.
type Shared[T any] struct {
	turn  chan struct{} // whoever fills it may read or look at the rest
	begun time.Time
	at    time.Time // when it ended
	value T
	err   error
}

// New returns what nobody has read yet.
func New[T any]() *Shared[T] { return &Shared[T]{turn: make(chan struct{}, 1)} }

// Get returns what was read, at most so long ago; 0 means since Get was called.
func (r *Shared[T]) Get(ctx context.Context, now func() time.Time, age time.Duration, read func() (T, error)) (T, error) {
	asked := now()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	young := r.err == nil && !r.at.IsZero() && asked.Sub(r.at) < age
	// Who wants what is so now cannot use what another began to read before it asked.
	whileWaiting := r.at.After(asked) && (age > 0 || !r.begun.Before(asked))
	if young || whileWaiting {
		return r.value, r.err
	}
	r.begun = now()
	r.value, r.err = read()
	r.at = now()
	if ctx.Err() != nil {
		r.at = time.Time{} // only who read has given up; the next one reads for itself
	}
	return r.value, r.err
}

// Keyed has one Shared for each key. The zero value is empty.
type Keyed[K comparable, T any] struct {
	mu  sync.Mutex
	all map[K]*Shared[T]
}

// Of returns that of a key, made when it is first asked for.
func (k *Keyed[K, T]) Of(key K) *Shared[T] {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[K]*Shared[T]{}
	}
	if k.all[key] == nil {
		k.all[key] = New[T]()
	}
	return k.all[key]
}
