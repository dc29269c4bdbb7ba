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
// of a family, a chosen one that it has not, or a network whose pools may be others.
func AddressesChange(vm *vmlinev1.VM, before *vmlinev1.Package) bool {
	net, old := vm.GetPackage().GetNetwork(), before.GetNetwork()
	if net.GetBridge() != old.GetBridge() || net.GetVlan() != old.GetVlan() {
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
