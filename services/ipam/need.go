package ipam

import (
	"net/netip"
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// need is what a package asks for of one family.
type need struct {
	family family
	// count is how many addresses there are to be, the chosen ones among them.
	count int
	// chosen are the addresses that the package names, in its order.
	chosen []choice
	// own are chosen addresses that the VM has and that no pool gives.
	own []netip.Addr
	// pools serve the package's network, in the order in which they are used.
	pools []*pool
	// undo gives back had, which the VM had before, rather than keep what was given since.
	undo bool
	had  []string
}

// needs reads a VM's package, IPv4 first. Its error is a *bus.NeedsPerson.
func (s *service) needs(vm *vmlinev1.VM) ([]need, error) {
	pkg, network := vm.GetPackage(), vm.GetPackage().GetNetwork()
	all := []need{{family: ipv4, count: int(network.GetIpv4Count())}, {family: ipv6, count: int(network.GetIpv6Count())}}
	for i := range all {
		n := &all[i]
		n.undo, n.had = vm.GetOperation().GetUndoes(), vm.GetOperation().GetBefore().GetAddresses()
		for _, p := range s.pools {
			if p.serves(pkg, n.family) {
				n.pools = append(n.pools, p)
			}
		}
		if err := n.choose(vm); err != nil {
			return nil, err
		}
		n.count = max(n.count, len(n.chosen)+len(n.own))
		switch {
		case n.count > maxPerFamily:
			return nil, tooMany(n.family, n.count)
		case n.count > len(n.own) && len(n.pools) == 0:
			return nil, noPool(pkg, n.family)
		}
	}
	return all, nil
}

// choose finds the addresses of the family that the package names: in the pools that serve it, or on the
// machine.
func (n *need) choose(vm *vmlinev1.VM) error {
	for _, text := range vm.GetPackage().GetNetwork().GetAddresses() {
		addr, err := parseAddr("chosen address", text)
		if err != nil {
			return badChoice(err)
		}
		if familyOf(addr) != n.family {
			continue
		}
		c, ok := n.find(addr)
		switch {
		case ok && !slices.Contains(n.chosen, c):
			n.chosen = append(n.chosen, c)
		case ok:
		case !sameNetwork(vm) || !has(vm, addr.String()):
			return notGiven(vm.GetPackage(), addr, n.pools)
		case !slices.Contains(n.own, addr):
			n.own = append(n.own, addr)
		}
	}
	return nil
}

// has says whether the VM's state lists the address.
func has(vm *vmlinev1.VM, addr string) bool {
	return slices.ContainsFunc(vm.GetAddresses(), func(a *vmlinev1.Address) bool { return a.GetAddress() == addr })
}

// find looks for an address among those that the pools give.
func (n need) find(addr netip.Addr) (choice, bool) {
	for _, p := range n.pools {
		if number, ok := p.number(addr); ok {
			return choice{p, number}, true
		}
	}
	return choice{}, false
}
