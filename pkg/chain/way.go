package chain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// way is the route of one operation and the goal that it serves; goal unspecified means the command's
// own kind.
type way struct {
	statuses []vmlinev1.Status
	goal     vmlinev1.Operation_Kind
}

// wayOf returns the way that the command takes on the VM, or why there is none.
func (r Route) wayOf(vm *vmlinev1.VM, cmd *vmlinev1.Command) (way, error) {
	if r.Dynamic != nil {
		return r.Dynamic(vm, cmd)
	}
	statuses := slices.Clone(r.Statuses)
	for i, s := range statuses {
		if s == Same {
			statuses[i] = r.origin(vm)
		}
	}
	if r.Kind == vmlinev1.Operation_KIND_CREATE && orderedAnew(vm, cmd) {
		statuses = readdress(statuses)
	}
	return way{statuses: statuses}, nil
}

// origin is the status that Same stands for: where the VM was, also when the command takes up a parked
// operation of its own goal half way.
func (r Route) origin(vm *vmlinev1.VM) vmlinev1.Status {
	op := vm.GetOperation()
	if op.GetState() == vmlinev1.Operation_STATE_PARKED && Goal(op) == r.Kind && op.GetBefore() != nil {
		return op.GetBefore().GetStatus()
	}
	return vm.GetStatus()
}

// stepWay is the way of a button: from ready there and back, from the status before it on with the chain.
func stepWay(step vmlinev1.Status) func(*vmlinev1.VM, *vmlinev1.Command) (way, error) {
	return func(vm *vmlinev1.VM, _ *vmlinev1.Command) (way, error) {
		origin := vm.GetStatus()
		if origin != vmlinev1.Status_STATUS_READY {
			return onward(vm, slices.Concat([]vmlinev1.Status{origin}, from(step)))
		}
		if step == vmlinev1.Status_STATUS_CLONE {
			return way{}, errors.New("the machine exists; reinstall builds it anew")
		}
		return way{statuses: []vmlinev1.Status{origin, step, origin}}, nil
	}
}

// retryWay goes on where the operation stopped. A machine that was switched on and is not ready may be off again:
// then its start is a part of what is repeated.
func retryWay(vm *vmlinev1.VM, _ *vmlinev1.Command) (way, error) {
	op := vm.GetOperation()
	if op.GetState() != vmlinev1.Operation_STATE_PARKED {
		return way{}, errors.New("no operation of it waits for a person")
	}
	statuses := []vmlinev1.Status{vm.GetStatus()}
	if slices.Index(Ahead(op), vmlinev1.Status_STATUS_READY) == 0 && SwitchedOn(op) {
		statuses = append(statuses, vmlinev1.Status_STATUS_STARTING)
	}
	return way{append(statuses, Ahead(op)...), Goal(op)}, nil
}

func resumeWay(vm *vmlinev1.VM, cmd *vmlinev1.Command) (way, error) {
	status := cmd.GetParams().GetStatus()
	switch at := slices.Index(building, status); {
	case at < 0 || status == vmlinev1.Status_STATUS_READY:
		return way{}, fmt.Errorf("the chain cannot be taken up after %s; it can after: %s", Name(status), names(building[:len(building)-1]))
	case at >= slices.Index(building, vmlinev1.Status_STATUS_CLONE) && vm.GetVmid() == 0:
		return way{}, fmt.Errorf("no machine was made yet, so the chain cannot be taken up after %s", Name(status))
	}
	return onward(vm, from(status))
}

// resettable are the statuses that a person may set.
var resettable = slices.Concat(building[1:], []vmlinev1.Status{vmlinev1.Status_STATUS_SUSPENDED, vmlinev1.Status_STATUS_REMOVED})

func resetWay(vm *vmlinev1.VM, cmd *vmlinev1.Command) (way, error) {
	status := cmd.GetParams().GetStatus()
	switch {
	case !slices.Contains(resettable, status):
		return way{}, fmt.Errorf("the local status cannot be set to %s; it can to: %s", Name(status), names(resettable))
	case vm.GetVmid() == 0 && status != vmlinev1.Status_STATUS_SET_IP:
		return way{}, fmt.Errorf("no machine was made yet, so the local status cannot be %s", Name(status))
	}
	return way{statuses: []vmlinev1.Status{status}}, nil
}

