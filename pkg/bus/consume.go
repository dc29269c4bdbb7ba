package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// verdict is what a handler wants done with its message.
type verdict struct {
	kind verdictKind
	err  error
}

type verdictKind int

const (
	ackKind verdictKind = iota
	// againKind leaves the message for a later delivery, because nothing could be stored about it.
	againKind
	// deadKind puts the message aside for ever.
	deadKind
)

var ack = verdict{}

func again(err error) verdict { return verdict{kind: againKind, err: err} }
func dead(err error) verdict  { return verdict{kind: deadKind, err: err} }

// consume hands the messages of a durable consumer to handle until ctx ends, and returns when the
// last handler has. With concurrent set every message gets a goroutine; the consumer's
// MaxAckPending bounds how many there are. A handler that works on is known to be alive: the
// server hears of it three times within AckWait.
func (b *Bus) consume(ctx context.Context, stream, name string, concurrent bool, handle func(context.Context, jetstream.Msg) verdict) error {
	cons, err := b.consumer(ctx, stream, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var working sync.WaitGroup
	run := func(msg jetstream.Msg) {
		defer working.Done()
		b.deliver(ctx, name, msg, handle)
	}
	sub, err := cons.Consume(func(msg jetstream.Msg) {
		if ctx.Err() != nil {
			return
		}
		working.Add(1)
		if concurrent {
			go run(msg)
		} else {
			run(msg)
		}
	}, jetstream.PullMaxMessages(500), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		b.log.Debug("consumer", "stream", stream, "consumer", name, "error", err)
	}))
	if err != nil {
		return fmt.Errorf("consume %s of %s: %w", name, stream, err)
	}
	select {
	case <-ctx.Done():
	case <-sub.Closed():
	}
	lost := ctx.Err() == nil
	cancel()
	sub.Stop()
	<-sub.Closed()
	working.Wait()
	if lost {
		return fmt.Errorf("consumer %s of %s is gone; run vmline apply", name, stream)
	}
	return nil
}

// consumer looks a consumer up, patiently: a service may start before the server does.
func (b *Bus) consumer(ctx context.Context, stream, name string) (jetstream.Consumer, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		cons, err := b.js.Consumer(ctx, stream, name)
		if err == nil {
			return cons, nil
		}
		b.log.Warn("waiting for the consumer", "stream", stream, "consumer", name, "error", err)
		if err := b.pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("find consumer %s of %s: %w", name, stream, err)
		}
	}
}

func (b *Bus) deliver(ctx context.Context, consumer string, msg jetstream.Msg, handle func(context.Context, jetstream.Msg) verdict) {
	defer b.heartbeat(msg)()
	v := b.guard(extract(ctx, msg.Headers()), msg, handle)
	switch {
	case v.kind == ackKind:
		b.acknowledge(ctx, consumer, msg)
	case ctx.Err() != nil:
		// Stopping: what is not acknowledged is delivered again.
		_ = msg.Nak() // if this is lost, AckWait does the same
	case v.kind == againKind:
		b.log.Warn("message is delivered again later", "consumer", consumer, "subject", msg.Subject(), "error", v.err)
		_ = msg.NakWithDelay(b.redeliveryDelay(msg)) // if this is lost, AckWait does the same
	default:
		b.bury(ctx, consumer, msg, v.err)
	}
}

// heartbeat tells the server three times within AckWait that the message is being worked on. A beat
// that is lost is made up by the next; without any, the message comes again.
func (b *Bus) heartbeat(msg jetstream.Msg) (stop func()) {
	var (
		mu      sync.Mutex
		stopped bool
		timer   *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(b.ackWait/3, func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			_ = msg.InProgress()
			timer.Reset(b.ackWait / 3)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// guard turns a panic of one handler into a dead letter instead of the end of the process.
func (b *Bus) guard(ctx context.Context, msg jetstream.Msg, handle func(context.Context, jetstream.Msg) verdict) (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("handler panicked", "subject", msg.Subject(), "panic", p, "stack", string(debug.Stack()))
			v = dead(fmt.Errorf("handler panicked: %v", p))
		}
	}()
	return handle(ctx, msg)
}

func (b *Bus) acknowledge(ctx context.Context, consumer string, msg jetstream.Msg) {
	err := b.call(context.WithoutCancel(ctx), "msg.ack", func(context.Context) error { return msg.Ack() })
	if err != nil && !errors.Is(err, context.Canceled) {
		b.log.Debug("acknowledgement lost; the message comes again and is recognised", "consumer", consumer, "error", err)
	}
}

// redeliveryDelay grows with the deliveries, up to 30 s: such a message holds one of the places
// that bound the work in flight.
func (b *Bus) redeliveryDelay(msg jetstream.Msg) time.Duration {
	meta, err := msg.Metadata()
	if err != nil {
		return time.Second
	}
	return min(100*time.Millisecond<<min(meta.NumDelivered, 10), 30*time.Second)
}
