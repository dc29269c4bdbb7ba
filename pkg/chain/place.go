package chain

import (
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// place is where a VM with a parked operation stands in the terms of the rows' From: what builds a machine may
// pass statuses that the chain itself has not, and stands there where it stood before.
func place(vm *vmlinev1.VM) vmlinev1.Status {
	op, status := vm.GetOperation(), vm.GetStatus()
	switch {
	case !builds(Goal(op)):
	case status == vmlinev1.Status_STATUS_STOPPED:
		return vmlinev1.Status_STATUS_MIGRATED
	case status == vmlinev1.Status_STATUS_IP_RELEASED:
		return vmlinev1.Status_STATUS_STARTING
	case slices.Contains(beforeRemoval, status) && op.GetBefore().GetStatus() == vmlinev1.Status_STATUS_REMOVED:
		return vmlinev1.Status_STATUS_REMOVED
	}
	return status
}

// beforeRemoval are the statuses of a reinstallation in which what stood before still stands.
var beforeRemoval = []vmlinev1.Status{vmlinev1.Status_STATUS_REINSTALL, vmlinev1.Status_STATUS_PLANNED}

// replaces says that a reinstallation has a machine to take away and has not come to that. The machine is the
// one that its customer uses: it goes only where it is known that it can be made again, and does not pass for
// the one that was ordered.
func replaces(vm *vmlinev1.VM) bool {
	return Goal(vm.GetOperation()) == vmlinev1.Operation_KIND_REINSTALL && slices.Contains(beforeRemoval, place(vm))
}