// cancelWay unmakes what the VM's operation has made.
func cancelWay(vm *vmlinev1.VM, _ *vmlinev1.Command) (way, error) {
	op := vm.GetOperation()
	if s := op.GetState(); s != vmlinev1.Operation_STATE_RUNNING && s != vmlinev1.Operation_STATE_PARKED {
		return way{}, errors.New("no operation of it is in progress")
	}
	origin := op.GetBefore().GetStatus()
	switch Goal(op) {
	case vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_REDEPLOY:
		return way{terminating, vmlinev1.Operation_KIND_TERMINATE}, nil
	case vmlinev1.Operation_KIND_ADOPT:
		if vm.GetVmid() != 0 { // the machine bears the VM's mark; it is somebody's, and is not destroyed
			return way{slices.Concat([]vmlinev1.Status{vm.GetStatus()}, returning), vmlinev1.Operation_KIND_TERMINATE}, nil
		}
		return way{terminating, vmlinev1.Operation_KIND_TERMINATE}, nil
	case vmlinev1.Operation_KIND_TERMINATE, vmlinev1.Operation_KIND_REMOVE:
		return way{}, errors.New("what was destroyed cannot be made again")
	case vmlinev1.Operation_KIND_CHANGE_PACKAGE:
		return way{changing, vmlinev1.Operation_KIND_CHANGE_PACKAGE}, nil
	case vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND:
		// Where the VM was decides, not the goal: a cancellation that is sent twice leads there twice.
		if origin == vmlinev1.Status_STATUS_SUSPENDED {
			return way{[]vmlinev1.Status{vm.GetStatus(), vmlinev1.Status_STATUS_STOPPED, origin}, vmlinev1.Operation_KIND_SUSPEND}, nil
		}
		return way{[]vmlinev1.Status{vm.GetStatus(), vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_READY}, vmlinev1.Operation_KIND_UNSUSPEND}, nil
	case vmlinev1.Operation_KIND_REINSTALL:
		if Passed(vm, vmlinev1.Status_STATUS_REMOVED) || vm.GetTask().GetPurpose() == PurposeDestroy || origin != vmlinev1.Status_STATUS_READY {
			return way{}, errors.New("the old machine is gone and cannot be made again; retry the reinstallation")
		}
		return way{[]vmlinev1.Status{vm.GetStatus(), vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_READY}, vmlinev1.Operation_KIND_START}, nil
	}
	return backFrom(vm), nil
}

// switching are the commands whose only work is the machine's power.
var switching = []vmlinev1.Operation_Kind{
	vmlinev1.Operation_KIND_START, vmlinev1.Operation_KIND_STOP, vmlinev1.Operation_KIND_SHUTDOWN, vmlinev1.Operation_KIND_REBOOT, vmlinev1.Operation_KIND_RESET,
}

// backFrom is the way back from a button. The power that was wanted before is wanted again, so the machine is
// switched back; what a button has set on it stays set.
func backFrom(vm *vmlinev1.VM) way {
	op := vm.GetOperation()
	origin, power := op.GetBefore().GetStatus(), op.GetBefore().GetWantedPower()
	switch {
	case slices.Contains(switching, Goal(op)) && power == running:
		return way{[]vmlinev1.Status{vm.GetStatus(), vmlinev1.Status_STATUS_STARTING, origin}, vmlinev1.Operation_KIND_START}
	case slices.Contains(switching, Goal(op)) && power == stopped:
		return way{[]vmlinev1.Status{vm.GetStatus(), vmlinev1.Status_STATUS_STOPPED, origin}, vmlinev1.Operation_KIND_STOP}
	}
	return way{statuses: []vmlinev1.Status{origin}}
}

func names(statuses []vmlinev1.Status) string {
	list := make([]string, 0, len(statuses))
	for _, s := range statuses {
		list = append(list, Name(s))
	}
	return strings.Join(list, ", ")
}
