package chain

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Verdict is what admission says of a command.
type Verdict int

// The verdicts.
const (
	// Refused means that the command is not allowed now. Nothing is changed.
	Refused Verdict = iota
	// Admitted means that the command's operation begins.
	Admitted
	// Joined means that what the command asks for is already so or already under way.
	Joined
	// Queued means that the command's operation begins once the present one has ended.
	Queued
)

func (v Verdict) String() string { return [...]string{"refused", "accepted", "joined", "queued"}[v] }

// Decision is a verdict and, for a refusal, its reason in a person's words.
type Decision struct {
	Verdict Verdict
	// Operation is the operation that the command joined.
	Operation *vmlinev1.Operation
	Reason    string
	// Next says what the sender can do about a refusal.
	Next string
}

// Order returns which command a wanted package is: a create while there is no machine that was ever
// ready, else a change of the package.
func Order(vm *vmlinev1.VM) vmlinev1.Operation_Kind {
	op := vm.GetOperation()
	made := op.GetState() == vmlinev1.Operation_STATE_SUCCEEDED || Goal(op) != vmlinev1.Operation_KIND_CREATE
	if slices.Contains(nothing, vm.GetStatus()) || !made {
		return vmlinev1.Operation_KIND_CREATE
	}
	return vmlinev1.Operation_KIND_CHANGE_PACKAGE
}

// Admit decides whether a command may begin now. vm is the VM's newest state, nil for a ref that was
// never used. It is a pure function of its arguments:
//
//	operation of the VM   same goal, same wishes   may interrupt   may queue   may replace parked   other
//	running               joined                   admitted        queued      -                    refused
//	parked                admitted again           admitted        queued      admitted             refused
//	ended                 by the VM's status: joined where the command leads, admitted in its From, else refused
//
// What would be queued joins what stands in the queue with the same goal. What would join an operation takes
// the place of the contrary that is queued behind it: the later wish counts.
//
// A destroy task in flight is never interrupted: what would interrupt it is queued. Locks of Proxmox do
// not count: the steps wait for them.
func Admit(vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	route, ok := RouteOf(cmd.GetKind())
	if !ok {
		return Decision{Reason: fmt.Sprintf("there is no operation of kind %s", KindName(cmd.GetKind())), Next: "Use one of: " + verbs() + "."}
	}
	for _, p := range route.Needs {
		if !p.given(cmd.GetParams()) {
			return Decision{Reason: fmt.Sprintf("%s needs the parameter %s", route.Verb(), p), Next: "Give it, then send the command again."}
		}
	}
	d := admissible(route, vm, cmd)
	if d.Verdict == Admitted {
		if _, err := route.wayOf(vm, cmd); err != nil {
			d = Decision{Reason: err.Error()}
		}
	}
	if d.Verdict == Refused && d.Next == "" {
		d.Next = nextFor(vm)
	}
	return d
}

// admissible decides by the VM's state alone. Where it leaves Next empty, the possible commands are what is next.
func admissible(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	var d Decision
	switch vm.GetOperation().GetState() {
	case vmlinev1.Operation_STATE_RUNNING:
		d = overRunning(route, vm, cmd)
	case vmlinev1.Operation_STATE_PARKED:
		d = overParked(route, vm, cmd)
	default:
		d = atRest(route, vm, cmd)
	}
	if d.Verdict == Admitted && route.Power == Stopped && vm.GetRemoteStatus() == running {
		return Decision{Reason: fmt.Sprintf("%s needs the machine stopped (**), and it runs", route.Verb()), Next: "Stop it first, then send the command again."}
	}
	return d
}

func overRunning(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	op := vm.GetOperation()
	destroying := vm.GetTask().GetPurpose() == PurposeDestroy
	mayInterrupt := slices.Contains(route.Interrupts, Goal(op))
	undone := route.Queues && vm.GetQueued() != nil && vm.GetQueued().GetKind() != route.Kind
	switch {
	case Goal(op) == route.Kind && sameWishes(route, vm, cmd) && !undone:
		return Decision{Verdict: Joined, Operation: op}
	case mayInterrupt && !destroying:
		return Decision{Verdict: Admitted}
	case route.Queues && Goal(op) != vmlinev1.Operation_KIND_TERMINATE && (Goal(op) != route.Kind || undone):
		return behind(route, vm, cmd)
	}
	reason := fmt.Sprintf("operation %s (%s) is in progress, last step %s", op.GetId(), KindName(op.GetKind()), Name(vm.GetStatus()))
	if step, ok := Next(vm); ok {
		reason += ", now on its way to " + Name(step.To)
	}
	return Decision{Reason: reason, Next: "Wait until it has ended, then send the command again."}
}

// behind puts a command into the queue, unless what it asks for stands there already, or a termination: nothing
// comes after that.
func behind(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	switch q := vm.GetQueued(); {
	case q.GetId() == cmd.GetId():
	case q.GetKind() == route.Kind:
		return Decision{Verdict: Joined, Operation: &vmlinev1.Operation{Id: q.GetId(), Kind: q.GetKind()}}
	case q.GetKind() == vmlinev1.Operation_KIND_TERMINATE:
		return Decision{Reason: fmt.Sprintf("termination %s is queued", q.GetId()), Next: "Wait until the VM is terminated; its ref can be ordered anew then."}
	}
	return Decision{Verdict: Queued}
}

