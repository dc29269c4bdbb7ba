package bus

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Follow runs handle with the newest state of every VM that changed, until ctx ends. Messages are
// hints: the state is read when handle is about to run, so a burst of changes may arrive as its
// last. In one process handle never runs twice at once for one VM, so an older state cannot
// overtake a newer one. An error leaves the hint for later deliveries with growing delays.
func (b *Bus) Follow(ctx context.Context, consumer string, wanted func(Entry) bool, handle func(context.Context, Entry) error) error {
	var turns [256]sync.Mutex // a VM has one of them, which others may share
	seed := maphash.MakeSeed()
	return b.consume(ctx, StreamVM, consumer, every, func(ctx context.Context, msg jetstream.Msg) verdict {
		meta, err := msg.Metadata()
		if err != nil {
			return dead(err)
		}
		hint, err := decodeEntry(msg.Data(), msg.Headers(), meta.Sequence.Stream, meta.Timestamp)
		if err != nil {
			return dead(err)
		}
		if !wanted(hint) {
			return ack
		}
		turn := &turns[maphash.String(seed, msg.Subject())%uint64(len(turns))]
		turn.Lock()
		defer turn.Unlock()
		last, err := b.Last(ctx, hint.VM.GetRef())
		if err == nil {
			err = handle(ctx, last)
		}
		if err != nil {
			return again(err)
		}
		return ack
	})
}

// Tail calls show with every change of one VM as it is stored, until ctx ends or show returns
// false. ref "*" means every VM. started is called once no further change can be missed. It is for
// people who watch: a reader that is too slow, or loses its connection, misses some.
func (b *Bus) Tail(ctx context.Context, ref string, started func(), show func(Entry) bool) error {
	if ref != "*" && !ValidRef(ref) {
		return fmt.Errorf("%q cannot be a ref", ref)
	}
	msgs := make(chan *nats.Msg, 1024)
	sub, err := b.nc.ChanSubscribe(TailSubject(ref), msgs)
	if err != nil {
		return fmt.Errorf("tail %s: %w", ref, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it ends with the connection anyway
	if err := b.subscribed(ctx); err != nil {
		return fmt.Errorf("tail %s: %w", ref, err)
	}
	started()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-msgs:
			entry, err := tailEntry(msg)
			if err != nil {
				return err
			}
			if !show(entry) {
				return nil
			}
		}
	}
}

// subscribed returns once the server knows this connection's subscriptions.
func (b *Bus) subscribed(ctx context.Context) error {
	for {
		err := b.flush(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case b.nc.IsClosed():
			return err
		}
		// The connection was lost meanwhile; it comes back with its subscriptions.
		if err := Pause(ctx, firstPause); err != nil {
			return err
		}
	}
}

// flush is bounded, because the client library wants a deadline.
func (b *Bus) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return b.nc.FlushWithContext(ctx)
}

// tailEntry decodes a message that the server published again. Its place in the log stands in
// headers.
func tailEntry(msg *nats.Msg) (Entry, error) {
	seq, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Entry{}, fmt.Errorf("decode the sequence of %s: %w", msg.Subject, err)
	}
	at, err := time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return Entry{}, fmt.Errorf("decode the time of %s: %w", msg.Subject, err)
	}
	return decodeEntry(msg.Data, msg.Header, seq, at)
}
