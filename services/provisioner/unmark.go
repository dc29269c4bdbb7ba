package provisioner

import (
	"context"
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// unmarkLate takes the mark that was ordered, by the task upid, off the machine again if its adoption was given
// up meanwhile: nobody else would. A machine without the mark needs nothing.
func (p *provisioner) unmarkLate(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, upid pve.UPID) error {
	last, err := p.Bus.Last(ctx, vm.GetRef())
	if err != nil || !givesBack(last.VM, vm.GetUid()) {
		return err
	}
	if upid != "" {
		if _, err := c.Wait(ctx, upid); err != nil {
			p.Logger.Info("a mark that came too late may not have been written; it is looked for", "ref", vm.GetRef(), "error", err)
		}
	}
	if err := p.unmark(ctx, c, vm); err != nil {
		return fmt.Errorf("take the line %q, which came too late, off the machine %d: %w", machine.Mark(vm), vm.GetOperation().GetParams().GetVmid(), err)
	}
	return nil
}

// givesBack says that the machine which a VM was to adopt stays its owner's: the adoption is cancelled, or a
// termination came before the VM had the machine, or it is another VM now.
func givesBack(newest *vmlinev1.VM, uid string) bool {
	op := newest.GetOperation()
	if newest.GetUid() != uid {
		return true
	}
	return chain.Ending(op) && (newest.GetVmid() == 0 || slices.Contains(op.GetRoute(), vmlinev1.Status_STATUS_RETURNED))
}

// unmarkTries is how often a mark is taken off while others change the machine each time.
const unmarkTries = 5

// unmark takes the VM's mark and our tag off its machine, as far as they are there.
func (p *provisioner) unmark(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) error {
	for tries := 1; ; tries++ {
		found, marked, err := findMarked(ctx, c, vm)
		if err != nil || !marked {
			return err
		}
		upid, err := c.SetVMConfig(ctx, found.Node, int(vm.GetVmid()), unmarkChange(found.Config, vm))
		if err == nil && upid != "" {
			_, err = c.Wait(ctx, upid)
		}
		if again := pve.KindOf(err) == pve.Conflict || pve.KindOf(err) == pve.Locked; err == nil || !again || tries == unmarkTries {
			return err
		}
	}
}
