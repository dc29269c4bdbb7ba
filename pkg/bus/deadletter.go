package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// maxDeadPayload bounds what a dead letter keeps of its message.
const maxDeadPayload = 256 << 10

// bury stores a message that can never be handled, with its error, and only then takes it from its
// consumer.
func (b *Bus) bury(ctx context.Context, consumer string, msg jetstream.Msg, cause error) {
	letter := &vmlinev1.DeadLetter{
		Subject: msg.Subject(), Consumer: consumer, Payload: msg.Data(), Error: plain(cause.Error()),
		Retry: fmt.Sprintf("publish the payload on %s again", msg.Subject()),
	}
	if meta, err := msg.Metadata(); err == nil {
		letter.Stream, letter.Sequence, letter.Deliveries = meta.Stream, meta.Sequence.Stream, meta.NumDelivered
	}
	if letter.Stream == StreamVM {
		letter.Retry = "repeat the command that the VM waits for; the sweeper tries the step again by itself"
	}
	if err := b.DeadLetter(ctx, letter); err != nil {
		b.log.Error("cannot store a dead letter; the message is delivered again", "subject", msg.Subject(), "error", err)
		_ = msg.NakWithDelay(redeliveryDelay(msg)) // if this is lost, AckWait does the same
		return
	}
	if err := msg.TermWithReason(singleLine(cause.Error())); err != nil {
		b.log.Warn("cannot end a dead message; it will be buried again", "subject", msg.Subject(), "error", err)
	}
}

// DeadLetter stores what could not be done.
func (b *Bus) DeadLetter(ctx context.Context, letter *vmlinev1.DeadLetter) error {
	letter.At = timestamppb.New(b.now())
	if len(letter.Payload) > maxDeadPayload {
		letter.Payload = letter.Payload[:maxDeadPayload]
	}
	data, err := proto.Marshal(letter)
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	msg := nats.NewMsg("dlq." + letter.GetConsumer())
	msg.Data = data
	// One letter for one message, however often it is buried.
	msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%s.%d", letter.GetStream(), letter.GetConsumer(), letter.GetSequence()))
	msg.Header.Set(headerError, singleLine(letter.GetError()))
	inject(ctx, msg.Header)
	err = b.call(ctx, "dlq.publish", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg)
		return err
	})
	if err != nil {
		return fmt.Errorf("store dead letter: %w", err)
	}
	return nil
}

// singleLine makes a text fit for a header that people read in a list.
func singleLine(s string) string {
	out := []rune(oneLine(s))
	return string(out[:min(len(out), 500)])
}
