package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// adopt claims the addresses that were read from an adopted machine, exactly these. One that another
// VM holds needs a person; one that no pool gives stays listed without a pool, with a warning.
func (s *service) adopt(ctx context.Context, vm *vmlinev1.VM) (written claims, err error) {
	o := ownerOf(vm)
	for i, a := range vm.GetAddresses() {
		addr, err := netip.ParseAddr(a.GetAddress())
		if err != nil {
			return written, unreadable(vm, a)
		}
		c, why := s.manager(vm.GetPackage(), addr)
		if c.pool == nil {
			a.Pool = ""
			warn(vm, fmt.Sprintf("address %s is not managed: %s", addr, why))
			continue
		}
		written = append(written, c.pool.describe(c.number))
		holder, err := s.claim(ctx, o, c.key())
		if err != nil {
			return written, err
		}
		if err := s.index.hold(ctx, c.pool, holder, c.number); err != nil {
			return written, err
		}
		if holder != o {
			return written, s.foreign(vm, c, holder)
		}
		if own := c.pool.describe(c.number); a.GetPrefixLength() != 0 && a.GetPrefixLength() != own.GetPrefixLength() {
			warn(vm, fmt.Sprintf("address %s has the prefix length %d on the machine and %d in pool %s", addr, a.GetPrefixLength(), own.GetPrefixLength(), own.GetPool()))
		}
		vm.Addresses[i] = c.pool.describe(c.number)
	}
	return written, nil
}

// manager finds the pool that gives the address to VMs with this package, or says why none does.
func (s *service) manager(pkg *vmlinev1.Package, addr netip.Addr) (c choice, why string) {
	n := need{family: familyOf(addr)}
	for _, p := range s.pools {
		if p.serves(pkg, n.family) {
			n.pools = append(n.pools, p)
		}
	}
	if c, ok := n.find(addr); ok {
		return c, ""
	}
	for _, p := range s.pools {
		switch {
		case p.conf.GetCluster() != pkg.GetCluster() || !p.prefix.Contains(addr):
		case p.serves(pkg, n.family):
			return choice{}, fmt.Sprintf("pool %s has its network and never gives it", p.conf.GetName())
		default:
			why = fmt.Sprintf("pool %s has its network, but on bridge %s, VLAN %d", p.conf.GetName(), p.conf.GetBridge(), p.conf.GetVlan())
		}
	}
	if why == "" {
		why = "no pool for " + place(pkg) + " has its network"
	}
	return choice{}, why
}

// foreign says that an address of the adopted machine is another VM's.
func (s *service) foreign(vm *vmlinev1.VM, c choice, holder owner) error {
	ref, _ := holder.split()
	kept := "The machine is left as it is."
	var own []string
	for _, a := range vm.GetAddresses() {
		if a.GetPool() != "" {
			own = append(own, a.GetAddress())
		}
	}
	if len(own) > 0 {
		kept += " Reserved for this VM: " + strings.Join(own, ", ") + "."
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The machine uses address %s of pool %s, which belongs to VM %s", c.addr(), c.pool.conf.GetName(), ref),
		Kept:  kept,
		Next:  fmt.Sprintf("Have VM %s give it up by a change of its package, then retry; or give this machine another address on Proxmox, then adopt it again; or cancel, which returns the machine.", ref),
	}
}

// warn adds a warning once.
func warn(vm *vmlinev1.VM, text string) {
	if !slices.Contains(vm.GetWarnings(), text) {
		vm.Warnings = append(vm.Warnings, text)
	}
}
