package bus

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// advance writes a step's result into the state.
func (b *Bus) advance(vm *vmlinev1.VM, step chain.Step, outcome Outcome, err error) {
	var (
		person  *NeedsPerson
		waiting *Waiting
		refused *Refused
	)
	switch {
	case errors.As(err, &refused) && vm.GetOperation().GetTakesUp() != "" && !refused.AsBefore:
		b.park(vm, step, &NeedsPerson{Cause: refused.Cause, Kept: keptHalfway, Next: refused.Next})
	case errors.As(err, &refused):
		b.refuse(vm, step, refused)
	case errors.As(err, &person):
		b.park(vm, step, person)
	case errors.As(err, &waiting):
		b.wait(vm, step, waiting)
	case err != nil:
		b.fail(vm, step, err)
	case outcome == Recorded:
		// The failed attempts are kept: a step that records its task before the task fails must
		// not start to count anew each time.
		vm.Event, vm.Problem = vmlinev1.Event_EVENT_RECORDED, nil
	default:
		b.reach(vm, step)
	}
}

// keptHalfway is what a refusal leaves behind of work that another operation has begun.
const keptHalfway = "What was changed before stays as it is; this operation has changed nothing."

func (b *Bus) reach(vm *vmlinev1.VM, step chain.Step) {
	now := timestamppb.New(b.now())
	vm.Event, vm.Status = vmlinev1.Event_EVENT_REACHED, step.To
	vm.Retry, vm.Problem = nil, nil
	vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: step.To, At: now})
	// A task of a later step, started early, stays for that step to await.
	if !slices.Contains(vm.Operation.Route[len(vm.Operation.Reached):], vm.GetTask().GetStep()) {
		vm.Task = nil
	}
	if chain.Last(vm) {
		vm.Operation.State, vm.Operation.FinishedAt = vmlinev1.Operation_STATE_SUCCEEDED, now
		vm.Carried = nil
	}
}

func (b *Bus) park(vm *vmlinev1.VM, step chain.Step, p *NeedsPerson) {
	vm.Event, vm.Retry = vmlinev1.Event_EVENT_PARKED, nil
	vm.Operation.State = vmlinev1.Operation_STATE_PARKED
	vm.Problem = ProblemOf(p, step.To, b.now())
}

// refuse ends the operation and has the VM be what it was before.
func (b *Bus) refuse(vm *vmlinev1.VM, step chain.Step, r *Refused) {
	op, now := vm.GetOperation(), b.now()
	op.State, op.FinishedAt = vmlinev1.Operation_STATE_REFUSED, timestamppb.New(now)
	op.Problem = ProblemOf(r, step.To, now)
	vm.Event, vm.Retry, vm.Problem, vm.Task, vm.Carried = vmlinev1.Event_EVENT_REFUSED, nil, nil, nil, nil
	if was := op.GetBefore(); was != nil {
		vm.Status, vm.WantedPower = was.GetStatus(), was.GetWantedPower()
		vm.Package, vm.PackageDigest = was.GetPackage(), was.GetPackageDigest()
		vm.TemplateVmid, vm.TemplateNode = was.GetTemplateVmid(), was.GetTemplateNode()
	}
}

// fail plans the next attempt, or asks a person when the step has failed for too long.
func (b *Bus) fail(vm *vmlinev1.VM, step chain.Step, err error) {
	now := b.now()
	retry := vm.GetRetry()
	if retry.GetAttempts() == 0 {
		retry = &vmlinev1.Retry{FirstFailedAt: timestamppb.New(now)}
	}
	failing := now.Sub(retry.GetFirstFailedAt().AsTime())
	if failing >= b.retry.GiveUp {
		b.park(vm, step, &NeedsPerson{
			Cause: fmt.Sprintf("The step %s failed %d times in %s, last with: %s", chain.Name(step.To), retry.GetAttempts()+1, failing.Round(time.Second), err),
			Kept:  "All that was done so far is kept as it is.",
			Next:  nextAfter(err),
		})
		return
	}
	retry.Attempts++
	wait := b.retry.Delay(retry.Attempts)
	var after *RetryAfter
	if errors.As(err, &after) {
		wait = max(after.After, b.retry.First)
	}
	retry.NotBefore = timestamppb.New(now.Add(wait))
	vm.Event, vm.Retry = vmlinev1.Event_EVENT_RETRYING, retry
	vm.Problem = problem(step.To, err.Error(), "Nothing is lost; the step is tried again by itself.", "Nothing to do yet.", retry.GetFirstFailedAt().AsTime())
}

// nextAfter says what a person can do about an error that has lasted too long.
func nextAfter(err error) string {
	if lasting, ok := errors.AsType[*Lasting](err); ok {
		return lasting.Next
	}
	return "Mend the cause, then send the command again."
}

// wait plans the next look of a step that waits for its turn. If it had failed before, that was not
// longer ago after the wait than before it: only failing makes a step give up.
func (b *Bus) wait(vm *vmlinev1.VM, step chain.Step, w *Waiting) {
	now := b.now()
	next := now.Add(max(w.After, b.retry.First))
	first := next
	if retry := vm.GetRetry(); retry.GetAttempts() > 0 {
		waited := next.Sub(retry.GetNotBefore().AsTime())
		first = retry.GetFirstFailedAt().AsTime().Add(waited)
	}
	since := now
	if p := vm.GetProblem(); p.GetStep() == step.To {
		since = p.GetSince().AsTime()
	}
	vm.Event = vmlinev1.Event_EVENT_RETRYING
	vm.Retry = &vmlinev1.Retry{Attempts: vm.GetRetry().GetAttempts(), NotBefore: timestamppb.New(next), FirstFailedAt: timestamppb.New(first)}
	vm.Problem = problem(step.To, w.Reason, "Nothing is lost; the step goes on by itself when its turn comes.", "Nothing to do.", since)
}
