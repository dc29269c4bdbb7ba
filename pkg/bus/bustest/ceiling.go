package bustest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bare is the least that a chain must do: consume, publish behind the fence, acknowledge. It is
// written directly on the client library, with one consumer.
type Bare struct {
	Stream   jetstream.StreamConfig
	Consumer jetstream.ConsumerConfig
	// Payload of every message.
	Payload []byte
	// Steps of one chain: messages after the first.
	Steps int

	ctx    context.Context
	js     jetstream.JetStream
	chains Chains
	steps  sync.WaitGroup
}

// Measure runs n chains at once on a connection of its own to a server without streams.
func (c *Bare) Measure(b *testing.B, nc *nats.Conn, n int) Figures {
	b.Helper()
	var err error
	c.ctx = context.Background()
	if c.js, err = jetstream.New(nc); err != nil {
		b.Fatal(err)
	}
	if _, err := c.js.CreateStream(c.ctx, c.Stream); err != nil {
		b.Fatal(err)
	}
	cons, err := c.js.CreateConsumer(c.ctx, c.Stream.Name, c.Consumer)
	if err != nil {
		b.Fatal(err)
	}
	sub, err := cons.Consume(func(msg jetstream.Msg) {
		c.steps.Go(func() {
			if err := c.step(msg); err != nil {
				b.Error(err)
			}
		})
	}, jetstream.PullMaxMessages(500), jetstream.PullExpiry(2*time.Second))
	if err != nil {
		b.Fatal(err)
	}
	// A chain ends before its last message is acknowledged, which needs the connection.
	defer func() { sub.Stop(); <-sub.Closed(); c.steps.Wait() }()
	return c.chains.Measure(b, n, func(ref string) {
		if err := c.publish(prefix+ref, 0, 0); err != nil {
			b.Error(err)
		}
	})
}

const (
	prefix     = "vm."
	headerStep = "Step"
)

func (c *Bare) step(msg jetstream.Msg) error {
	step, err := strconv.Atoi(msg.Headers().Get(headerStep))
	if err != nil {
		return err
	}
	if step == c.Steps {
		c.chains.End(msg.Subject()[len(prefix):])
		return msg.Ack()
	}
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if err := c.publish(msg.Subject(), step+1, meta.Sequence.Stream); err != nil {
		return err
	}
	return msg.Ack()
}

// publish stores a step's message if nobody wrote since after.
func (c *Bare) publish(subject string, step int, after uint64) error {
	msg := nats.NewMsg(subject)
	msg.Header.Set(headerStep, fmt.Sprint(step))
	msg.Data = c.Payload
	_, err := c.js.PublishMsg(c.ctx, msg, jetstream.WithExpectLastSequencePerSubject(after))
	return err
}
