package withstand

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// still says that a VM's operation goes no further by itself.
func still(vm *vmlinev1.VM) bool {
	return vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING && !chain.QueueDue(vm)
}

// rest mends everything and brings every ref to the end of its operation. What is parked is retried, then
// cancelled, then terminated.
func (w *walk) rest() {
	w.tell("all is mended")
	for _, mend := range w.mend {
		mend()
	}
	w.startServices()
	for _, cmd := range w.sent {
		w.awaitDecision(cmd)
	}
	for _, ref := range w.refs {
		w.end(ref)
	}
}

// order sends a command and waits until it is admitted or refused.
func (w *walk) order(cmd *vmlinev1.Command) {
	w.t.Helper()
	w.send(cmd)
	w.awaitDecision(cmd)
}

// awaitDecision waits until it is known what becomes of a command.
func (w *walk) awaitDecision(cmd *vmlinev1.Command) {
	w.t.Helper()
	eventually(w.t, "a decision on "+cmd.GetId(), func() bool {
		log, err := w.Bus.History(w.t.Context(), cmd.GetRef())
		known := err == nil && slices.ContainsFunc(log, func(e bus.Entry) bool {
			return e.VM.GetOperation().GetId() == cmd.GetId() || e.VM.GetQueued().GetId() == cmd.GetId()
		})
		return known || w.refusal(cmd) != nil
	})
}

// end brings a ref to the end of its operation.
func (w *walk) end(ref string) *vmlinev1.VM {
	w.t.Helper()
	for _, way := range []vmlinev1.Operation_Kind{
		vmlinev1.Operation_KIND_RETRY, vmlinev1.Operation_KIND_RETRY, cancel, vmlinev1.Operation_KIND_RETRY, terminate, vmlinev1.Operation_KIND_RETRY,
	} {
		vm := w.awaitStill(ref)
		if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_PARKED {
			return vm
		}
		if slices.Contains(chain.Possible(vm), way) {
			w.tell("%s: parked with %v", ref, vm.GetProblem())
			if strings.Contains(vm.GetProblem().GetCause(), "(foreign-") {
				w.foreign.leave(int(vm.GetVmid()))
			}
			w.order(w.commandOf(vm, ref, way))
		}
	}
	vm := w.awaitStill(ref)
	if vm.GetOperation().GetState() == vmlinev1.Operation_STATE_PARKED {
		w.t.Fatalf("%s cannot be brought to an end: %v", ref, vm)
	}
	return vm
}

// awaitStill is a ref's state when it goes no further; nil for a ref that was never used.
func (w *walk) awaitStill(ref string) *vmlinev1.VM {
	w.t.Helper()
	if w.last(ref) == nil {
		return nil
	}
	return w.Await(ref, still)
}

// reshape has a ready VM become what its package says, whatever was done to it before.
func (w *walk) reshape(vm *vmlinev1.VM) {
	w.t.Helper()
	cmd := w.commandOf(vm, vm.GetRef(), changePackage)
	cmd.Package = proto.CloneOf(vm.GetPackage())
	cmd.Package.Cores++
	if fw := cmd.GetPackage().GetFirewall(); fw != nil {
		fw.Dhcp = !fw.GetDhcp()
	}
	cmd.PackageDigest = []byte(cmd.GetId())
	w.order(cmd)
	vm = w.end(vm.GetRef())
	switch op := vm.GetOperation(); {
	case op.GetId() != cmd.GetId():
		w.tell("%s: %v", vm.GetRef(), w.refusal(cmd))
	case op.GetState() == vmlinev1.Operation_STATE_SUCCEEDED:
		w.checkShape(vm)
	default:
		w.tell("%s: %v", vm.GetRef(), op.GetProblem())
	}
}

// gone are the statuses of a ref that has no VM.
var gone = []vmlinev1.Status{chain.NoVM, vmlinev1.Status_STATUS_TERMINATED}

// finish terminates every ref.
func (w *walk) finish() {
	w.t.Helper()
	w.tell("all are terminated")
	for _, ref := range w.refs {
		if vm := w.last(ref); !slices.Contains(gone, vm.GetStatus()) {
			w.order(w.commandOf(vm, ref, terminate))
		}
	}
	for _, ref := range w.refs {
		if vm := w.end(ref); !slices.Contains(gone, vm.GetStatus()) {
			w.t.Errorf("%s is not terminated: %v", ref, vm)
		}
	}
}

// refusal is why a command was not admitted; nil where it was.
func (w *walk) refusal(cmd *vmlinev1.Command) *vmlinev1.Problem {
	refusals, err := w.Bus.Bucket(w.t.Context(), bus.BucketREFUSAL)
	must(w.t, err)
	refusal := &vmlinev1.Refusal{}
	if _, err := refusals.Get(w.t.Context(), cmd.GetId(), refusal); err != nil {
		return nil
	}
	return refusal.GetProblem()
}
