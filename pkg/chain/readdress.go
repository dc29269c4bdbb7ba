package chain

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// readdress is a part of the chain as it goes where a machine may use addresses that it is not to keep: it is
// stopped before it is told of those that it keeps, and the others are given back when it has been. The first
// status is the one in which the VM stands.
func readdress(part []vmlinev1.Status) []vmlinev1.Status {
	stop, end := max(slices.Index(part, vmlinev1.Status_STATUS_SET_CPU_RAM), 1), len(part)-1
	return slices.Concat(part[:stop], []vmlinev1.Status{vmlinev1.Status_STATUS_STOPPED},
		part[stop:end], []vmlinev1.Status{vmlinev1.Status_STATUS_IP_RELEASED}, part[end:])
}

// orderedAnew says that a machine was begun, or may have been, for another network than the order's.
func orderedAnew(vm *vmlinev1.VM, cmd *vmlinev1.Command) bool {
	begun := vm.GetVmid() != 0 && vm.GetStatus() != vmlinev1.Status_STATUS_TERMINATED
	return begun && (gives(vm) || !proto.Equal(vm.GetPackage().GetNetwork(), cmd.GetPackage().GetNetwork()))
}

// gives says that a machine may use addresses that it is not to keep: its state lists them, or the parked
// operation that builds it was about to give them back, or to take the machine away.
func gives(vm *vmlinev1.VM) bool {
	op := vm.GetOperation()
	unfinished := op.GetState() == vmlinev1.Operation_STATE_PARKED && builds(Goal(op)) && slices.ContainsFunc(Ahead(op), func(s vmlinev1.Status) bool {
		return s == vmlinev1.Status_STATUS_IP_RELEASED || s == vmlinev1.Status_STATUS_REMOVED
	})
	return vm.GetVmid() != 0 && (unfinished || slices.ContainsFunc(vm.GetAddresses(), (*vmlinev1.Address).GetLeaving))
}

// onward is the way of a command that goes along a part of the chain, whose first status is the one in which
// the VM stands then.
func onward(vm *vmlinev1.VM, part []vmlinev1.Status) (way, error) {
	switch {
	case !gives(vm):
		return way{part, vmlinev1.Operation_KIND_CREATE}, nil
	case !slices.Contains(part[1:], vmlinev1.Status_STATUS_SET_CLOUDINIT):
		return way{}, errors.New("the machine may use addresses that are to be given back, and is told so by the step to set_cloudinit: the chain can be taken up after set_firewall at the latest")
	}
	return way{readdress(part), vmlinev1.Operation_KIND_CREATE}, nil
}
