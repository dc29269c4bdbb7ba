package ipam

import (
	"context"
	"net/netip"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// claimUnmanaged claims for their VMs the addresses of adopted machines that no pool gave when they were
// adopted, and one gives now: nobody else may get them.
func (s *service) claimUnmanaged(ctx context.Context) error {
	return s.bus.Each(ctx, func(e bus.Entry) error {
		if e.VM.GetStatus() == vmlinev1.Status_STATUS_TERMINATED {
			return nil
		}
		for _, a := range e.VM.GetAddresses() {
			if c, ok := s.manages(e.VM.GetPackage(), a); ok {
				if err := s.claimUsed(ctx, ownerOf(e.VM), c); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// claimUsed claims an address that the VM's machine uses already.
func (s *service) claimUsed(ctx context.Context, o owner, c choice) error {
	holder, _, err := s.holder(ctx, c.key())
	if err == nil && holder == "" {
		holder, err = s.claim(ctx, o, c.key())
	}
	if err != nil || holder == o {
		return err
	}
	s.log.Error("an adopted machine uses an address that belongs to another VM", "pool", c.pool.conf.GetName(), "address", c.addr(), "used_by", o, "held_by", holder)
	return nil
}

// manages finds the pool that would give an address which the VM's state lists without one.
func (s *service) manages(pkg *vmlinev1.Package, a *vmlinev1.Address) (choice, bool) {
	addr, err := netip.ParseAddr(a.GetAddress())
	if a.GetPool() != "" || err != nil {
		return choice{}, false
	}
	c, _ := s.manager(pkg, addr)
	return c, c.pool != nil
}
