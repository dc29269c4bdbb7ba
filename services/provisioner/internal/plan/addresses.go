package plan

import (
	"net/netip"
	"slices"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Staying are the VM's addresses without those that are being taken off it.
func Staying(vm *vmlinev1.VM) []*vmlinev1.Address {
	return slices.DeleteFunc(slices.Clone(vm.GetAddresses()), (*vmlinev1.Address).GetLeaving)
}

// leaves says whether an ipconfig value has an address that is being taken off the VM.
func leaves(vm *vmlinev1.VM, ipconfig string) bool {
	return slices.ContainsFunc(vm.GetAddresses(), func(a *vmlinev1.Address) bool {
		return a.GetLeaving() && slices.ContainsFunc(strings.Split(ipconfig, ","), func(part string) bool {
			_, cidr, _ := strings.Cut(part, "=")
			address, _, _ := strings.Cut(cidr, "/")
			return address == a.GetAddress()
		})
	})
}

// AddressesChange says whether the package asks for other addresses than the VM has: another number
// of a family, a chosen one that it has not, or a network whose pools may be others; or whether one
// is being taken off it and has still to be given back.
func AddressesChange(vm *vmlinev1.VM, before *vmlinev1.Package) bool {
	net, old := vm.GetPackage().GetNetwork(), before.GetNetwork()
	if net.GetBridge() != old.GetBridge() || net.GetVlan() != old.GetVlan() || len(Staying(vm)) < len(vm.GetAddresses()) {
		return true
	}
	var v4, v6 uint32
	for _, a := range Staying(vm) {
		if strings.Contains(a.GetAddress(), ":") {
			v6++
		} else {
			v4++
		}
	}
	missing := slices.ContainsFunc(net.GetAddresses(), func(chosen string) bool { return !hasAddress(Staying(vm), chosen) })
	return missing || max(net.GetIpv4Count(), chosenOf(net, false)) != v4 || max(net.GetIpv6Count(), chosenOf(net, true)) != v6
}

// chosenOf counts the chosen addresses of a family.
func chosenOf(net *vmlinev1.Network, v6 bool) (n uint32) {
	for _, a := range net.GetAddresses() {
		if strings.Contains(a, ":") == v6 {
			n++
		}
	}
	return n
}

func hasAddress(have []*vmlinev1.Address, address string) bool {
	want, err := netip.ParseAddr(address)
	return slices.ContainsFunc(have, func(a *vmlinev1.Address) bool {
		is, isErr := netip.ParseAddr(a.GetAddress())
		return a.GetAddress() == address || (err == nil && isErr == nil && is == want)
	})
}

// leavesTold says whether the change takes an address off the machine that its cloud-init configuration
// tells the guest of. A guest that runs uses it until it is started anew; only then may another VM get it.
func leavesTold(ipconfig string, vm *vmlinev1.VM, before *vmlinev1.Package, undo bool) bool {
	gone := &vmlinev1.VM{}
	for _, a := range vm.GetAddresses() {
		if !slices.Contains(keeps(vm, before, undo), a) {
			gone.Addresses = append(gone.Addresses, &vmlinev1.Address{Address: a.GetAddress(), Leaving: true})
		}
	}
	return leaves(gone, ipconfig)
}

// keeps are those of the VM's addresses that ipam will let it keep: in the same network, as many of a family
// as the package has, chosen ones first, then in their order, those that were leaving last. When a change is
// undone, those come first that the VM had before it.
func keeps(vm *vmlinev1.VM, before *vmlinev1.Package, undo bool) []*vmlinev1.Address {
	net, old := vm.GetPackage().GetNetwork(), before.GetNetwork()
	if !undo && (net.GetBridge() != old.GetBridge() || net.GetVlan() != old.GetVlan()) {
		return nil
	}
	had := vm.GetOperation().GetBefore().GetAddresses()
	rank := func(a *vmlinev1.Address) int {
		switch {
		case hasChosen(net, a):
			return 0
		case undo && slices.Contains(had, a.GetAddress()), !undo && !a.GetLeaving():
			return 1
		default:
			return 2
		}
	}
	var all []*vmlinev1.Address
	for _, v6 := range []bool{false, true} {
		count := max(map[bool]uint32{false: net.GetIpv4Count(), true: net.GetIpv6Count()}[v6], chosenOf(net, v6))
		for _, chosen := range net.GetAddresses() { // a chosen one that it has not takes a place
			if strings.Contains(chosen, ":") == v6 && !hasAddress(vm.GetAddresses(), chosen) {
				count--
			}
		}
		family := slices.DeleteFunc(slices.Clone(vm.GetAddresses()), func(a *vmlinev1.Address) bool { return strings.Contains(a.GetAddress(), ":") != v6 })
		slices.SortStableFunc(family, func(a, b *vmlinev1.Address) int { return rank(a) - rank(b) })
		all = append(all, family[:min(int(count), len(family))]...)
	}
	return all
}

// hasChosen says whether the package names the address.
func hasChosen(net *vmlinev1.Network, a *vmlinev1.Address) bool {
	return slices.ContainsFunc(net.GetAddresses(), func(chosen string) bool { return hasAddress([]*vmlinev1.Address{a}, chosen) })
}
