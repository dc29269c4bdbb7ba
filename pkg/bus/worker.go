package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Outcome is how a step ended without an error.
type Outcome int

// The outcomes.
const (
	// Done: the status that the step leads to is reached.
	Done Outcome = iota
	// Recorded: the step learned something that must be stored before it goes on. It is called
	// again with the stored state.
	Recorded
)

// Trigger is a VM's state that asks a service for its step.
type Trigger struct {
	// VM is the step's own copy: what the step writes into it is stored with its outcome, also
	// when the outcome is an error.
	VM *vmlinev1.VM
	// Step is the row of the table.
	Step chain.Step
	// Overtaken, which a step may set, takes back what the step has done and nobody else would: it is called
	// where the step's outcome is not stored because a newer state came first. It looks at that state, and does
	// nothing where that one makes use of it. ErrSuperseded is no failure of it.
	Overtaken func(context.Context) error

	bus *Bus
	seq uint64
}

// Current returns ErrSuperseded if the VM's state is no longer the one that asked for this step. It
// is called right before every call that could not be taken back.
func (t *Trigger) Current(ctx context.Context) error {
	last, err := t.bus.Last(ctx, t.VM.GetRef())
	if err != nil {
		return err
	}
	if last.Seq != t.seq {
		return fmt.Errorf("step %s of %s: %w", chain.Name(t.Step.To), t.VM.GetRef(), ErrSuperseded)
	}
	return nil
}

// StepFunc does the work of one step. It observes before it acts: it may be called twice, at the
// same time by two workers, or again after its process was killed anywhere. A plain error is
// transient; *NeedsPerson parks the operation; ErrSuperseded drops the work.
type StepFunc func(context.Context, *Trigger) (Outcome, error)

// Worker runs the steps that a service owns.
type Worker struct {
	bus   *Bus
	owner chain.Service
	steps map[vmlinev1.Status]StepFunc
	// queued begins a VM's queued command; only lifecycle has it.
	queued func(context.Context, Entry) error

	mu sync.Mutex
	// busy has the triggers that this process works on, so that a second message for the same
	// state is not worked on beside the first.
	busy map[trigger]bool
}

type trigger struct {
	ref string
	seq uint64
}

// NewWorker returns a worker for exactly the steps that the table gives to owner.
func (b *Bus) NewWorker(owner chain.Service, steps map[vmlinev1.Status]StepFunc) (*Worker, error) {
	own := chain.StepsOf(owner)
	for _, s := range own {
		if steps[s.To] == nil {
			return nil, fmt.Errorf("%s owns the step to %s but has no function for it", owner, chain.Name(s.To))
		}
	}
	if len(own) != len(steps) {
		return nil, fmt.Errorf("%s has functions for %d steps, the table gives it %d", owner, len(steps), len(own))
	}
	return &Worker{bus: b, owner: owner, steps: steps, busy: map[trigger]bool{}}, nil
}

// Queued has begin called with each VM whose queued command is due.
func (w *Worker) Queued(begin func(context.Context, Entry) error) { w.queued = begin }

// Run consumes the owner's triggers until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	return w.bus.consume(ctx, StreamVM, string(w.owner), w.mine, w.handle)
}

// stale is the age from which on a trigger may well have been answered by somebody else: it waited
// in a queue, or its consumer was made again.
const stale = 5 * time.Second

