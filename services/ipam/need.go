package ipam

import (
	"net/netip"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// need is what a package asks for of one family.
type need struct {
	family family
	// count is how many addresses there are to be, the chosen ones among them.
	count int
	// chosen are the addresses that the package names, in its order.
	chosen []choice
	// pools serve the package's network, in the order in which they are used.
	pools []*pool
	// undo takes back what was to leave before it keeps what was given instead.
	undo bool
}

// needs reads a VM's package, IPv4 first. Its error is a *bus.NeedsPerson.
func (s *service) needs(vm *vmlinev1.VM) ([]need, error) {
	pkg, network := vm.GetPackage(), vm.GetPackage().GetNetwork()
	all := []need{{family: ipv4, count: int(network.GetIpv4Count())}, {family: ipv6, count: int(network.GetIpv6Count())}}
	for i := range all {
		n := &all[i]
		n.undo = vm.GetOperation().GetKind() == vmlinev1.Operation_KIND_CANCEL
		for _, p := range s.pools {
			if p.serves(pkg, n.family) {
				n.pools = append(n.pools, p)
			}
		}
		if err := s.choose(pkg, n); err != nil {
			return nil, err
		}
		n.count = max(n.count, len(n.chosen))
		switch {
		case n.count > maxPerFamily:
			return nil, tooMany(n.family, n.count)
		case n.count > 0 && len(n.pools) == 0:
			return nil, noPool(pkg, n.family)
		}
	}
	return all, nil
}

// choose finds the addresses of the family that the package names in the pools that serve it.
func (s *service) choose(pkg *vmlinev1.Package, n *need) error {
	seen := map[choice]bool{}
	for _, text := range pkg.GetNetwork().GetAddresses() {
		addr, err := parseAddr("chosen address", text)
		if err != nil {
			return badChoice(err)
		}
		if familyOf(addr) != n.family {
			continue
		}
		c, ok := n.find(addr)
		if !ok {
			return notGiven(pkg, addr, n.pools)
		}
		if !seen[c] {
			seen[c], n.chosen = true, append(n.chosen, c)
		}
	}
	return nil
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
