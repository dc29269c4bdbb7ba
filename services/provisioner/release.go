package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// reservationAge is how long a reservation is left alone by reconcile: an order may just be making it.
const reservationAge = 10 * time.Minute

// release gives the VMID back. It runs only after Proxmox has confirmed that the VM does not exist, or after
// an adopted machine was returned to whoever had it before.
func (p *provisioner) release(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if t.VM.GetVmid() == 0 {
		return bus.Done, p.vmids.releaseAll(ctx, t.VM)
	}
	return bus.Done, p.vmids.release(ctx, t.VM.GetCluster(), int(t.VM.GetVmid()), t.VM.GetUid())
}

// reconcile releases the reservations that no VM holds: a worker that was overtaken and died right
// after it had reserved may leave one. What fails with one reservation, for example
// because its cluster is down, does not hold the others up.
func (p *provisioner) reconcile(ctx context.Context) error {
	var failed []error
	err := p.vmids.bucket.Each(ctx, ">", func(i bus.Item) error {
		if err := p.reconcileOne(ctx, i); err != nil {
			failed = append(failed, fmt.Errorf("reconcile VMID %s: %w", i.Key, err))
		}
		return ctx.Err()
	})
	return errors.Join(append(failed, err)...)
}

func (p *provisioner) reconcileOne(ctx context.Context, i bus.Item) error {
	r := &vmlinev1.VMIDReservation{}
	if err := proto.Unmarshal(i.Value, r); err != nil {
		return err
	}
	cluster, number, _ := strings.Cut(i.Key, ".")
	vmid, err := strconv.Atoi(number)
	if err != nil || p.Bus.Now().Sub(r.GetAt().AsTime()) < reservationAge {
		return err
	}
	held, err := p.held(ctx, r, cluster, vmid)
	if err != nil || held {
		return err
	}
	return p.releaseOrphan(ctx, cluster, vmid, r)
}

// held says whether the VM that a reservation names still has the VMID.
func (p *provisioner) held(ctx context.Context, r *vmlinev1.VMIDReservation, cluster string, vmid int) (bool, error) {
	last, err := p.Bus.Last(ctx, r.GetRef())
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	vm := last.VM
	if vm.GetUid() != r.GetUid() {
		return false, nil
	}
	gone := vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED
	// A VM without a VMID is about to be given this one.
	return !gone && vm.GetCluster() == cluster && (int(vm.GetVmid()) == vmid || vm.GetVmid() == 0), nil
}

// releaseOrphan releases a VMID that nobody holds, if Proxmox confirms that no guest has it or that the machine
// there is somebody else's: that one needs no reservation, and may be adopted.
func (p *provisioner) releaseOrphan(ctx context.Context, cluster string, vmid int, r *vmlinev1.VMIDReservation) error {
	c, ok := p.Clusters[cluster]
	if !ok {
		return nil
	}
	free, err := c.VMIDFree(ctx, vmid)
	if err != nil {
		return err
	}
	if !free {
		strange, err := stranger(ctx, c, vmid, r)
		if err != nil {
			return err
		}
		if !strange {
			p.Logger.Warn("a VMID that no VM of ours holds is in use on Proxmox; its reservation stays", "cluster", cluster, "vmid", vmid, "ref", r.GetRef())
			return nil
		}
	}
	p.Logger.Info("a VMID that nobody holds is released", "cluster", cluster, "vmid", vmid, "ref", r.GetRef())
	return p.vmids.release(ctx, cluster, vmid, r.GetUid())
}

// stranger says that the machine under a VMID is not the one of the VM that has reserved it. What cannot be seen,
// or is still being cloned, is none.
func stranger(ctx context.Context, c *pve.Client, vmid int, r *vmlinev1.VMIDReservation) (bool, error) {
	all, err := c.Resources(ctx)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(all.VMs, func(vm pve.VM) bool { return vm.VMID == vmid })
	if i < 0 {
		return false, nil
	}
	cfg, err := c.VMConfig(ctx, all.VMs[i].Node, vmid)
	if err != nil {
		return false, err
	}
	reserved := &vmlinev1.VM{Ref: r.GetRef(), Uid: r.GetUid(), Vmid: uint32(vmid)} //nolint:gosec // G115: Proxmox has none above 999,999,999
	_, strange := errors.AsType[*machine.NotOurs](machine.Prove(reserved, all.VMs[i].Node, cfg))
	return strange, nil
}
