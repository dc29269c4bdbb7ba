package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// History returns what the log holds of one VM, oldest first. It asks for one message after the
// other: a consumer for each reader would soon reach the stream's limit of consumers.
func (b *Bus) History(ctx context.Context, ref string) ([]Entry, error) {
	if !ValidRef(ref) {
		return nil, fmt.Errorf("%q cannot be a ref: %w", ref, ErrNotFound)
	}
	var entries []Entry
	for next := uint64(1); ; {
		var e Entry
		err := b.call(ctx, "vm.next", func(ctx context.Context) (err error) {
			e, err = b.get(ctx, map[string]any{"seq": next, "next_by_subj": Subject(ref)})
			return err
		})
		switch {
		case errors.Is(err, ErrNotFound) && len(entries) > 0:
			return entries, nil
		case err != nil:
			return nil, fmt.Errorf("read the history of %s: %w", ref, err)
		}
		entries = append(entries, e)
		next = e.Seq + 1
	}
}

// Each calls do with the newest state of every VM. It ends at the first error of do. A VM that
// changes meanwhile may come more than once, newest last; a replica that lags may show a state that
// was newest a moment ago. A message that cannot be decoded is logged and passed over, so that one
// VM cannot hide all others.
func (b *Bus) Each(ctx context.Context, do func(Entry) error) error {
	if err := b.each(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy}, do); err != nil {
		return fmt.Errorf("read all VMs: %w", err)
	}
	return nil
}

// EachSince calls do with every state that was stored after the sequence after, oldest first. Otherwise it
// is like Each. It is for a reader that has what was before, and costs nothing for VMs that did not change.
func (b *Bus) EachSince(ctx context.Context, after uint64, do func(Entry) error) error {
	from := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1}
	if err := b.each(ctx, from, do); err != nil {
		return fmt.Errorf("read what changed after %d: %w", after, err)
	}
	return nil
}

func (b *Bus) each(ctx context.Context, from jetstream.OrderedConsumerConfig, do func(Entry) error) error {
	from.FilterSubjects, from.InactiveThreshold = []string{"vm.*"}, time.Minute
	cons, err := b.js.OrderedConsumer(ctx, StreamVM, from)
	if err != nil {
		return err
	}
	info := cons.CachedInfo()
	defer b.forget(ctx, info.Name)
	if info.NumPending == 0 {
		return nil
	}
	// In a cluster the first request may overtake the news of the consumer and be lost; the missing
	// heartbeat tells soon.
	msgs, err := cons.Messages(jetstream.PullMaxMessages(500), jetstream.PullHeartbeat(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer msgs.Stop()
	defer context.AfterFunc(ctx, msgs.Stop)()
	for {
		msg, err := msgs.Next(jetstream.NextMaxWait(callTimeout))
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		left, err := b.show(msg, do)
		if err != nil || left == 0 {
			return err
		}
	}
}

// forget deletes a consumer that was made for one reading. If that fails it goes by itself once it
// is inactive.
func (b *Bus) forget(ctx context.Context, consumer string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_ = b.js.DeleteConsumer(ctx, StreamVM, consumer)
}

// show calls do with the message's state and returns how many messages are left.
func (b *Bus) show(msg jetstream.Msg, do func(Entry) error) (left uint64, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, err
	}
	entry, err := decodeEntry(msg.Data(), msg.Headers(), meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		b.log.Error("a VM message is passed over", "subject", msg.Subject(), "error", err)
		return meta.NumPending, nil
	}
	return meta.NumPending, do(entry)
}
