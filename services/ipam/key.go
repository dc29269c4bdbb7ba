package ipam

import (
	"fmt"
	"net/netip"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// key is the name of an address in the truth, <pool>.<address>. A key of the bus cannot hold the
// colons of IPv6; they become hyphens, which no address has.
func key(pool string, addr netip.Addr) string {
	return pool + "." + strings.ReplaceAll(addr.String(), ":", "-")
}

// parseKey is the way back from key.
func parseKey(k string) (pool string, addr netip.Addr, err error) {
	pool, text, _ := strings.Cut(k, ".")
	addr, err = netip.ParseAddr(strings.ReplaceAll(text, "-", ":"))
	if err != nil || key(pool, addr) != k {
		return "", netip.Addr{}, fmt.Errorf("%q is not the key of an address", k)
	}
	return pool, addr, nil
}

// owner is the VM that an address is for, <ref>/<uid>. A ref has no slash.
type owner string

func ownerOf(vm *vmlinev1.VM) owner         { return owner(vm.GetRef() + "/" + vm.GetUid()) }
func holderOf(a *vmlinev1.Allocation) owner { return owner(a.GetRef() + "/" + a.GetUid()) }
func (o owner) split() (ref string, uid string) {
	ref, uid, _ = strings.Cut(string(o), "/")
	return ref, uid
}
