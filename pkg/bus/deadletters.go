package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Letter is a dead letter and its place among them.
type Letter struct {
	*vmlinev1.DeadLetter
	// ID is its sequence in the stream DLQ.
	ID uint64
	// stuck says that its message still stands in its stream, where nobody gets it any more.
	stuck bool
}

// Ref is the VM that the message was about, empty for none.
func (l Letter) Ref() string {
	switch tokens := strings.Split(l.GetSubject(), "."); {
	case l.GetStream() == StreamVM && len(tokens) == 2, l.GetStream() == StreamCMD && len(tokens) == 4:
		return tokens[len(tokens)-1]
	}
	return ""
}

// Requeueable says that there is something to send again. Ticks come again by themselves, and dns
// compares every VM anyway.
func (l Letter) Requeueable() bool {
	if l.GetStream() == StreamCMD {
		return len(l.GetPayload()) > 0
	}
	_, steps := stepOwner(l.GetConsumer())
	return l.GetStream() == StreamVM && l.Ref() != "" && steps
}

// stepOwner is the service whose steps a consumer triggers.
func stepOwner(consumer string) (chain.Service, bool) {
	s := chain.Service(consumer)
	return s, s == chain.IPAM || s == chain.Provisioner || s == chain.Lifecycle
}

// terminated begins the subjects of the server's notices of messages that bury has ended. They stand in the stream
// behind bury's own letters, which say more.
const terminated = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."

// DeadLetters returns at most limit dead letters after an id, oldest first: those that services wrote, and
// those of messages whose handler died each time.
func (b *Bus) DeadLetters(ctx context.Context, after uint64, limit int) ([]Letter, error) {
	var list []Letter
	for len(list) < limit {
		m, err := b.deadMessage(ctx, map[string]any{"seq": after + 1, "next_by_subj": ">"})
		switch {
		case errors.Is(err, ErrNotFound):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		if after = m.Seq; !strings.HasPrefix(m.Subject, terminated) {
			list = append(list, b.letter(ctx, m))
		}
	}
	return list, nil
}

// DeadLetterOf returns one dead letter, or ErrNotFound.
func (b *Bus) DeadLetterOf(ctx context.Context, id uint64) (Letter, error) {
	m, err := b.deadMessage(ctx, map[string]any{"seq": id})
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", id, err)
	}
	return b.letter(ctx, m), nil
}

func (b *Bus) deadMessage(ctx context.Context, query map[string]any) (m storedMessage, err error) {
	err = b.call(ctx, "dlq.next", func(ctx context.Context) (err error) {
		m, err = b.message(ctx, StreamDLQ, query)
		return err
	})
	return m, err
}

// letter reads what a service wrote, or what the server says of a message that nobody could handle.
func (b *Bus) letter(ctx context.Context, m storedMessage) Letter {
	l := Letter{DeadLetter: &vmlinev1.DeadLetter{}, ID: m.Seq}
	if strings.HasPrefix(m.Subject, "dlq.") {
		if err := proto.Unmarshal(m.Data, l.DeadLetter); err != nil {
			l.DeadLetter = &vmlinev1.DeadLetter{Error: "this letter cannot be decoded: " + plain(err.Error()), At: timestamppb.New(m.Time)}
		}
		return l
	}
	var advisory struct {
		Stream     string `json:"stream"`
		Consumer   string `json:"consumer"`
		StreamSeq  uint64 `json:"stream_seq"`
		Deliveries uint64 `json:"deliveries"`
		Reason     string `json:"reason"`
	}
	err := json.Unmarshal(m.Data, &advisory)
	l.Stream, l.Consumer, l.Sequence, l.Deliveries, l.At = advisory.Stream, advisory.Consumer, advisory.StreamSeq, advisory.Deliveries, timestamppb.New(m.Time)
	switch {
	case err != nil:
		l.Error = "the server's notice cannot be decoded: " + err.Error()
	case advisory.Reason != "":
		l.Error = advisory.Reason
	default:
		l.Error = "its handler failed or died at each delivery; its service's log may say why"
	}
	if original, err := b.original(ctx, advisory.Stream, advisory.StreamSeq); err == nil {
		l.Subject, l.Payload, l.stuck = original.Subject, original.Data, true
	}
	return l
}

// original is the message that an advisory is about, if it is still there.
func (b *Bus) original(ctx context.Context, stream string, seq uint64) (m storedMessage, err error) {
	if stream != StreamVM && stream != StreamCMD {
		return m, ErrNotFound
	}
	err = b.call(ctx, "dlq.original", func(ctx context.Context) (err error) {
		m, err = b.message(ctx, stream, map[string]any{"seq": seq})
		return err
	})
	return m, err
}

// Requeue has a dead letter's message handled once more: a command is sent again, a VM's owner is told to
// look again. Repeating it is harmless.
func (b *Bus) Requeue(ctx context.Context, l Letter) error {
	owner, steps := stepOwner(l.GetConsumer())
	switch {
	case l.GetStream() == StreamCMD && len(l.GetPayload()) > 0:
		return b.requeueCommand(ctx, l)
	case l.GetStream() == StreamVM && steps:
		last, err := b.Last(ctx, l.Ref())
		if err != nil {
			return err
		}
		return b.Retrigger(ctx, owner, l.Ref(), last.Seq)
	}
	return fmt.Errorf("dead letter %d is looked at again by itself", l.ID)
}

func (b *Bus) requeueCommand(ctx context.Context, l Letter) error {
	msg := nats.NewMsg(l.GetSubject())
	msg.Data = l.GetPayload()
	msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("dlq.%d", l.ID))
	inject(ctx, msg.Header)
	err := b.call(ctx, "cmd.publish", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg)
		return err
	})
	if err != nil {
		return fmt.Errorf("send the command of dead letter %d again: %w", l.ID, err)
	}
	return nil
}

// Discard takes a dead letter away, and the command that it is about: that would be shown as waiting for ever.
// What is gone already is no error.
func (b *Bus) Discard(ctx context.Context, l Letter) error {
	if l.stuck && l.GetStream() == StreamCMD {
		if err := b.remove(ctx, StreamCMD, l.GetSequence()); err != nil {
			return fmt.Errorf("discard the command of dead letter %d: %w", l.ID, err)
		}
	}
	if err := b.remove(ctx, StreamDLQ, l.ID); err != nil {
		return fmt.Errorf("discard dead letter %d: %w", l.ID, err)
	}
	return nil
}

// remove takes a message out of a stream, unless it is gone.
func (b *Bus) remove(ctx context.Context, stream string, seq uint64) error {
	return b.call(ctx, "dlq.discard", func(ctx context.Context) error {
		s, err := b.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		err = s.DeleteMsg(ctx, seq)
		// The server tells one that is gone by the text of its error only, so it is looked for.
		if _, gone := b.message(ctx, stream, map[string]any{"seq": seq}); err != nil && errors.Is(gone, ErrNotFound) {
			return nil
		}
		return err
	})
}
