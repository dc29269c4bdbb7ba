package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// ErrFull says that there is no room for another command now.
var ErrFull = errors.New("the command stream is full")

// SendCommand stores a command. It returns only when the server has it, so that an accepted order
// is never lost. Sending the same command id again is harmless. ErrFull asks the sender to wait;
// ErrUnstorable says that waiting is of no use.
func (b *Bus) SendCommand(ctx context.Context, cmd *vmlinev1.Command) error {
	route, ok := chain.RouteOf(cmd.GetKind())
	if !ok || !ValidRef(cmd.GetRef()) {
		return fmt.Errorf("command %s for %q cannot be sent: unknown kind or bad ref", cmd.GetId(), cmd.GetRef())
	}
	data, err := proto.Marshal(cmd)
	if err != nil {
		return fmt.Errorf("encode command %s: %w", cmd.GetId(), errors.Join(ErrUnstorable, err))
	}
	msg := nats.NewMsg("cmd.lifecycle." + route.Verb() + "." + cmd.GetRef())
	msg.Data = data
	msg.Header.Set(jetstream.MsgIDHeader, cmd.GetId())
	inject(ctx, msg.Header)
	err = b.call(ctx, "cmd.publish", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg)
		return err
	})
	switch {
	case isAPIError(err, errCodeStreamStoreFailed):
		return fmt.Errorf("send command %s: %w", cmd.GetId(), errors.Join(ErrFull, err))
	case tooLarge(err):
		return fmt.Errorf("send command %s: %w", cmd.GetId(), errors.Join(ErrUnstorable, err))
	case err != nil:
		return fmt.Errorf("send command %s: %w", cmd.GetId(), err)
	}
	return nil
}

// errCodeStreamStoreFailed is what a full stream with DiscardNew answers ("maximum messages
// exceeded"). The client library has no name for it.
const errCodeStreamStoreFailed jetstream.ErrorCode = 10077

// PendingCommands returns the commands to a VM that are stored and not admitted or refused yet, oldest
// first.
func (b *Bus) PendingCommands(ctx context.Context, ref string) ([]*vmlinev1.Command, error) {
	if !ValidRef(ref) {
		return nil, nil
	}
	var list []*vmlinev1.Command
	for next := uint64(1); ; {
		var m storedMessage
		err := b.call(ctx, "cmd.next", func(ctx context.Context) (err error) {
			m, err = b.message(ctx, StreamCMD, map[string]any{"seq": next, "next_by_subj": "cmd.lifecycle.*." + ref})
			return err
		})
		switch {
		case errors.Is(err, ErrNotFound):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("read the commands to %s: %w", ref, err)
		}
		cmd := &vmlinev1.Command{}
		if err := proto.Unmarshal(m.Data, cmd); err == nil { // else it is on its way to the dead letters
			list = append(list, cmd)
		}
		next = m.Seq + 1
	}
}

// Commands runs handle for every command until ctx ends. A command is acknowledged once handle has
// stored what came of it; an error leaves it for another delivery.
func (b *Bus) Commands(ctx context.Context, handle func(context.Context, *vmlinev1.Command) error) error {
	return b.consume(ctx, StreamCMD, "lifecycle-cmd", every, func(ctx context.Context, msg jetstream.Msg) verdict {
		cmd := &vmlinev1.Command{}
		if err := proto.Unmarshal(msg.Data(), cmd); err != nil {
			return dead(fmt.Errorf("decode command: %w", err))
		}
		if !ValidRef(cmd.GetRef()) || cmd.GetId() == "" {
			return dead(fmt.Errorf("command %q for %q has no valid id and ref", cmd.GetId(), cmd.GetRef()))
		}
		if err := handle(ctx, cmd); err != nil {
			return again(err)
		}
		return ack
	})
}
