package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// admit begins a command's operation if it is allowed now, queues it, or stores why it is not. The VM's
// state is written behind the fence; whoever overtakes it makes it decide again. A command that comes again,
// because its acknowledgement was lost, is decided once.
func (l *lifecycle) admit(ctx context.Context, cmd *vmlinev1.Command) error {
	for {
		last, err := l.Bus.Last(ctx, cmd.GetRef())
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return err
		}
		log, err := l.since(ctx, last.VM, cmd)
		if err != nil {
			return err
		}
		if first := slices.IndexFunc(log, func(e bus.Entry) bool { return has(e.VM, cmd) }); first >= 0 {
			return l.decidedBefore(ctx, log, first, cmd)
		}
		if chain.QueueDue(last.VM) {
			// It came first, and has only not begun yet: what comes now is decided over it.
			if err := l.queued(ctx, last); err != nil {
				return err
			}
			continue
		}
		decision, problem := l.decide(last.VM, cmd, log)
		if problem != nil {
			return l.refuse(ctx, cmd, problem, decision.Operation.GetId())
		}
		err = l.accept(ctx, last, cmd, decision.Verdict)
		if !errors.Is(err, bus.ErrSuperseded) {
			return err
		}
	}
}

// accept writes the state in which the command's operation begins, or in which it stands in the queue.
// What it pushes out of the queue is told so: whoever sent that may be waiting for it.
func (l *lifecycle) accept(ctx context.Context, last bus.Entry, cmd *vmlinev1.Command, verdict chain.Verdict) error {
	vm := l.first(last.VM, cmd)
	if verdict == chain.Queued {
		vm = inQueue(last.VM, cmd)
	}
	if _, err := l.Bus.Append(ctx, vm, last.Seq); err != nil {
		return err
	}
	return l.tellReplaced(ctx, last.VM, vm, cmd)
}

// tellReplaced refuses what stood in the queue before a command came and does not any more: whoever sent that
// may be waiting for it.
func (l *lifecycle) tellReplaced(ctx context.Context, before, after *vmlinev1.VM, cmd *vmlinev1.Command) error {
	id := before.GetQueued().GetId()
	if id == "" || id == after.GetQueued().GetId() || id == after.GetOperation().GetId() {
		return nil
	}
	return l.refuse(ctx, chain.Unqueued(before), &vmlinev1.Problem{
		Cause: fmt.Sprintf("%s came and took its place in the queue", chain.KindName(cmd.GetKind())), Kept: keptUnchanged, Next: "Nothing to do.",
	}, "")
}

func inQueue(last *vmlinev1.VM, cmd *vmlinev1.Command) *vmlinev1.VM {
	vm := proto.CloneOf(last)
	vm.Event = vmlinev1.Event_EVENT_QUEUED
	vm.Queued = &vmlinev1.Queued{
		Id: cmd.GetId(), Kind: cmd.GetKind(), CreatedAt: cmd.GetCreatedAt(), RequestedBy: cmd.GetRequestedBy(), Reason: cmd.GetParams().GetReason(),
	}
	return vm
}

// queued begins the VM's queued command, now that nothing is in its way, or takes it out of the queue.
func (l *lifecycle) queued(ctx context.Context, last bus.Entry) error {
	cmd := chain.Unqueued(last.VM)
	decision, problem := l.decide(last.VM, cmd, nil)
	vm := proto.CloneOf(last.VM)
	if problem == nil {
		vm = l.first(last.VM, cmd)
	} else {
		if err := l.refuse(ctx, cmd, problem, decision.Operation.GetId()); err != nil {
			return err
		}
		vm.Queued, vm.Event = nil, vmlinev1.Event_EVENT_QUEUED
	}
	_, err := l.Bus.Append(ctx, vm, last.Seq)
	if errors.Is(err, bus.ErrSuperseded) {
		return nil // the newer state has its own trigger
	}
	return err
}

// since is the VM's log, if something was decided since the command's sender looked.
func (l *lifecycle) since(ctx context.Context, vm *vmlinev1.VM, cmd *vmlinev1.Command) ([]bus.Entry, error) {
	if vm.GetOperation().GetId() == cmd.GetAfter() && vm.GetQueued() == nil {
		return nil, nil
	}
	log, err := l.Bus.History(ctx, cmd.GetRef())
	if errors.Is(err, bus.ErrNotFound) {
		return nil, nil
	}
	return log, err
}

// has says that a command was admitted in this state, or stands in its queue.
func has(vm *vmlinev1.VM, cmd *vmlinev1.Command) bool {
	return vm.GetOperation().GetId() == cmd.GetId() || vm.GetQueued().GetId() == cmd.GetId()
}

// decidedBefore sees that what a command replaced was told so, for one that comes again. first is the entry in
// which the log has it; what came before the first of all the log has let go of.
func (l *lifecycle) decidedBefore(ctx context.Context, log []bus.Entry, first int, cmd *vmlinev1.Command) error {
	if first == 0 {
		return nil
	}
	return l.tellReplaced(ctx, log[first-1].VM, log[first].VM, cmd)
}

// keptUnchanged is what a refused command leaves behind.
const keptUnchanged = "Nothing was changed."

