package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// terminated is the step to terminated: it releases what the VM holds. The table puts it behind
// removed, so Proxmox has confirmed that the machine does not exist. The VM's state keeps its
// addresses as history, and the operation's result says which were given back.
func (s *service) terminated(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	if err := s.releaseAll(ctx, t.VM); err != nil {
		return bus.Done, err
	}
	if op := t.VM.GetOperation(); op != nil {
		op.Result = s.result(op.GetResult(), "terminated", t.VM.GetAddresses())
	}
	return bus.Done, nil
}

// ipReleased is the step to ip_released: the machine has been told of its new addresses and no longer
// uses those that leave, so they are given back.
func (s *service) ipReleased(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	return bus.Done, s.releaseLeaving(ctx, t.VM, t.Current)
}

// releaseLeaving releases the addresses that leave and takes them off the list, and what the VM holds and the
// list does not have: an attempt that was cut off or overtaken has claimed it. current is asked right before
// each release: the VM lives on, and a later operation may have given it the address again.
func (s *service) releaseLeaving(ctx context.Context, vm *vmlinev1.VM, current func(context.Context) error) error {
	var stay, gone []*vmlinev1.Address
	for _, a := range vm.GetAddresses() {
		if !a.GetLeaving() {
			stay = append(stay, a)
			continue
		}
		if err := s.releaseListed(ctx, vm, a, current); err != nil {
			return err
		}
		a = proto.CloneOf(a)
		a.Leaving = false
		gone = append(gone, a)
	}
	vm.Addresses = stay
	if len(gone) > 0 {
		vm.Operation.Result = s.result(vm.GetOperation().GetResult(), "package changed", gone)
	}
	return s.releaseUnlisted(ctx, vm, current)
}

// forGood is for addresses of a VM that does not come back: nothing can give them to it again.
func forGood(context.Context) error { return nil }

// releaseAll releases all that a VM holds that is gone, also what an attempt that was cut off has
// taken and the state does not list.
func (s *service) releaseAll(ctx context.Context, vm *vmlinev1.VM) error {
	for _, a := range vm.GetAddresses() {
		if err := s.releaseListed(ctx, vm, a, forGood); err != nil {
			return err
		}
	}
	return s.releaseUnlisted(ctx, &vmlinev1.VM{Ref: vm.GetRef(), Uid: vm.GetUid()}, forGood)
}

// releaseUnlisted releases what the VM holds and its state does not list. current is asked right before each
// release.
func (s *service) releaseUnlisted(ctx context.Context, vm *vmlinev1.VM, current func(context.Context) error) error {
	o := ownerOf(vm)
	choices, err := s.indexed(ctx, o)
	if err != nil {
		return err
	}
	for _, c := range choices {
		a := allocation{pool: c.pool.conf.GetName(), addr: c.addr()}
		if lists(vm, a) {
			continue
		}
		if err := s.release(ctx, o, a.pool, a.addr, current); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) releaseListed(ctx context.Context, vm *vmlinev1.VM, a *vmlinev1.Address, current func(context.Context) error) error {
	if a.GetPool() == "" {
		return nil // nobody manages it
	}
	addr, err := netip.ParseAddr(a.GetAddress())
	if err != nil || !namePattern.MatchString(a.GetPool()) {
		return unreadable(vm, a)
	}
	return s.release(ctx, ownerOf(vm), a.GetPool(), addr, current)
}

func unreadable(vm *vmlinev1.VM, a *vmlinev1.Address) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The state of %s lists an address that cannot be read: pool %q, address %q", vm.GetRef(), a.GetPool(), a.GetAddress()),
		Kept:  "No further address of this VM was released.",
		Next:  "Report this: only a defect writes such a state.",
	}
}

// maxReads bounds how often one release or claim reads a key that others change at the same time.
const maxReads = 5

// release frees an address in the truth if o holds it, then in the index. Doing it again is
// harmless, also when the address is another VM's by now. The key is read first, then current is
// asked whether the release is still right, then the key is deleted at the revision that was read:
// whoever gives the address to o again afterwards writes the key anew, and the delete misses.
func (s *service) release(ctx context.Context, o owner, poolName string, addr netip.Addr, current func(context.Context) error) error {
	k := key(poolName, addr)
	for range maxReads {
		holder, revision, err := s.holder(ctx, k)
		if err != nil {
			return err
		}
		if holder == o {
			if err := current(ctx); err != nil {
				return err
			}
			err := s.truth.Delete(ctx, k, revision)
			if errors.Is(err, bus.ErrSuperseded) {
				continue
			}
			if err != nil {
				return err
			}
			holder = ""
		}
		return s.mend(ctx, o, holder, poolName, addr)
	}
	return fmt.Errorf("release %s: others change it all the time", k)
}

// mend makes the index agree about an address that o does not hold any more: it is free, or
// another's.
func (s *service) mend(ctx context.Context, o, holder owner, poolName string, addr netip.Addr) error {
	p := s.poolNamed(poolName)
	if p == nil {
		return nil
	}
	n, ok := p.number(addr)
	switch {
	case !ok:
		return nil
	case holder == "":
		return s.index.drop(ctx, p, o, n)
	default:
		return s.index.hold(ctx, p, holder, n)
	}
}
