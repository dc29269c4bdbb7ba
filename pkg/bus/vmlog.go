package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Headers of a VM message beside those of JetStream and W3C trace context.
const (
	// HeaderOwner names the service that is to act on the message, so that the others need not
	// decode it. Empty means nobody.
	HeaderOwner = "Vmline-Owner"
	// HeaderWrite is unique to one write, so that its writer knows it again after a lost
	// acknowledgement.
	HeaderWrite = "Vmline-Write"
	// HeaderStatus is the local status by name, for people who tail the stream.
	HeaderStatus = "Vmline-Status"
)

// refPattern is what a ref may look like: it is a token of a subject.
var refPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidRef says whether ref can be a VM's key.
func ValidRef(ref string) bool { return refPattern.MatchString(ref) }

// Subject is the one subject of a VM.
func Subject(ref string) string { return "vm." + ref }

// TailSubject is where a VM's messages are published again for those who watch.
func TailSubject(ref string) string { return "tail.vm." + ref }

// Entry is a VM's state and its place in the log.
type Entry struct {
	VM *vmlinev1.VM
	// Seq is the sequence in the stream: the fence of the next write.
	Seq  uint64
	Time time.Time

	write string
}

// Last returns the newest state of a VM, or ErrNotFound. It asks the stream's leader, because a
// decision to act must not rest on a replica that lags.
func (b *Bus) Last(ctx context.Context, ref string) (Entry, error) {
	if !ValidRef(ref) {
		return Entry{}, fmt.Errorf("%q cannot be a ref: %w", ref, ErrNotFound)
	}
	var e Entry
	err := b.call(ctx, "vm.last", func(ctx context.Context) error {
		var err error
		e, err = b.last(ctx, ref)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("read the state of %s: %w", ref, err)
	}
	return e, nil
}

func (b *Bus) last(ctx context.Context, ref string) (Entry, error) {
	return b.get(ctx, map[string]any{"last_by_subj": Subject(ref)})
}

// get asks the VM stream for one message.
func (b *Bus) get(ctx context.Context, query map[string]any) (Entry, error) {
	m, err := b.message(ctx, StreamVM, query)
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(m.Data, m.Header, m.Seq, m.Time)
}

// storedMessage is one message of a stream.
type storedMessage struct {
	Subject string
	Seq     uint64
	Data    []byte
	Header  nats.Header
	Time    time.Time
}

// message asks a stream's leader for one message. The client library would ask any replica.
func (b *Bus) message(ctx context.Context, stream string, query map[string]any) (storedMessage, error) {
	req, err := json.Marshal(query)
	if err != nil {
		return storedMessage{}, err
	}
	resp, err := b.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, req)
	if err != nil {
		return storedMessage{}, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Hdrs    []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(resp.Data, &answer); err != nil {
		return storedMessage{}, fmt.Errorf("decode the server's answer: %w", err)
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return storedMessage{}, ErrNotFound
		}
		return storedMessage{}, answer.Error
	}
	m := storedMessage{Subject: answer.Message.Subject, Seq: answer.Message.Seq, Data: answer.Message.Data, Time: answer.Message.Time}
	if len(answer.Message.Hdrs) == 0 {
		return m, nil
	}
	if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Hdrs); err != nil {
		return storedMessage{}, fmt.Errorf("decode headers: %w", err)
	}
	return m, nil
}

func decodeEntry(data []byte, header nats.Header, seq uint64, at time.Time) (Entry, error) {
	vm := &vmlinev1.VM{}
	if err := proto.Unmarshal(data, vm); err != nil {
		return Entry{}, fmt.Errorf("decode VM message %d: %w", seq, err)
	}
	return Entry{VM: vm, Seq: seq, Time: at, write: header.Get(HeaderWrite)}, nil
}

// Append writes the VM's next state if nobody wrote since after, the sequence that the state is
// built on (0 for a new VM). It returns the new sequence, ErrSuperseded, or ErrUnstorable. A lost
// acknowledgement is settled by reading what stands last; while the server cannot be asked, Append
// goes on until ctx ends.
func (b *Bus) Append(ctx context.Context, vm *vmlinev1.VM, after uint64) (uint64, error) {
	seq, err := b.fence(ctx, vm, after)
	if err != nil {
		return 0, fmt.Errorf("write the state of %s: %w", vm.GetRef(), err)
	}
	return seq, nil
}

func (b *Bus) fence(ctx context.Context, vm *vmlinev1.VM, after uint64) (uint64, error) {
	msg, err := b.encode(ctx, vm)
	if err != nil {
		return 0, err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		seq, err := b.append(ctx, msg, after)
		if err == nil {
			return seq, nil
		}
		settled, seq, settleErr := b.settle(ctx, vm.GetRef(), msg.Header.Get(HeaderWrite), after)
		switch {
		case settled:
			return seq, settleErr
		case ctx.Err() != nil:
			return 0, errors.Join(ctx.Err(), err)
		case tooLarge(err):
			return 0, errors.Join(ErrUnstorable, err)
		case !retryable(err):
			return 0, err
		}
		if Pause(ctx, pause) != nil {
			return 0, errors.Join(ctx.Err(), err)
		}
	}
}

// The pauses between attempts of one write start short, because the server was just asked and
// answered that nothing was written yet, and grow in case it cannot be asked.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// errCodeTooLarge is the answer to a message over the stream's MaxMsgSize. The client library has
// no name for it.
const errCodeTooLarge jetstream.ErrorCode = 10054

func tooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || isAPIError(err, errCodeTooLarge)
}

func (b *Bus) encode(ctx context.Context, vm *vmlinev1.VM) (*nats.Msg, error) {
	if !ValidRef(vm.GetRef()) {
		return nil, fmt.Errorf("%q cannot be a ref: %w", vm.GetRef(), ErrUnstorable)
	}
	vm.UpdatedAt = timestamppb.New(b.now())
	data, err := proto.Marshal(vm)
	if err != nil {
		return nil, errors.Join(ErrUnstorable, err)
	}
	msg := nats.NewMsg(Subject(vm.GetRef()))
	msg.Data = data
	msg.Header.Set(HeaderWrite, b.newID())
	msg.Header.Set(HeaderStatus, chain.Name(vm.GetStatus()))
	if owner, ok := chain.Acts(vm); ok {
		msg.Header.Set(HeaderOwner, string(owner))
	}
	inject(ctx, msg.Header)
	return msg, nil
}

func (b *Bus) append(ctx context.Context, msg *nats.Msg, after uint64) (seq uint64, err error) {
	err = b.call(ctx, "vm.append", func(ctx context.Context) error {
		ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(after), jetstream.WithRetryAttempts(0))
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	return seq, err
}

// settle reads the last message after a failed write. Codes 10071 and 10164, a time-out and a lost
// connection all end here, because none of them says whether the write itself was stored.
func (b *Bus) settle(ctx context.Context, ref, write string, after uint64) (settled bool, seq uint64, err error) {
	last, err := b.Last(ctx, ref)
	switch {
	case errors.Is(err, ErrNotFound) && after == 0:
		return false, 0, nil
	case err != nil:
		return false, 0, err
	case last.write == write:
		return true, last.Seq, nil
	case last.Seq != after:
		return true, 0, ErrSuperseded
	default:
		return false, 0, nil
	}
}

// retryable says whether a failed write may succeed when it is repeated unchanged: it met another
// write in flight, the server had trouble, or there was no answer.
func retryable(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return !errors.Is(err, nats.ErrConnectionClosed)
	}
	return api.Code >= 500 ||
		isAPIError(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Pause waits, or returns the error of ctx if that ends first.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
