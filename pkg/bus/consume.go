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

func dead(err error) verdict { return verdict{kind: deadKind, err: err} }

// again leaves the message for later, unless its error says that later is no better.
func again(err error) verdict {
	if errors.Is(err, ErrUnstorable) {
		return dead(err)
	}
	return verdict{kind: againKind, err: err}
}

// handler decides about one message.
type handler func(context.Context, jetstream.Msg) verdict

// consumption is one run of a durable consumer's messages through a handler.
type consumption struct {
	bus     *Bus
	name    string
	ackWait time.Duration
	handle  handler
	// closed is closed once the server hands this process no more messages.
	closed <-chan struct{}
}

const pullExpiry = 2 * time.Second

// every is for consumers whose messages are all for their handler.
func every(jetstream.Msg) bool { return true }

// consume hands the messages of a durable consumer to handle until ctx ends, and returns when the
// last handler has. Every message that is mine gets a goroutine; the consumer's MaxAckPending bounds
// how many there are. The others are acknowledged in passing.
func (b *Bus) consume(ctx context.Context, stream, name string, mine func(jetstream.Msg) bool, handle handler) error {
	cons, err := b.consumer(ctx, stream, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closed := make(chan struct{})
	c := &consumption{bus: b, name: name, ackWait: cons.CachedInfo().Config.AckWait, handle: handle, closed: closed}
	var working sync.WaitGroup
	sub, err := cons.Consume(
		func(msg jetstream.Msg) {
			if !mine(msg) {
				_ = msg.Ack() // if this is lost, the message comes again
				return
			}
			working.Go(func() { c.deliver(ctx, msg) })
		},
		jetstream.PullMaxMessages(500),
		// How long a request that the server has lost can go unnoticed; the client's default is 30 s.
		jetstream.PullExpiry(pullExpiry),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			b.log.Info("consumer", "stream", stream, "consumer", name, "error", err)
		}))
	if err != nil {
		return fmt.Errorf("consume %s of %s: %w", name, stream, err)
	}
	// Asked for once and early: asked for after Stop, it may be closed while a message is still
	// being handed over.
	subClosed := sub.Closed()
	select {
	case <-ctx.Done():
	case <-subClosed:
	}
	lost := ctx.Err() == nil
	cancel()
	sub.Stop()
	<-subClosed
	close(closed)
	working.Wait()
	if lost {
		return b.lost(stream, name)
	}
	return nil
}

func (b *Bus) lost(stream, name string) error {
	if b.nc.IsClosed() {
		return fmt.Errorf("consume %s of %s: the connection to NATS was closed", name, stream)
	}
	return fmt.Errorf("consumer %s of %s is gone; run vmline apply", name, stream)
}

// consumer looks a consumer up.
func (b *Bus) consumer(ctx context.Context, stream, name string) (cons jetstream.Consumer, err error) {
	err = b.patiently(ctx, "consumer "+name+" of "+stream, func() error {
		cons, err = b.js.Consumer(ctx, stream, name)
		return err
	})
	return cons, err
}

// patiently repeats find, which looks for what Apply makes, until it succeeds or ctx ends: a service may
// start before the server does.
func (b *Bus) patiently(ctx context.Context, what string, find func() error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := find()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			b.log.Warn("waiting for "+what, "error", err)
		}
		if err := Pause(ctx, wait); err != nil {
			return fmt.Errorf("find %s: %w", what, err)
		}
	}
}

func (c *consumption) deliver(ctx context.Context, msg jetstream.Msg) {
	defer c.heartbeat(msg)()
	v := c.guard(extract(ctx, msg.Headers()), msg)
	switch {
	case v.kind == ackKind:
		c.acknowledge(ctx, msg)
	case ctx.Err() != nil:
		// Given back only once this process asks for no more: it would come back at once, and
		// each time would cost one of its deliveries.
		<-c.closed
		_ = msg.Nak() // if this is lost, AckWait does the same
	case v.kind == againKind:
		if v.err != nil {
			c.bus.log.Warn("message is delivered again later", "consumer", c.name, "subject", msg.Subject(), "error", v.err)
		}
		_ = msg.NakWithDelay(redeliveryDelay(msg)) // if this is lost, AckWait does the same
	default:
		c.bus.bury(ctx, c.name, msg, v.err)
	}
}

// heartbeat tells the server three times within AckWait that the message is being worked on. A beat
// that is lost is made up by the next; without any, the message comes again.
func (c *consumption) heartbeat(msg jetstream.Msg) (stop func()) {
	var (
		mu      sync.Mutex
		stopped bool
		timer   *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(c.ackWait/3, func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			_ = msg.InProgress()
			timer.Reset(c.ackWait / 3)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// guard starts no handler after the end, and turns a panic of one handler into a dead letter
// instead of the end of the process.
func (c *consumption) guard(ctx context.Context, msg jetstream.Msg) (v verdict) {
	if ctx.Err() != nil {
		return again(ctx.Err())
	}
	defer func() {
		if p := recover(); p != nil {
			c.bus.log.Error("handler panicked", "subject", msg.Subject(), "panic", p, "stack", string(debug.Stack()))
			v = dead(fmt.Errorf("handler panicked: %v", p))
		}
	}()
	return c.handle(ctx, msg)
}

func (c *consumption) acknowledge(ctx context.Context, msg jetstream.Msg) {
	err := c.bus.call(context.WithoutCancel(ctx), "msg.ack", func(context.Context) error { return msg.Ack() })
	if err != nil {
		c.bus.log.Debug("acknowledgement lost; the message comes again and is recognised", "consumer", c.name, "error", err)
	}
}

// redeliveryDelay grows with the deliveries, up to 30 s: such a message holds one of the places
// that bound the work in flight.
func redeliveryDelay(msg jetstream.Msg) time.Duration {
	meta, err := msg.Metadata()
	if err != nil {
		return time.Second
	}
	return min(100*time.Millisecond<<min(meta.NumDelivered, 10), 30*time.Second)
}
