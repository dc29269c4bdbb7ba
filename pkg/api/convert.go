package api

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// FromVM returns the VM's state with its package, without secrets.
func FromVM(vm *vmlinev1.VM) Service {
	s := Service{
		Ref: vm.GetRef(), UID: vm.GetUid(), Status: enumName(vm.GetStatus().String(), "STATUS_"),
		Event:   EventName(vm.GetEvent()),
		Cluster: vm.GetCluster(), Node: vm.GetNode(), VMID: vm.GetVmid(), MAC: vm.GetMac(),
		Addresses:    make([]Address, 0, len(vm.GetAddresses())),
		RemoteStatus: enumName(vm.GetRemoteStatus().String(), "REMOTE_STATUS_"), RemoteLock: vm.GetRemoteLock(),
		Package: FromPackage(vm.GetPackage()), Operation: OperationOf(vm), Problem: fromProblem(vm.GetProblem()),
		WantedPower:  enumName(vm.GetWantedPower().String(), "REMOTE_STATUS_"),
		SystemDiskGB: vm.GetSystemDiskGb(), AdditionalDiskGB: vm.GetAdditionalDiskGb(),
		Drift: fromDrift(vm), Warnings: vm.GetWarnings(), UpdatedAt: fromTime(vm.GetUpdatedAt()), Queued: QueuedOperation(vm), Possible: possible(vm),
	}
	for _, a := range vm.GetAddresses() {
		s.Addresses = append(s.Addresses, Address{
			Pool: a.GetPool(), Address: a.GetAddress(), PrefixLength: a.GetPrefixLength(), Gateway: a.GetGateway(),
		})
	}
	if r := vm.GetRetry(); r != nil {
		s.Retry = &Retry{Attempts: r.GetAttempts(), NotBefore: fromTime(r.GetNotBefore()), FirstFailedAt: fromTime(r.GetFirstFailedAt())}
	}
	return s
}

// EventName is why a state was written, for example reached.
func EventName(e vmlinev1.Event) string { return enumName(e.String(), "EVENT_") }

// EventOf returns the change that is stored with a sequence in the VM stream.
func EventOf(vm *vmlinev1.VM, seq uint64) Event {
	e := Event{Seq: seq, Service: FromVM(vm)}
	e.Service.Package, e.Service.Possible = nil, nil
	return e
}

// OperationOf returns the VM's present operation.
func OperationOf(vm *vmlinev1.VM) Operation {
	op := vm.GetOperation()
	o := Operation{
		ID: op.GetId(), ServiceRef: vm.GetRef(), Type: chain.KindName(op.GetKind()), Status: chain.StateName(op.GetState()),
		CreatedAt: fromTime(op.GetCreatedAt()), FinishedAt: fromTime(op.GetFinishedAt()), RequestedBy: op.GetRequestedBy(),
		Params: fromParams(op.GetParams()), Result: fromResult(op.GetResult()), Error: fromProblem(vm.GetProblem()),
	}
	if op.GetProblem() != nil {
		o.Error = fromProblem(op.GetProblem())
	}
	if goal := chain.Goal(op); goal != op.GetKind() {
		o.Goal = chain.KindName(goal)
	}
	o.Steps = steps(o, op)
	return o
}

func fromResult(r *vmlinev1.Result) *Result {
	if r == nil {
		return nil
	}
	out := &Result{Note: r.GetNote()}
	for _, a := range r.GetReleased() {
		out.Released = append(out.Released, a.GetAddress())
	}
	return out
}

// PendingOperation returns the operation that a stored command will become.
func PendingOperation(cmd *vmlinev1.Command) Operation {
	o := Accepted(cmd.GetId(), cmd.GetRef(), cmd.GetKind())
	o.RequestedBy, o.Params = cmd.GetRequestedBy(), fromParams(cmd.GetParams())
	return o
}

// QueuedOperation is the command in the VM's queue, nil for none.
func QueuedOperation(vm *vmlinev1.VM) *Operation {
	q := vm.GetQueued()
	if q == nil {
		return nil
	}
	o := Accepted(q.GetId(), vm.GetRef(), q.GetKind())
	o.Status, o.CreatedAt, o.RequestedBy = StatusQueued, fromTime(q.GetCreatedAt()), q.GetRequestedBy()
	return &o
}

func possible(vm *vmlinev1.VM) []string {
	var types []string
	for _, kind := range chain.Possible(vm) {
		types = append(types, chain.KindName(kind))
	}
	return types
}

