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

// admit starts a command's route if it is allowed now, or stores why it is not. The VM's state is
// written behind the fence; whoever overtakes it makes it decide again.
func (l *lifecycle) admit(ctx context.Context, cmd *vmlinev1.Command) error {
	for {
		last, err := l.Bus.Last(ctx, cmd.GetRef())
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return err
		}
		if last.VM.GetOperation().GetId() == cmd.GetId() {
			return nil // admitted before; only the acknowledgement was lost
		}
		if problem := l.objection(last.VM, cmd); problem != nil {
			if admitted, err := l.admittedBefore(ctx, cmd); admitted || err != nil {
				return err
			}
			return l.refuse(ctx, cmd, problem)
		}
		_, err = l.Bus.Append(ctx, l.first(last.VM, cmd), last.Seq)
		if !errors.Is(err, bus.ErrSuperseded) {
			return err
		}
	}
}

// admittedBefore says whether the VM's log has the command's operation, which another has replaced
// since. Then only its acknowledgement was lost.
func (l *lifecycle) admittedBefore(ctx context.Context, cmd *vmlinev1.Command) (bool, error) {
	log, err := l.Bus.History(ctx, cmd.GetRef())
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	return slices.ContainsFunc(log, func(e bus.Entry) bool { return e.VM.GetOperation().GetId() == cmd.GetId() }), err
}

// objection returns why a command is not admitted, or nil.
func (l *lifecycle) objection(vm *vmlinev1.VM, cmd *vmlinev1.Command) *vmlinev1.Problem {
	const kept = "Nothing was changed."
	if vm.GetOperation().GetId() != cmd.GetAfter() {
		return &vmlinev1.Problem{
			Cause: fmt.Sprintf("another command came first: operation %s (%s)", vm.GetOperation().GetId(), chain.KindName(vm.GetOperation().GetKind())),
			Kept:  kept, Next: "Look at the VM, then send the command again if it is still wanted.",
		}
	}
	d := chain.Admit(vm, cmd.GetKind(), cmd.GetPackageDigest())
	if d.Verdict != chain.Admitted {
		reason, next := d.Reason, d.Next
		if d.Verdict == chain.Joined {
			reason, next = "the command asks for what is so already or is under way", "Look at operation "+d.Operation.GetId()+"."
		}
		return &vmlinev1.Problem{Cause: reason, Kept: kept, Next: next}
	}
	if cmd.GetKind() != vmlinev1.Operation_KIND_CREATE {
		return nil
	}
	return l.packageObjection(vm, cmd.GetPackage())
}

// packageObjection refuses a package that this system cannot build at all, or that is no longer the
// machine that was begun.
func (l *lifecycle) packageObjection(vm *vmlinev1.VM, pkg *vmlinev1.Package) *vmlinev1.Problem {
	if _, ok := l.Clusters[pkg.GetCluster()]; !ok {
		return &vmlinev1.Problem{
			Cause: fmt.Sprintf("the package names cluster %q; there are: %s", pkg.GetCluster(), strings.Join(slices.Sorted(maps.Keys(l.Clusters)), ", ")),
			Kept:  "Nothing was changed.", Next: "Correct the package's cluster, or add the cluster to the configuration.",
		}
	}
	begun := resumes(vm) && vm.GetVmid() != 0
	if begun && (vm.GetCluster() != pkg.GetCluster() || vm.GetPackage().GetTemplate() != pkg.GetTemplate()) {
		return &vmlinev1.Problem{
			Cause: fmt.Sprintf("VM %d was begun on cluster %s from template %s", vm.GetVmid(), vm.GetCluster(), vm.GetPackage().GetTemplate()),
			Kept:  "Nothing was changed.", Next: "Keep cluster and template, or terminate the VM first and order it anew.",
		}
	}
	return nil
}

// resumes says whether a create goes on with what an earlier, parked one has begun.
func resumes(vm *vmlinev1.VM) bool {
	return vm.GetOperation().GetKind() == vmlinev1.Operation_KIND_CREATE
}

// first builds the state with which the command's route starts.
func (l *lifecycle) first(last *vmlinev1.VM, cmd *vmlinev1.Command) *vmlinev1.VM {
	now := timestamppb.New(l.Bus.Now())
	route, _ := chain.RouteOf(cmd.GetKind()) // admitted, so it is in the table
	vm := &vmlinev1.VM{Ref: cmd.GetRef(), Uid: l.Bus.NewID()}
	switch {
	case cmd.GetKind() != vmlinev1.Operation_KIND_CREATE:
		vm = proto.CloneOf(last)
	case resumes(last):
		// The machine that was begun keeps its identity, addresses and VMID. What was seen of it is
		// seen again, because a person may have mended it.
		vm = proto.CloneOf(last)
		vm.Vmgenid, vm.Mac, vm.RemoteStatus, vm.RemoteLock = "", "", vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, ""
	}
	if cmd.GetKind() == vmlinev1.Operation_KIND_CREATE {
		vm.Package, vm.PackageDigest, vm.Cluster = cmd.GetPackage(), cmd.GetPackageDigest(), cmd.GetPackage().GetCluster()
		if node := cmd.GetPackage().GetNode(); node != "" && vm.GetPlacement() != "" {
			vm.Placement = node // it may be another than the machine was begun for
		}
	}
	vm.Status, vm.Event = route.Statuses[0], vmlinev1.Event_EVENT_ADMITTED
	vm.Retry, vm.Problem, vm.Carried = nil, nil, nil
	vm.SettleAt = l.settleAt(last, cmd)
	vm.Operation = &vmlinev1.Operation{
		Id: cmd.GetId(), Kind: cmd.GetKind(), State: vmlinev1.Operation_STATE_RUNNING, Route: route.Statuses,
		Reached:   []*vmlinev1.Reached{{Status: route.Statuses[0], At: now}},
		CreatedAt: cmd.GetCreatedAt(), RequestedBy: cmd.GetRequestedBy(),
	}
	return vm
}

// settleAt is the time from which on an absent VM is absent for good. A termination that overtakes
// the step that orders the clone must not believe the first look: the order may still be on its way.
func (l *lifecycle) settleAt(last *vmlinev1.VM, cmd *vmlinev1.Command) *timestamppb.Timestamp {
	ordering := last.GetVmid() != 0 && last.GetStatus() == vmlinev1.Status_STATUS_SET_IP
	switch {
	case cmd.GetKind() != vmlinev1.Operation_KIND_TERMINATE:
		return nil
	case ordering:
		return timestamppb.New(l.Bus.Now().Add(l.Settle))
	default:
		return last.GetSettleAt() // a repeated termination does not forget
	}
}

// refuse stores why a command was not admitted, where the gateway finds it.
func (l *lifecycle) refuse(ctx context.Context, cmd *vmlinev1.Command, problem *vmlinev1.Problem) error {
	now := timestamppb.New(l.Bus.Now())
	problem.Since = now
	err := l.refusals.Create(ctx, cmd.GetId(), &vmlinev1.Refusal{
		OperationId: cmd.GetId(), Ref: cmd.GetRef(), Kind: cmd.GetKind(), Problem: problem, CreatedAt: now,
	})
	if errors.Is(err, bus.ErrTaken) {
		return nil // stored before; only the acknowledgement was lost
	}
	return err
}
