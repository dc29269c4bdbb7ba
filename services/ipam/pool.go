package ipam

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// pool is a configured pool, ready for use. The addresses that may be given are numbered from 0, so
// that the index needs to know neither families nor exclusions.
type pool struct {
	conf   *vmlinev1.Pool
	prefix netip.Prefix
	// spans are the addresses that may be given; starts are the numbers of their first addresses.
	spans  []span
	starts []uint64
	// size is how many addresses may be given.
	size uint64
	// layout tells one numbering from another.
	layout string
}

func newPool(conf *vmlinev1.Pool, prefix netip.Prefix, spans []span) *pool {
	p := &pool{conf: conf, prefix: prefix}
	sum := sha256.New()
	for _, s := range spans {
		if room := maxNumbers - p.size; distance(s.first, s.last) >= room {
			s.last = plus(s.first, room-1)
		}
		p.spans, p.starts = append(p.spans, s), append(p.starts, p.size)
		p.size += s.size()
		fmt.Fprintf(sum, "%s-%s,", s.first, s.last)
		if p.size == maxNumbers {
			break
		}
	}
	p.layout = hex.EncodeToString(sum.Sum(nil)[:8])
	return p
}

// address is the address with number n, which is below size.
func (p *pool) address(n uint64) netip.Addr {
	i, exact := slices.BinarySearch(p.starts, n)
	if !exact {
		i--
	}
	return plus(p.spans[i].first, n-p.starts[i])
}

// number is the way back from address; false means that the address is never given.
func (p *pool) number(a netip.Addr) (uint64, bool) {
	i, _ := slices.BinarySearchFunc(p.spans, a, func(s span, a netip.Addr) int { return s.last.Compare(a) })
	if i == len(p.spans) || !p.spans[i].contains(a) {
		return 0, false
	}
	return p.starts[i] + distance(p.spans[i].first, a), true
}

// describe is the address as the VM's state lists it.
func (p *pool) describe(n uint64) *vmlinev1.Address {
	return &vmlinev1.Address{
		Pool: p.conf.GetName(), Address: p.address(n).String(), PrefixLength: uint32(p.prefix.Bits()), //nolint:gosec // 0 to 128
		Gateway: p.conf.GetGateway(), DnsServers: slices.Clone(p.conf.GetDnsServers()),
	}
}

// serves says whether the pool has addresses of that family for a package's network.
func (p *pool) serves(pkg *vmlinev1.Package, f family) bool {
	n := pkg.GetNetwork()
	return p.conf.GetCluster() == pkg.GetCluster() && p.conf.GetBridge() == n.GetBridge() &&
		p.conf.GetVlan() == n.GetVlan() && familyOf(p.prefix.Addr()) == f
}

// family is IPv4 or IPv6.
type family string

const (
	ipv4 family = "IPv4"
	ipv6 family = "IPv6"
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}
