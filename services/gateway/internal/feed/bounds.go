package feed

import (
	"context"
	"sync"

	"github.com/vmline/vmline/pkg/bus"
)

// bounder asks for the bounds of the log once for all who want to know them at the same time. Who comes
// while a question is under way waits for the next one, so that each answer is newer than its question.
type bounder struct {
	bus *bus.Bus

	mu   sync.Mutex
	next *asked
	busy bool
}

// asked is one question and its answer.
type asked struct {
	done   chan struct{}
	bounds bus.Bounds
	err    error
}

// get returns bounds that were read after it was called.
func (b *bounder) get(ctx context.Context) (bus.Bounds, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &asked{done: make(chan struct{})}
	}
	mine := b.next
	if !b.busy {
		b.busy = true
		go b.serve(context.WithoutCancel(ctx))
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.bounds, mine.err
	case <-ctx.Done():
		return bus.Bounds{}, ctx.Err()
	}
}

// serve asks until nobody wants to know any more. Each question is bounded by the bus.
func (b *bounder) serve(ctx context.Context) {
	for {
		b.mu.Lock()
		now := b.next
		b.next = nil
		if now == nil {
			b.busy = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		now.bounds, now.err = b.bus.Bounds(ctx)
		close(now.done)
	}
}
