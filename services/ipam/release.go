package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// terminated is the step to terminated: it releases what the VM holds. The table puts it behind
// removed, so Proxmox has confirmed that the machine does not exist. The VM's state keeps its
// addresses as history.
func (s *service) terminated(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	o := ownerOf(t.VM)
	for _, a := range t.VM.GetAddresses() {
		addr, err := netip.ParseAddr(a.GetAddress())
		if err != nil || !namePattern.MatchString(a.GetPool()) {
			return bus.Done, unreadable(t.VM, a)
		}
		if err := s.release(ctx, o, a.GetPool(), addr); err != nil {
			return bus.Done, err
		}
	}
	// An attempt that was cut off may have taken addresses that the state does not list.
	choices, err := s.indexed(ctx, o)
	if err != nil {
		return bus.Done, err
	}
	for _, c := range choices {
		if err := s.release(ctx, o, c.pool.conf.GetName(), c.addr()); err != nil {
			return bus.Done, err
		}
	}
	return bus.Done, nil
}

func unreadable(vm *vmlinev1.VM, a *vmlinev1.Address) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The state of %s lists an address that cannot be read: pool %q, address %q", vm.GetRef(), a.GetPool(), a.GetAddress()),
		Kept:  "No further address of this VM was released.",
		Next:  "Report this: only a defect writes such a state.",
	}
}

// maxReads bounds how often one release reads a key that others change at the same time.
const maxReads = 5

// release frees an address in the truth if o holds it, then in the index. Doing it again is
// harmless, also when the address is another VM's by now.
func (s *service) release(ctx context.Context, o owner, poolName string, addr netip.Addr) error {
	k := key(poolName, addr)
	for range maxReads {
		holder, revision, err := s.holder(ctx, k)
		if err != nil {
			return err
		}
		if holder == o {
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
