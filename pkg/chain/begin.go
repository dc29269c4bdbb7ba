package chain

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Begin builds the state with which an admitted command's operation begins; last is the state that it
// was admitted on, nil for none. newUID names a VM that is made new. It is pure, so that a dry run begins
// with the very state that the command would.
func Begin(last *vmlinev1.VM, cmd *vmlinev1.Command, now time.Time, newUID func() string) *vmlinev1.VM {
	route := routeOf[cmd.GetKind()]
	vm := subject(last, route, cmd, newUID)
	way, err := route.wayOf(last, cmd)
	if err != nil {
		way.statuses = []vmlinev1.Status{last.GetStatus()} // not admitted; kept harmless
	}
	op := &vmlinev1.Operation{
		Id: cmd.GetId(), Kind: cmd.GetKind(), Goal: way.goal, State: vmlinev1.Operation_STATE_RUNNING, Route: way.statuses,
		Reached:   []*vmlinev1.Reached{{Status: way.statuses[0], At: timestamppb.New(now)}},
		CreatedAt: cmd.GetCreatedAt(), RequestedBy: cmd.GetRequestedBy(), Params: cmd.GetParams(), Before: before(last, route),
		RequestDigest: cmd.GetRequestDigest(),
	}
	retry := op.GetKind() == vmlinev1.Operation_KIND_RETRY
	op.Undoes = op.GetKind() == vmlinev1.Operation_KIND_CANCEL || retry && last.GetOperation().GetUndoes()
	if takesUp(last.GetOperation(), route) {
		op.TakesUp, op.Result = last.GetOperation().GetId(), resultSoFar(last.GetOperation(), op)
		op.Replaced = replaced(last, cmd)
	}
	vm.Status, vm.Event, vm.Operation = way.statuses[0], vmlinev1.Event_EVENT_ADMITTED, op
	vm.Retry, vm.Problem, vm.Carried, vm.Warnings, vm.ProvenAt = nil, nil, nil, nil, nil
	if vm.GetQueued().GetId() == cmd.GetId() || Goal(op) == vmlinev1.Operation_KIND_TERMINATE || route.Queues {
		vm.Queued = nil // what queues came later, and replaces what is queued
	}
	if route.Wants != vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED {
		vm.WantedPower = route.Wants
	}
	wish(vm, last, cmd)
	if len(op.GetRoute()) == 1 {
		op.State, op.FinishedAt = vmlinev1.Operation_STATE_SUCCEEDED, timestamppb.New(now)
	}
	return vm
}

// subject is the VM that the operation is about: the same one, or a new one for a ref that has none.
func subject(last *vmlinev1.VM, route Route, cmd *vmlinev1.Command, newUID func() string) *vmlinev1.VM {
	fresh := route.Kind == vmlinev1.Operation_KIND_CREATE || route.Kind == vmlinev1.Operation_KIND_ADOPT
	if fresh && (last == nil || last.GetStatus() == vmlinev1.Status_STATUS_TERMINATED) {
		return &vmlinev1.VM{Ref: cmd.GetRef(), Uid: newUID()}
	}
	return proto.CloneOf(last)
}

// before is what the VM was when the work began. A command that takes up or undoes another's work keeps
// what that one found.
func before(last *vmlinev1.VM, route Route) *vmlinev1.Before {
	if op := last.GetOperation(); takesUp(op, route) && op.GetBefore() != nil {
		return proto.CloneOf(op.GetBefore())
	}
	b := &vmlinev1.Before{
		Status: last.GetStatus(), Package: last.GetPackage(), PackageDigest: last.GetPackageDigest(), WantedPower: last.GetWantedPower(),
		TemplateVmid: last.GetTemplateVmid(), TemplateNode: last.GetTemplateNode(),
	}
	for _, a := range last.GetAddresses() {
		b.Addresses = append(b.Addresses, a.GetAddress())
	}
	return b
}

// takesUp says that a command goes on with the work of an operation that has not ended, or undoes it.
func takesUp(op *vmlinev1.Operation, route Route) bool {
	unfinished := op.GetState() == vmlinev1.Operation_STATE_RUNNING || op.GetState() == vmlinev1.Operation_STATE_PARKED
	return unfinished && (Goal(op) == route.Kind || route.Dynamic != nil)
}

// resultSoFar is what the work that a command goes on with leaves behind already, for example where a disk
// went: a person reads it at the end of the whole.
func resultSoFar(last, op *vmlinev1.Operation) *vmlinev1.Result {
	if Goal(last) != Goal(op) || last.GetUndoes() != op.GetUndoes() {
		return nil
	}
	return proto.CloneOf(last.GetResult())
}

