package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestWhatTheServerGaveUpIsALetterToo has the server's notice of a message whose handler died each time.
func TestWhatTheServerGaveUpIsALetterToo(t *testing.T) {
	t.Parallel()
	b := apply(t, open(t, Options{}))
	ctx := testContext(t)
	seq := begin(t, b, "a-1", vmlinev1.Operation_KIND_CREATE)
	const subject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.VM."
	for _, consumer := range []string{"ipam", "dns"} {
		notice := fmt.Sprintf(`{"stream":"VM","consumer":%q,"stream_seq":%d,"deliveries":25}`, consumer, seq)
		if _, err := b.js.Publish(ctx, subject+consumer, []byte(notice)); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := b.DeadLetters(ctx, 0, 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("%v, %v", letters, err)
	}
	l := letters[0]
	if l.Ref() != "a-1" || l.GetConsumer() != string(chain.IPAM) || l.GetDeliveries() != 25 || l.GetError() == "" || !l.Requeueable() {
		t.Errorf("the letter is %v", l)
	}
	if letters[1].Requeueable() {
		t.Error("dns compares every VM anyway")
	}
	for range 2 { // repeating it is harmless
		if err := b.Requeue(ctx, l); err != nil {
			t.Error(err)
		}
		if err := b.Discard(ctx, l); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.DeadLetterOf(ctx, l.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestACommandThatTheServerGaveUp is put back by its letter: it is handled once more, and none is left that would
// be shown as waiting.
func TestACommandThatTheServerGaveUp(t *testing.T) {
	t.Parallel()
	b := apply(t, open(t, Options{}))
	ctx := testContext(t)
	sent := &vmlinev1.Command{Id: "a-1.op", Ref: "a-1", Kind: vmlinev1.Operation_KIND_CREATE}
	if err := b.SendCommand(ctx, sent); err != nil {
		t.Fatal(err)
	}
	giveUp(t, b, StreamCMD, "lifecycle-cmd")
	var letters []Letter
	for len(letters) == 0 { // the server writes it by itself
		var err error
		if letters, err = b.DeadLetters(ctx, 0, 10); err != nil {
			t.Fatal(err)
		}
	}
	if l := letters[0]; l.Ref() != sent.GetRef() || l.GetDeliveries() != deliveries || !l.Requeueable() {
		t.Fatalf("the letter is %v", l)
	}
	if err := errors.Join(b.Requeue(ctx, letters[0]), b.Discard(ctx, letters[0])); err != nil {
		t.Fatal(err)
	}
	handled, done := context.WithCancel(ctx)
	err := b.Commands(handled, func(_ context.Context, cmd *vmlinev1.Command) error {
		defer done()
		if !proto.Equal(cmd, sent) {
			t.Errorf("got %v, want %v", cmd, sent)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for { // the server takes the acknowledgement in its own time
		waiting, err := b.PendingCommands(ctx, sent.GetRef())
		if err != nil {
			t.Fatalf("a command is shown as waiting until %v", err)
		}
		if len(waiting) == 0 {
			return
		}
	}
}

// giveUp refuses a consumer's first message as often as the server delivers it.
func giveUp(t *testing.T, b *Bus, stream, consumer string) {
	t.Helper()
	ctx := testContext(t)
	cons, err := b.js.Consumer(ctx, stream, consumer)
	if err != nil {
		t.Fatal(err)
	}
	for range deliveries {
		msg, err := cons.Next()
		if err == nil {
			err = msg.Nak()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cons.Next(jetstream.FetchMaxWait(time.Second)); err == nil { // with this request it gives up
		t.Fatal("it was delivered once more")
	}
}

// TestABuriedMessageIsOneLetter: the server's notice that the message was ended is no second one.
func TestABuriedMessageIsOneLetter(t *testing.T) {
	t.Parallel()
	b := apply(t, open(t, Options{}))
	ctx := testContext(t)
	consuming, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		if err := b.Commands(consuming, func(context.Context, *vmlinev1.Command) error { return nil }); err != nil {
			t.Errorf("the consumer ended with %v", err)
		}
	})
	unreadable := nats.NewMsg("cmd.lifecycle.create.a-1")
	unreadable.Data = []byte{0xff}
	heard(t, b, advisoryTerminated, func() {
		if _, err := b.js.PublishMsg(ctx, unreadable); err != nil {
			t.Fatal(err)
		}
	})
	for stored := uint64(0); stored < 2; { // the letter and the notice
		stream, err := b.js.Stream(ctx, StreamDLQ)
		if err != nil {
			t.Fatal(err)
		}
		stored = stream.CachedInfo().State.Msgs
	}
	letters, err := b.DeadLetters(ctx, 0, 10)
	if err != nil || len(letters) != 1 || letters[0].GetSubject() != unreadable.Subject || string(letters[0].GetPayload()) != "\xff" {
		t.Errorf("%v, %v", letters, err)
	}
}
