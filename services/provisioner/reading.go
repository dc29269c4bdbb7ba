package provisioner

import (
	"context"
	"time"
)

// reading is something that many want at the same time: one of them reads it, the others wait for
// that reading and share it, also when it fails. Otherwise each of them in turn would wait for the
// same time-out.
type reading[T any] struct {
	turn  chan struct{} // whoever fills it may read or look at the rest
	begun time.Time
	at    time.Time // when it ended
	value T
	err   error
}

func newReading[T any]() *reading[T] { return &reading[T]{turn: make(chan struct{}, 1)} }

func (r *reading[T]) get(ctx context.Context, now func() time.Time, age time.Duration, read func() (T, error)) (T, error) {
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
	return r.value, r.err
}
