package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
)

// The questions that services answer.
const (
	// QuestionPlan: what would the service's steps of an operation do? PlanRequest, PlanReply.
	QuestionPlan = "plan"
	// QuestionInventory: what do the clusters have to choose from? InventoryRequest, InventoryReply.
	QuestionInventory = "inventory"
	// QuestionSight: which clusters can be seen now, and since when not the others? SightRequest, SightReply.
	QuestionSight = "sight"
	// QuestionHistory: who had an address, and when? AddressHistoryRequest, AddressHistoryReply.
	QuestionHistory = "history"
	// QuestionPools: what pools are there, and what of them is held? PoolsRequest, PoolsReply.
	QuestionPools = "pools"
	// QuestionDiff: where do the DNS servers hold something else than they should? DnsDiffRequest,
	// DnsDiffReply.
	QuestionDiff = "diff"
)

// ErrNobody says that no process of the service that was asked runs.
var ErrNobody = errors.New("nobody answers")

// askTimeout bounds a question. Whoever asks may give less time by its context.
const askTimeout = 20 * time.Second

// answersAtOnce is how many questions one process answers at the same time; further ones wait.
const answersAtOnce = 16

// headerError has the text of an error: of a dead letter, or instead of an answer.
const headerError = "Vmline-Error"

// Answer answers one question, whose request is encoded.
type Answer func(ctx context.Context, request []byte) (proto.Message, error)

// AnswerWith decodes the request for a function.
func AnswerWith[Q any, Request interface {
	*Q
	proto.Message
}, Reply proto.Message](answer func(context.Context, Request) (Reply, error)) Answer {
	return func(ctx context.Context, data []byte) (proto.Message, error) {
		request := Request(new(Q))
		if err := proto.Unmarshal(data, request); err != nil {
			return nil, fmt.Errorf("decode the question: %w", err)
		}
		return answer(ctx, request)
	}
}

// Answers answers questions to a service until ctx ends. One process of the service gets each question.
func (b *Bus) Answers(ctx context.Context, service chain.Service, questions map[string]Answer) error {
	msgs := make(chan *nats.Msg, 64)
	sub, err := b.nc.ChanQueueSubscribe("ask."+string(service)+".*", string(service), msgs)
	if err != nil {
		return fmt.Errorf("answer questions to %s: %w", service, err)
	}
	slots := make(chan struct{}, answersAtOnce)
	defer func() {
		// First, so that other processes get what is asked from now on. It ends with the connection anyway.
		_ = sub.Unsubscribe()
		for range answersAtOnce { // the answers that are on their way
			slots <- struct{}{}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-msgs:
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			go func() {
				defer func() { <-slots }()
				b.answer(ctx, msg, questions[msg.Subject[len("ask.")+len(service)+1:]])
			}()
		}
	}
}

func (b *Bus) answer(ctx context.Context, msg *nats.Msg, answer Answer) {
	ctx, cancel := context.WithTimeout(extract(ctx, msg.Header), askTimeout)
	defer cancel()
	reply := nats.NewMsg(msg.Reply)
	data, err := b.reply(ctx, msg, answer)
	if reply.Data = data; err != nil {
		reply.Header.Set(headerError, oneLine(err.Error()))
	}
	if err := msg.RespondMsg(reply); err != nil {
		b.log.Info("an answer could not be sent", "question", msg.Subject, "error", err)
	}
}

// reply makes the answer. A panic ends the question, not the process with all that it works on.
func (b *Bus) reply(ctx context.Context, msg *nats.Msg, answer Answer) (data []byte, err error) {
	if answer == nil {
		return nil, fmt.Errorf("%s is no question that is answered here", msg.Subject)
	}
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("an answer panicked", "question", msg.Subject, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("the service made a mistake; its log has the details")
		}
	}()
	message, err := answer(ctx, msg.Data)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(message)
}

// Ask asks a service and decodes its answer into reply. It returns ErrNobody where no process of the
// service runs.
func (b *Bus) Ask(ctx context.Context, service chain.Service, question string, request, reply proto.Message) error {
	data, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode a question to %s: %w", service, err)
	}
	msg := nats.NewMsg("ask." + string(service) + "." + question)
	msg.Data = data
	inject(ctx, msg.Header)
	err = b.intercept(ctx, "ask", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		answer, err := b.nc.RequestMsgWithContext(ctx, msg)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return ErrNobody
		case err != nil:
			return err
		case answer.Header.Get(headerError) != "":
			return errors.New(answer.Header.Get(headerError))
		}
		return proto.Unmarshal(answer.Data, reply)
	})
	if err != nil {
		return fmt.Errorf("ask %s for its %s: %w", service, question, err)
	}
	return nil
}