// Offers returns what admission would say of every command now. Of commands with parameters it is judged
// as if they were right.
func Offers(vm *vmlinev1.VM) []Offer {
	allowed := chain.Possible(vm)
	var list []Offer
	for _, r := range chain.Routes() {
		o := Offer{Type: chain.KindName(r.Kind), Label: r.Label, Mark: r.Mark(), Allowed: slices.Contains(allowed, r.Kind)}
		if !o.Allowed {
			o.Reason = chain.Admit(vm, &vmlinev1.Command{Ref: vm.GetRef(), Kind: r.Kind, Package: vm.GetPackage(), Params: anyParams}).Reason
		}
		if !o.Allowed && o.Reason == "" {
			o.Reason = "it is so already, or under way"
		}
		list = append(list, o)
	}
	return list
}

// anyParams stand in for every parameter that a command may need.
var anyParams = &vmlinev1.Params{
	Node: "any", Status: vmlinev1.Status_STATUS_READY, Reason: "any", Template: "any", Vmid: 1, SealedPassword: []byte("any"), TimeoutSeconds: 1,
}

// InterruptedAt returns the operation of a VM's earlier state as it stands now that another one has
// taken its place.
func InterruptedAt(vm *vmlinev1.VM, at time.Time) Operation {
	o := OperationOf(vm)
	if !o.Ended() || o.Status == StatusParked {
		o.Status, o.FinishedAt = StatusInterrupted, at
		o.Steps = steps(o, vm.GetOperation())
	}
	return o
}

// Accepted returns the operation that a stored command will become.
func Accepted(id, ref string, kind vmlinev1.Operation_Kind) Operation {
	o := Operation{ID: id, ServiceRef: ref, Type: chain.KindName(kind), Status: StatusAccepted}
	route, _ := chain.RouteOf(kind)
	known := slices.DeleteFunc(slices.Clone(route.Statuses), func(s vmlinev1.Status) bool { return s == chain.Same })
	o.Steps = steps(o, &vmlinev1.Operation{Route: known})
	return o
}

// FromRefusal returns the operation that was not admitted.
func FromRefusal(r *vmlinev1.Refusal) Operation {
	at := fromTime(r.GetCreatedAt())
	return Operation{
		ID: r.GetOperationId(), ServiceRef: r.GetRef(), Type: chain.KindName(r.GetKind()), Status: StatusRefused,
		CreatedAt: at, FinishedAt: at, Steps: []Step{}, Error: fromProblem(r.GetProblem()),
	}
}

// steps lists the route: what was reached, the step at hand under the operation's own status, and
// what is still to come.
func steps(o Operation, op *vmlinev1.Operation) []Step {
	list := make([]Step, 0, len(op.GetRoute()))
	started := o.CreatedAt
	for i, status := range op.GetRoute() {
		s := Step{Name: chain.Name(status), Owner: owner(status), Status: StepPending}
		switch {
		case i < len(op.GetReached()):
			s.Status, s.StartedAt, s.FinishedAt = StatusSucceeded, started, fromTime(op.GetReached()[i].GetAt())
			started = s.FinishedAt
		case o.Status == StatusAccepted:
		case i == len(op.GetReached()):
			s.Status, s.StartedAt = o.Status, started
		case o.Ended() && o.Status != StatusParked:
			s.Status = StepSkipped
		}
		list = append(list, s)
	}
	return list
}

// owner of the step to a status. The first status of a route is published by admission.
func owner(status vmlinev1.Status) string {
	if step, ok := chain.StepTo(status); ok {
		return string(step.Owner)
	}
	return string(chain.Lifecycle)
}

func fromProblem(p *vmlinev1.Problem) *StepProblem {
	if p == nil {
		return nil
	}
	s := &StepProblem{Cause: p.GetCause(), Kept: p.GetKept(), Next: p.GetNext(), Since: fromTime(p.GetSince())}
	if p.GetStep() != vmlinev1.Status_STATUS_UNSPECIFIED {
		s.Step = chain.Name(p.GetStep())
	}
	return s
}

// enumName is a value of an enum in lower case without its prefix, empty for the unspecified one.
func enumName(value, prefix string) string {
	name := strings.ToLower(strings.TrimPrefix(value, prefix))
	if name == "unspecified" {
		return ""
	}
	return name
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
