package lifecycle_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// deaf is a lifecycle whose acknowledgements get lost until hears, so that every command comes again.
func deaf(t *testing.T) (w *world, hears func()) {
	t.Helper()
	w = &world{rig.New(t, rig.Options{AckWait: time.Second})}
	var heard atomic.Bool
	w.Start(chain.Lifecycle, rig.Edge{Bus: func(ctx context.Context, call string, do func(context.Context) error) error {
		if call == "msg.ack" && !heard.Load() {
			return nil
		}
		return do(ctx)
	}})
	return w, func() { heard.Store(true) }
}

// TestACommandThatComesAgainIsDoneOnce: it comes again when another command has already taken back what it did.
func TestACommandThatComesAgainIsDoneOnce(t *testing.T) {
	t.Parallel()
	w, hears := deaf(t)
	const ref = "again-7701"
	w.place(t, ref, 701, nil)
	for _, kind := range []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND} {
		w.Await(ref, ended(w.Send(ref, kind, nil)))
	}
	hears()
	w.AwaitRest(bus.StreamCMD, "lifecycle-cmd")
	w.CheckLog(ref)
	last, err := w.Bus.Last(t.Context(), ref)
	must(t, err)
	if last.VM.GetStatus() != ready || last.VM.GetOperation().GetKind() != vmlinev1.Operation_KIND_UNSUSPEND {
		t.Errorf("it ends as %v", last.VM)
	}
}

// TestACommandThatComesAgainKeepsItsPlaceInTheQueue: what a later command has pushed out of the queue does not
// push that one out, and is told so whenever that was missed.
func TestACommandThatComesAgainKeepsItsPlaceInTheQueue(t *testing.T) {
	t.Parallel()
	w, hears := deaf(t)
	const ref = "again-7702"
	w.place(t, ref, 702, nil)
	w.Sim.SetLock(702, "backup")
	stop := w.Send(ref, vmlinev1.Operation_KIND_STOP, nil)
	w.Await(ref, waits("backup"))
	queue := func(kind vmlinev1.Operation_Kind) string {
		id := w.Send(ref, kind, nil)
		w.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetQueued().GetId() == id })
		return id
	}
	first := queue(vmlinev1.Operation_KIND_SUSPEND)
	hears()
	later := queue(vmlinev1.Operation_KIND_UNSUSPEND)
	w.AwaitRest(bus.StreamCMD, "lifecycle-cmd")
	last, err := w.Bus.Last(t.Context(), ref)
	must(t, err)
	if last.VM.GetQueued().GetId() != later {
		t.Errorf("%v stands in the queue, want the later", last.VM.GetQueued())
	}
	if refusal := w.AwaitRefusal(first); refusal.GetProblem().GetCause() != "unsuspend came and took its place in the queue" {
		t.Errorf("the first is told %q", refusal.GetProblem().GetCause())
	}
	w.Sim.SetLock(702, "")
	vm := w.Await(ref, func(vm *vmlinev1.VM) bool { return ended(stop)(vm) && vm.GetQueued() == nil })
	if vm.GetStatus() != ready {
		t.Errorf("it ends as %v", vm)
	}
	history, err := w.Bus.History(t.Context(), ref)
	must(t, err)
	if slices.ContainsFunc(history, func(e bus.Entry) bool { return e.VM.GetStatus() == suspended }) {
		t.Error("it was suspended all the same")
	}
}
