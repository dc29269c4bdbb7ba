package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds are the sequences of the oldest and the newest change that the log still has. Without any, Last
// is the sequence of the last one that it had, and First is one more.
type Bounds struct {
	First, Last uint64
	// Created is when the log was made: one that was made anew has another time.
	Created time.Time
}

// Bounds returns how far the log of all VMs reaches.
func (b *Bus) Bounds(ctx context.Context) (bounds Bounds, err error) {
	err = b.call(ctx, "vm.bounds", func(ctx context.Context) error {
		stream, err := b.js.Stream(ctx, StreamVM)
		if err != nil {
			return err
		}
		info := stream.CachedInfo()
		bounds = Bounds{First: info.State.FirstSeq, Last: info.State.LastSeq, Created: info.Created}
		return nil
	})
	if err != nil {
		return Bounds{}, fmt.Errorf("read the bounds of the VM log: %w", err)
	}
	return bounds, nil
}

// Changes calls do with every change of every VM after a sequence, oldest first and then as they come,
// until ctx ends or do returns an error. started, which may be nil, is called once the reading has begun.
// left is how many more are there already. A message that cannot
// be decoded comes without its VM, so that it hides nothing behind it. A lost connection is waited for.
func (b *Bus) Changes(ctx context.Context, after uint64, started func(), do func(e Entry, left uint64) error) error {
	err := b.changes(ctx, after, started, do)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("read changes of VMs: %w", err)
	}
	return nil
}

func (b *Bus) changes(ctx context.Context, after uint64, started func(), do func(Entry, uint64) error) error {
	cons, err := b.js.OrderedConsumer(ctx, StreamVM, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"vm.*"}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { b.forget(ctx, cons.CachedInfo().Name) }()
	msgs, err := cons.Messages(jetstream.PullMaxMessages(500), jetstream.PullHeartbeat(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer msgs.Stop()
	defer context.AfterFunc(ctx, msgs.Stop)()
	if started != nil {
		started()
	}
	for {
		msg, err := msgs.Next()
		if err != nil {
			return err
		}
		if err := b.change(msg, do); err != nil {
			return err
		}
	}
}

func (b *Bus) change(msg jetstream.Msg, do func(Entry, uint64) error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	entry, err := decodeEntry(msg.Data(), msg.Headers(), meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		b.log.Error("a VM message is passed over", "subject", msg.Subject(), "error", err)
		entry = Entry{Seq: meta.Sequence.Stream, Time: meta.Timestamp}
	}
	return do(entry, meta.NumPending)
}

// errEnough ends a reading of changes.
var errEnough = errors.New("enough")

// Page returns at most limit changes after a sequence, oldest first, without waiting for new ones.
func (b *Bus) Page(ctx context.Context, after uint64, limit int) ([]Entry, error) {
	bounds, err := b.Bounds(ctx)
	if err != nil || after >= bounds.Last || bounds.First > bounds.Last {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var page []Entry
	err = b.Changes(ctx, after, nil, func(e Entry, left uint64) error {
		page = append(page, e)
		if left == 0 || len(page) == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return page, err
}