// Retry runs the step of a VM whose state still has the sequence seq. It is the handler of retry
// ticks.
func (w *Worker) Retry(ctx context.Context, ref string, seq uint64) error {
	if !w.begin(ref, seq) {
		return nil
	}
	defer w.end(ref, seq)
	last, err := w.bus.Last(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if last.Seq != seq {
		return nil
	}
	return w.work(ctx, last)
}

// mine needs no more than a header, because most messages are another service's.
func (w *Worker) mine(msg jetstream.Msg) bool {
	return msg.Headers().Get(HeaderOwner) == string(w.owner)
}

func (w *Worker) handle(ctx context.Context, msg jetstream.Msg) verdict {
	meta, err := msg.Metadata()
	if err != nil {
		return dead(err)
	}
	entry, err := decodeEntry(msg.Data(), msg.Headers(), meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		return dead(err)
	}
	if !w.begin(entry.VM.GetRef(), entry.Seq) {
		// Kept until it is settled, in case the work that goes on does not come to its end.
		return again(nil)
	}
	defer w.end(entry.VM.GetRef(), entry.Seq)
	if meta.NumDelivered > 1 || w.bus.now().Sub(entry.Time) > stale {
		// It was worked on before, perhaps to the end: what stands last decides.
		last, err := w.bus.Last(ctx, entry.VM.GetRef())
		if err != nil {
			return again(err)
		}
		if last.Seq != entry.Seq {
			return ack
		}
	}
	if err := w.work(ctx, entry); err != nil {
		return again(err)
	}
	return ack
}

// work runs the step that the entry asks for and stores its result. An error means that nothing
// could be stored.
func (w *Worker) work(ctx context.Context, e Entry) error {
	if w.queued != nil && chain.QueueDue(e.VM) {
		return w.queued(ctx, e)
	}
	step, ok := chain.Next(e.VM)
	if !ok || step.Owner != w.owner {
		return nil
	}
	due, err := w.await(ctx, e)
	if !due {
		return err
	}
	ctx, span := tracer().Start(ctx, chain.Name(step.To), trace.WithAttributes(
		attribute.String("vmline.ref", e.VM.GetRef()), attribute.String("vmline.operation", e.VM.GetOperation().GetId())))
	defer span.End()
	t := &Trigger{VM: proto.CloneOf(e.VM), Step: step, bus: w.bus, seq: e.Seq}
	outcome, err := w.steps[step.To](ctx, t)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	if errors.Is(err, ErrSuperseded) {
		w.takeBack(ctx, t)
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // stopping: the error says nothing about the step
	}
	w.bus.advance(t.VM, step, outcome, err)
	return w.store(ctx, t)
}

// store writes the step's result. What a step achieved is stored also while the process is stopping.
func (w *Worker) store(ctx context.Context, t *Trigger) error {
	ctx, cancel := untilStored(ctx)
	defer cancel()
	_, err := w.bus.Append(ctx, t.VM, t.seq)
	if errors.Is(err, ErrSuperseded) {
		w.takeBack(ctx, t)
		return nil
	}
	return err
}

// takeBack has the step take back what it has done, now that it was overtaken. What cannot be taken back is for
// the service's own comparison to find.
func (w *Worker) takeBack(ctx context.Context, t *Trigger) {
	if t.Overtaken == nil {
		return
	}
	ctx, cancel := untilStored(ctx)
	defer cancel()
	if err := t.Overtaken(ctx); err != nil && !errors.Is(err, ErrSuperseded) {
		w.bus.log.Warn("what an overtaken step has done could not be taken back", "ref", t.VM.GetRef(), "step", chain.Name(t.Step.To), "error", err)
	}
}

// untilStored is ctx, or a little time where that has ended.
func untilStored(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
}

func (w *Worker) begin(ref string, seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := trigger{ref, seq}
	if w.busy[key] {
		return false
	}
	w.busy[key] = true
	return true
}

func (w *Worker) end(ref string, seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, trigger{ref, seq})
}

// await waits until the VM's next attempt is due. A short wait is held in hand, a long one becomes
// a tick; then due is false and the message may go.
func (w *Worker) await(ctx context.Context, e Entry) (due bool, err error) {
	if e.VM.GetRetry() == nil {
		return true, nil
	}
	at := e.VM.GetRetry().GetNotBefore().AsTime()
	wait := at.Sub(w.bus.now())
	switch {
	case wait <= 0:
		return true, nil
	case wait <= w.bus.retry.Hold:
		err := Pause(ctx, wait)
		return err == nil, err
	default:
		return false, w.bus.scheduleRetry(ctx, w.owner, e.VM.GetRef(), e.Seq, at)
	}
}