func overParked(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	op := vm.GetOperation()
	goal := Goal(op)
	here := len(route.From) == 0 || slices.Contains(route.From, place(vm))
	switch {
	case goal == route.Kind,
		route.Parked && here && (goal != vmlinev1.Operation_KIND_TERMINATE || route.Kind == vmlinev1.Operation_KIND_RETRY || route.Kind == vmlinev1.Operation_KIND_RESET_STATUS),
		route.Building && here && builds(goal) && vm.GetStatus() != vmlinev1.Status_STATUS_READY:
		return Decision{Verdict: Admitted}
	case route.Queues && goal != vmlinev1.Operation_KIND_TERMINATE:
		return behind(route, vm, cmd)
	}
	d := Decision{Reason: fmt.Sprintf("operation %s (%s) waits for a person after %s", op.GetId(), KindName(op.GetKind()), Name(vm.GetStatus()))}
	if replaces(vm) && (route.Building || route.Kind == vmlinev1.Operation_KIND_REMOVE) {
		d.Reason += ", and the machine that it is to replace still stands"
		d.Next = "Retry it, or send the reinstallation again, which sees first that the machine can be made again; or cancel it, which keeps the machine, then send the command that is wanted."
	}
	return d
}

// builds says that an operation of this goal goes along the chain.
func builds(goal vmlinev1.Operation_Kind) bool {
	return slices.Contains([]vmlinev1.Operation_Kind{
		vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_REDEPLOY, vmlinev1.Operation_KIND_REINSTALL,
	}, goal)
}

// leadsTo is where a command whose work is done already would end.
var leadsTo = map[vmlinev1.Operation_Kind]vmlinev1.Status{
	vmlinev1.Operation_KIND_CREATE:         vmlinev1.Status_STATUS_READY,
	vmlinev1.Operation_KIND_CHANGE_PACKAGE: vmlinev1.Status_STATUS_READY,
	vmlinev1.Operation_KIND_SUSPEND:        vmlinev1.Status_STATUS_SUSPENDED,
	vmlinev1.Operation_KIND_UNSUSPEND:      vmlinev1.Status_STATUS_READY,
	vmlinev1.Operation_KIND_TERMINATE:      vmlinev1.Status_STATUS_TERMINATED,
	vmlinev1.Operation_KIND_REMOVE:         vmlinev1.Status_STATUS_REMOVED,
}

func atRest(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) Decision {
	status := vm.GetStatus()
	end, has := leadsTo[route.Kind]
	switch {
	case has && status == end && vm != nil && sameWishes(route, vm, cmd):
		return Decision{Verdict: Joined, Operation: vm.GetOperation()}
	case slices.Contains(route.From, status):
		return Decision{Verdict: Admitted}
	case status == NoVM:
		return Decision{Reason: "there is no such VM", Next: "Order it first."}
	case route.Kind == vmlinev1.Operation_KIND_CREATE && status == end:
		return Decision{Reason: "the VM exists with another package", Next: "Send its change as change_package, or terminate the VM first."}
	}
	return Decision{Reason: fmt.Sprintf("%s is not allowed in status %s", route.Verb(), Name(status))}
}

// sameWishes says whether a command asks for what the VM's operation, or its package, is already.
func sameWishes(route Route, vm *vmlinev1.VM, cmd *vmlinev1.Command) bool {
	if route.Package && !bytes.Equal(vm.GetPackageDigest(), cmd.GetPackageDigest()) {
		return false
	}
	if len(route.Needs) == 0 && len(route.Takes) == 0 {
		return true
	}
	// The same password sealed twice differs, so it never counts as the same.
	return proto.Equal(wishes(cmd.GetParams()), wishes(vm.GetOperation().GetParams()))
}

// wishes are the parameters without those that make no other wish: a reason and a time-out.
func wishes(p *vmlinev1.Params) *vmlinev1.Params {
	w := &vmlinev1.Params{}
	proto.Merge(w, p)
	w.Reason, w.TimeoutSeconds = "", 0
	return w
}

// QueueDue says that the VM's queued command is to be admitted now.
func QueueDue(vm *vmlinev1.VM) bool {
	queued := vm.GetQueued()
	return queued != nil && Admit(vm, Unqueued(vm)).Verdict != Queued
}

// Unqueued is the command that stands in the VM's queue.
func Unqueued(vm *vmlinev1.VM) *vmlinev1.Command {
	q := vm.GetQueued()
	return &vmlinev1.Command{
		Id: q.GetId(), Ref: vm.GetRef(), Kind: q.GetKind(), After: vm.GetOperation().GetId(),
		CreatedAt: q.GetCreatedAt(), RequestedBy: q.GetRequestedBy(), Params: &vmlinev1.Params{Reason: q.GetReason()},
	}
}

// Possible returns the commands that would be accepted now, or queued, in the order of the table. What
// depends on their parameters is not judged.
func Possible(vm *vmlinev1.VM) []vmlinev1.Operation_Kind {
	var kinds []vmlinev1.Operation_Kind
	for _, r := range routes {
		cmd := &vmlinev1.Command{Ref: vm.GetRef(), Kind: r.Kind}
		d := admissible(r, vm, cmd)
		if d.Verdict == Admitted && len(r.Needs) == 0 {
			if _, err := r.wayOf(vm, cmd); err != nil {
				continue
			}
		}
		if d.Verdict == Admitted || d.Verdict == Queued {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}

// nextFor tells a person which commands there are.
func nextFor(vm *vmlinev1.VM) string {
	var list []string
	for _, kind := range Possible(vm) {
		list = append(list, routeOf[kind].Verb())
	}
	if len(list) == 0 {
		return "Look at the VM's status first."
	}
	return "Possible now: " + strings.Join(list, ", ") + "."
}

func verbs() string {
	var list []string
	for _, r := range routes {
		list = append(list, r.Verb())
	}
	return strings.Join(list, ", ")
}