// decide returns how a command is accepted, or the problem for which it is not; log is what came since.
func (l *lifecycle) decide(vm *vmlinev1.VM, cmd *vmlinev1.Command, log []bus.Entry) (chain.Decision, *vmlinev1.Problem) {
	d := chain.Admit(vm, cmd)
	if !stillMeant(vm, cmd, log) && d.Verdict != chain.Joined {
		return chain.Decision{}, &vmlinev1.Problem{
			Cause: fmt.Sprintf("another command came first: operation %s (%s)", vm.GetOperation().GetId(), chain.KindName(vm.GetOperation().GetKind())),
			Kept:  keptUnchanged, Next: "Look at the VM, then send the command again if it is still wanted.",
		}
	}
	switch d.Verdict {
	case chain.Refused:
		return d, &vmlinev1.Problem{Cause: d.Reason, Kept: keptUnchanged, Next: d.Next}
	case chain.Joined:
		return d, &vmlinev1.Problem{
			Cause: "the command asks for what is so already or is under way", Kept: keptUnchanged, Next: "Look at operation " + d.Operation.GetId() + ".",
		}
	}
	if route, _ := chain.RouteOf(cmd.GetKind()); route.Package {
		return d, l.packageObjection(vm, cmd)
	}
	return d, nil
}

// stillMeant says whether a command is meant for the VM as it is now: nothing came between, or the command
// is wanted whatever came between, as long as it is the VM that its sender saw. A termination must not be
// lost because a reboot was faster; nor may it reach a later VM of the same ref.
func stillMeant(vm *vmlinev1.VM, cmd *vmlinev1.Command, log []bus.Entry) bool {
	if vm.GetOperation().GetId() == cmd.GetAfter() {
		return true
	}
	route, _ := chain.RouteOf(cmd.GetKind())
	return route.Queues && slices.ContainsFunc(log, func(e bus.Entry) bool {
		return e.VM.GetOperation().GetId() == cmd.GetAfter() && e.VM.GetUid() == vm.GetUid()
	})
}

// packageObjection refuses a package that this system cannot build at all, or that is no longer the
// machine that was begun.
func (l *lifecycle) packageObjection(vm *vmlinev1.VM, cmd *vmlinev1.Command) *vmlinev1.Problem {
	pkg := cmd.GetPackage()
	if _, ok := l.Clusters[pkg.GetCluster()]; !ok {
		return &vmlinev1.Problem{
			Cause: fmt.Sprintf("the package names cluster %q; there are: %s", pkg.GetCluster(), strings.Join(slices.Sorted(maps.Keys(l.Clusters)), ", ")),
			Kept:  keptUnchanged, Next: "Correct the package's cluster, or add the cluster to the configuration.",
		}
	}
	create := cmd.GetKind() == vmlinev1.Operation_KIND_CREATE
	begun := vm.GetVmid() != 0 && vm.GetStatus() != vmlinev1.Status_STATUS_TERMINATED
	if begun && (vm.GetCluster() != pkg.GetCluster() || create && vm.GetPackage().GetTemplate() != pkg.GetTemplate()) {
		return &vmlinev1.Problem{
			Cause: fmt.Sprintf("VM %d was begun on cluster %s from template %s", vm.GetVmid(), vm.GetCluster(), vm.GetPackage().GetTemplate()),
			Kept:  keptUnchanged, Next: "Keep cluster and template, or terminate the VM first and order it anew.",
		}
	}
	return nil
}

// first builds the state with which the command's operation begins.
func (l *lifecycle) first(last *vmlinev1.VM, cmd *vmlinev1.Command) *vmlinev1.VM {
	vm := chain.Begin(last, cmd, l.Bus.Now(), l.Bus.NewID)
	vm.SettleAt = l.settleAt(last, vm)
	return vm
}

// settleAt is the time from which on an absent VM is absent for good. An operation that takes away what
// an earlier one may just have ordered must not believe the first look: the order may still be on its way.
func (l *lifecycle) settleAt(last, vm *vmlinev1.VM) *timestamppb.Timestamp {
	removes := slices.Contains(vm.GetOperation().GetRoute(), vmlinev1.Status_STATUS_REMOVED)
	ahead := chain.Ahead(last.GetOperation()) // also of a parked operation: another worker may not have noticed
	next := len(ahead) > 0 && ahead[0] == vmlinev1.Status_STATUS_CLONE
	ordering := last.GetVmid() != 0 && (next || last.GetStatus() == vmlinev1.Status_STATUS_SET_IP)
	switch {
	case !removes:
		return nil
	case ordering:
		return timestamppb.New(l.Bus.Now().Add(l.Settle))
	default:
		return last.GetSettleAt() // a repeated removal does not forget
	}
}

// refuse stores why a command was not admitted, where the gateway finds it; joined is the operation that does
// what it asked for.
func (l *lifecycle) refuse(ctx context.Context, cmd *vmlinev1.Command, problem *vmlinev1.Problem, joined string) error {
	now := timestamppb.New(l.Bus.Now())
	problem.Since = now
	err := l.refusals.Create(ctx, cmd.GetId(), &vmlinev1.Refusal{
		OperationId: cmd.GetId(), Ref: cmd.GetRef(), Kind: cmd.GetKind(), Problem: problem, CreatedAt: now, Joined: joined,
	})
	if errors.Is(err, bus.ErrTaken) {
		return nil // stored before; only the acknowledgement was lost
	}
	return err
}