// replaced are the packages that were given up half way, with the one that a change over a half-done
// change gives up, or an order over a half-built machine.
func replaced(last *vmlinev1.VM, cmd *vmlinev1.Command) []*vmlinev1.Package {
	all := slices.Clone(last.GetOperation().GetReplaced())
	given := last.GetPackage()
	if last.GetOperation().GetUndoes() { // a half-done cancellation
		given = last.GetOperation().GetUndone()
	}
	if cmd.GetPackage() == nil || given == nil || proto.Equal(given, cmd.GetPackage()) {
		return all
	}
	all = slices.DeleteFunc(all, func(p *vmlinev1.Package) bool { return proto.Equal(p, given) })
	all = append(all, given)
	return all[max(0, len(all)-maxReplaced):]
}

// maxReplaced is how many given-up packages a VM's state keeps: it must not grow with each command.
const maxReplaced = 8

// wish writes what the command asks for into the VM.
func wish(vm, last *vmlinev1.VM, cmd *vmlinev1.Command) {
	switch cmd.GetKind() {
	case vmlinev1.Operation_KIND_CREATE:
		wishNew(vm, cmd)
	case vmlinev1.Operation_KIND_ADOPT:
		vm.Package, vm.PackageDigest, vm.Cluster = cmd.GetPackage(), cmd.GetPackageDigest(), cmd.GetPackage().GetCluster()
	case vmlinev1.Operation_KIND_CHANGE_PACKAGE:
		wishOther(vm, cmd)
	case vmlinev1.Operation_KIND_REINSTALL:
		wishAnew(vm, cmd.GetParams())
	case vmlinev1.Operation_KIND_REDEPLOY:
		vm.TemplateVmid, vm.TemplateNode = 0, ""
	case vmlinev1.Operation_KIND_RETRY:
		vm.Operation.Params, vm.Operation.Undone = last.GetOperation().GetParams(), last.GetOperation().GetUndone()
	case vmlinev1.Operation_KIND_CANCEL:
		wishBack(vm, last)
	}
}

// wishBack is what was wanted before the operation that is cancelled.
func wishBack(vm, last *vmlinev1.VM) {
	was := vm.GetOperation().GetBefore()
	vm.WantedPower = was.GetWantedPower()
	switch Goal(last.GetOperation()) {
	case vmlinev1.Operation_KIND_REINSTALL:
		vm.TemplateVmid, vm.TemplateNode = was.GetTemplateVmid(), was.GetTemplateNode()
		vm.Package, vm.PackageDigest = was.GetPackage(), was.GetPackageDigest()
	case vmlinev1.Operation_KIND_CHANGE_PACKAGE:
		vm.Package, vm.PackageDigest = was.GetPackage(), was.GetPackageDigest()
		vm.Operation.Undone = last.GetPackage()
		if last.GetOperation().GetUndoes() {
			vm.Operation.Undone = last.GetOperation().GetUndone()
		}
	}
}

// wishNew is an order. A machine that was begun keeps its identity, addresses and VMID; what was seen of
// it is seen again, because a person may have mended it.
func wishNew(vm *vmlinev1.VM, cmd *vmlinev1.Command) {
	vm.Vmgenid, vm.Mac, vm.RemoteStatus, vm.RemoteLock = "", "", vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, ""
	vm.Package, vm.PackageDigest, vm.Cluster = cmd.GetPackage(), cmd.GetPackageDigest(), cmd.GetPackage().GetCluster()
	if node := cmd.GetPackage().GetNode(); node != "" && vm.GetPlacement() != "" {
		vm.Placement = node // it may be another than the machine was begun for
	}
}

// wishOther is another package. What the machine was made of stays: only a reinstallation changes it.
func wishOther(vm *vmlinev1.VM, cmd *vmlinev1.Command) {
	if cmd.GetPackage() == nil {
		return // the one that it has, once more
	}
	old := vm.GetPackage()
	vm.Package, vm.PackageDigest = proto.CloneOf(cmd.GetPackage()), cmd.GetPackageDigest()
	vm.Package.Template, vm.Package.CloneType = old.GetTemplate(), old.GetCloneType()
}

// wishAnew has the machine made again: from its template as it is now, or from another.
func wishAnew(vm *vmlinev1.VM, params *vmlinev1.Params) {
	vm.TemplateVmid, vm.TemplateNode = 0, ""
	if template := params.GetTemplate(); template != "" {
		vm.Package.Template = template
	}
	if sealed := params.GetSealedPassword(); len(sealed) > 0 {
		if vm.Package.CloudInit == nil {
			vm.Package.CloudInit = &vmlinev1.CloudInit{}
		}
		vm.Package.CloudInit.SealedPassword = sealed
	}
}
