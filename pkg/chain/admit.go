package chain

import (
	"bytes"
	"fmt"
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Verdict is what admission says of a command.
type Verdict int

// The verdicts.
const (
	// Refused means that the command is not allowed now. Nothing is changed.
	Refused Verdict = iota
	// Admitted means that the command's route starts.
	Admitted
	// Joined means that what the command asks for is already so or already under way.
	Joined
)

// Decision is a verdict and, for a refusal, its reason in a person's words.
type Decision struct {
	Verdict Verdict
	// Operation is the operation that the command joined.
	Operation *vmlinev1.Operation
	Reason    string
	// Next says what the sender can do about a refusal.
	Next string
}

// Admit decides whether a command may start now. vm is the VM's newest state, nil for a ref that
// was never used. It is a pure function of its arguments:
//
//	operation of the VM      same kind, same package   same kind, other package   may interrupt   other
//	running                  joined                    refused                    admitted        refused
//	parked                   admitted again            admitted again             admitted        refused
//	ended in a From status   admitted                  admitted                   admitted        refused
//	ended where it leads     joined                    refused                    -               -
func Admit(vm *vmlinev1.VM, kind vmlinev1.Operation_Kind, packageDigest []byte) Decision {
	route, ok := RouteOf(kind)
	if !ok {
		return Decision{Reason: fmt.Sprintf("there is no operation of kind %s", KindName(kind)), Next: "Use create or terminate."}
	}
	op := vm.GetOperation()
	same := op.GetKind() == kind && (kind != vmlinev1.Operation_KIND_CREATE || bytes.Equal(vm.GetPackageDigest(), packageDigest))
	switch op.GetState() {
	case vmlinev1.Operation_STATE_RUNNING:
		return admitOverRunning(route, op, vm.GetStatus(), same)
	case vmlinev1.Operation_STATE_PARKED:
		if op.GetKind() == kind || slices.Contains(route.Interrupts, op.GetKind()) {
			return Decision{Verdict: Admitted}
		}
		return Decision{
			Reason: fmt.Sprintf("operation %s (%s) waits for a person after %s", op.GetId(), KindName(op.GetKind()), Name(vm.GetStatus())),
			Next:   "Repeat that operation once its cause is mended, then send this command again.",
		}
	default:
		return admitAtRest(route, vm, same)
	}
}

func admitOverRunning(route Route, op *vmlinev1.Operation, status vmlinev1.Status, same bool) Decision {
	switch {
	case same:
		return Decision{Verdict: Joined, Operation: op}
	case slices.Contains(route.Interrupts, op.GetKind()):
		return Decision{Verdict: Admitted}
	default:
		return Decision{
			Reason: fmt.Sprintf("operation %s (%s) is in progress, last step %s", op.GetId(), KindName(op.GetKind()), Name(status)),
			Next:   "Wait until it has ended, then send the command again.",
		}
	}
}

func admitAtRest(route Route, vm *vmlinev1.VM, same bool) Decision {
	status := vm.GetStatus()
	end := route.Statuses[len(route.Statuses)-1]
	switch {
	case status == end && same:
		return Decision{Verdict: Joined, Operation: vm.GetOperation()}
	case slices.Contains(route.From, status):
		return Decision{Verdict: Admitted}
	case status == vmlinev1.Status_STATUS_UNSPECIFIED:
		return Decision{Reason: "there is no such VM", Next: "Order it first."}
	case status == end:
		return Decision{
			Reason: "the VM exists with another package, and this version cannot change a package",
			Next:   "Order the package that it has, or terminate the VM first.",
		}
	default:
		return Decision{
			Reason: fmt.Sprintf("%s is not allowed in status %s", route.Verb, Name(status)),
			Next:   "Look at the VM's status first.",
		}
	}
}
