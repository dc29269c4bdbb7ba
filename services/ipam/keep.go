package ipam

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// claims are the addresses whose keys an attempt has written, or tried to.
type claims []*vmlinev1.Address

// keep gives back what an attempt that was overtaken has claimed, unless somebody else still does:
//
//	newest state of the VM               what was claimed
//	another VM under the same ref        given back: this one is gone
//	a termination, the machine is gone   given back: the step to terminated may have looked before
//	set_ip is ahead                      stays: that step takes it up, and a later one gives back what is
//	                                     too much
//	any other                            given back if it is not listed; else a machine may use it, and the
//	                                     step to ip_released or to terminated finds it
//
// It is asked for after the claims were written, so whatever begins later sees them.
func (s *service) keep(ctx context.Context, vm *vmlinev1.VM, claimed claims) error {
	last, err := s.bus.Last(ctx, vm.GetRef())
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch newest := last.VM; {
	case newest.GetUid() != vm.GetUid(), vanished(newest):
		err = s.releaseAll(ctx, &vmlinev1.VM{Ref: vm.GetRef(), Uid: vm.GetUid(), Addresses: claimed})
	case awaits(newest):
		return nil
	default:
		err = s.releaseClaims(ctx, vm, claimed)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("give addresses to %s: %w", vm.GetRef(), bus.ErrSuperseded)
}

// vanished says that a termination has come so far that no machine of the VM uses an address.
func vanished(vm *vmlinev1.VM) bool {
	past := vm.GetStatus() == vmlinev1.Status_STATUS_VMID_RELEASED || vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED
	return past && chain.Ending(vm.GetOperation())
}

// awaits says that the VM's operation has the step to set_ip ahead, also after a person has retried it.
func awaits(vm *vmlinev1.VM) bool {
	return !ended(vm) && slices.Contains(chain.Ahead(vm.GetOperation()), vmlinev1.Status_STATUS_SET_IP)
}

// releaseClaims releases what an attempt has claimed and the VM's newest state does not list. A later step to
// set_ip writes the keys that it takes up anew, so they are not released under it.
func (s *service) releaseClaims(ctx context.Context, vm *vmlinev1.VM, claimed claims) error {
	for _, a := range claimed {
		err := s.releaseListed(ctx, vm, a, func(ctx context.Context) error {
			last, err := s.bus.Last(ctx, vm.GetRef())
			if err == nil && last.VM.GetUid() == vm.GetUid() && (awaits(last.VM) || has(last.VM, a.GetAddress())) {
				err = errUsed
			}
			return err
		})
		if err != nil && !errors.Is(err, errUsed) {
			return err
		}
	}
	return nil
}
