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
	"google.golang.org/protobuf/types/known/timestamppb"

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

// Run consumes the owner's triggers until ctx ends.
func (w *Worker) Run(ctx context.Context) error {
	return w.bus.consume(ctx, StreamVM, string(w.owner), true, w.handle)
}

// Retry runs the step of a VM whose state still has the sequence seq. It is the handler of retry
// ticks.
func (w *Worker) Retry(ctx context.Context, ref string, seq uint64) error {
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

func (w *Worker) handle(ctx context.Context, msg jetstream.Msg) verdict {
	if msg.Headers().Get(HeaderOwner) != string(w.owner) {
		return ack
	}
	meta, err := msg.Metadata()
	if err != nil {
		return dead(err)
	}
	entry, err := decodeEntry(msg.Data(), msg.Headers(), meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		return dead(err)
	}
	if meta.NumDelivered > 1 {
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
	step, ok := chain.Next(e.VM)
	if !ok || step.Owner != w.owner || !w.begin(e) {
		return nil
	}
	defer w.end(e)
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
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.bus.advance(t.VM, step, outcome, err)
	_, err = w.bus.Append(ctx, t.VM, e.Seq)
	if errors.Is(err, ErrSuperseded) {
		return nil
	}
	return err
}

func (w *Worker) begin(e Entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := trigger{e.VM.GetRef(), e.Seq}
	if w.busy[key] {
		return false
	}
	w.busy[key] = true
	return true
}

func (w *Worker) end(e Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, trigger{e.VM.GetRef(), e.Seq})
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
		return true, w.bus.pause(ctx, wait)
	default:
		return false, w.bus.scheduleRetry(ctx, w.owner, e.VM.GetRef(), e.Seq, at)
	}
}

// advance writes a step's result into the state.
func (b *Bus) advance(vm *vmlinev1.VM, step chain.Step, outcome Outcome, err error) {
	var person *NeedsPerson
	switch {
	case errors.As(err, &person):
		b.park(vm, step, person)
	case err != nil:
		b.fail(vm, step, err)
	case outcome == Recorded:
		vm.Event, vm.Retry, vm.Problem = vmlinev1.Event_EVENT_RECORDED, nil, nil
	default:
		b.reach(vm, step)
	}
}

func (b *Bus) reach(vm *vmlinev1.VM, step chain.Step) {
	now := timestamppb.New(b.now())
	vm.Event, vm.Status = vmlinev1.Event_EVENT_REACHED, step.To
	vm.Task, vm.Retry, vm.Problem = nil, nil, nil
	vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: step.To, At: now})
	if chain.Last(vm) {
		vm.Operation.State, vm.Operation.FinishedAt = vmlinev1.Operation_STATE_SUCCEEDED, now
		vm.Carried = nil
	}
}

func (b *Bus) park(vm *vmlinev1.VM, step chain.Step, p *NeedsPerson) {
	vm.Event, vm.Retry = vmlinev1.Event_EVENT_PARKED, nil
	vm.Operation.State = vmlinev1.Operation_STATE_PARKED
	vm.Problem = &vmlinev1.Problem{Step: step.To, Cause: p.Cause, Kept: p.Kept, Next: p.Next, Since: timestamppb.New(b.now())}
}

// fail plans the next attempt, or asks a person when the step has failed for too long.
func (b *Bus) fail(vm *vmlinev1.VM, step chain.Step, err error) {
	now := b.now()
	retry := vm.GetRetry()
	if retry == nil {
		retry = &vmlinev1.Retry{FirstFailedAt: timestamppb.New(now)}
	}
	failing := now.Sub(retry.GetFirstFailedAt().AsTime())
	if failing >= b.retry.GiveUp {
		b.park(vm, step, &NeedsPerson{
			Cause: fmt.Sprintf("The step %s failed %d times in %s, last with: %s", chain.Name(step.To), retry.GetAttempts()+1, failing.Round(time.Second), err),
			Kept:  "All that was done so far is kept as it is.",
			Next:  "Mend the cause, then send the command again.",
		})
		return
	}
	retry.Attempts++
	wait := b.retry.Delay(retry.Attempts)
	var after *RetryAfter
	if errors.As(err, &after) {
		wait = after.After
	}
	retry.NotBefore = timestamppb.New(now.Add(wait))
	vm.Event, vm.Retry = vmlinev1.Event_EVENT_RETRYING, retry
	vm.Problem = &vmlinev1.Problem{
		Step: step.To, Cause: err.Error(), Kept: "Nothing is lost; the step is tried again by itself.",
		Next: "Nothing to do yet.", Since: retry.GetFirstFailedAt(),
	}
}
