package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// maxTTL of a DNS record in seconds (RFC 2181, section 8).
const maxTTL = 1<<31 - 1

// bridgePattern is what Proxmox accepts as the name of a bridge.
var bridgePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,14}$`)

func (k *checker) pools() {
	seen := map[string]string{}
	for i, p := range k.c.Pools {
		at := fmt.Sprintf("pools[%d].", i)
		k.name(at+"name", p.Name, seen)
		if p.Cluster != "" && !slices.ContainsFunc(k.c.Clusters, func(c Cluster) bool { return c.Name == p.Cluster }) {
			k.add(at+"cluster", "there is no cluster %q in this file", p.Cluster)
		}
		if p.Bridge != "" && !bridgePattern.MatchString(p.Bridge) {
			k.add(at+"bridge", "want a bridge like vmbr0, got %q", p.Bridge)
		}
		if p.VLAN > 4094 {
			k.add(at+"vlan", "want 1 to 4094, or 0 for none, got %d", p.VLAN)
		}
		if p.Prefix.IsValid() {
			k.addresses(at, p)
		}
		for j, other := range k.c.Pools[:i] {
			if overlap(p, other) {
				k.add(at+"prefix", "some addresses are also in pools[%d] (%s); narrow first and last", j, other.Name)
			}
		}
	}
}

func (k *checker) addresses(at string, p Pool) {
	if p.Prefix.Masked() != p.Prefix {
		k.add(at+"prefix", "%s has bits set beyond its length; want %s", p.Prefix, p.Prefix.Masked())
		return
	}
	for key, addr := range map[string]netip.Addr{"gateway": p.Gateway, "first": p.First, "last": p.Last} {
		if addr.IsValid() && !p.Prefix.Contains(addr) {
			k.add(at+key, "%s is not in %s", addr, p.Prefix)
		}
	}
	if p.First.IsValid() && p.Last.IsValid() && p.Last.Less(p.First) {
		k.add(at+"last", "%s comes before first, %s", p.Last, p.First)
	}
	for i, text := range p.Exclude {
		excluded, err := ParseExclusion(text)
		if key := fmt.Sprintf("%sexclude[%d]", at, i); err != nil {
			k.add(key, "want an address or a network, got %q", text)
		} else if !excluded.Overlaps(p.Prefix) {
			k.add(key, "%s is not in %s", text, p.Prefix)
		}
	}
}

// ParseExclusion reads an address or a network; an address is a network of one.
func ParseExclusion(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.Prefix(addr.BitLen())
}

// overlap says whether two pools could give the same address in one cluster.
func overlap(a, b Pool) bool {
	if a.Cluster != b.Cluster || !a.Prefix.Overlaps(b.Prefix) {
		return false
	}
	return !last(a).Less(first(b)) && !last(b).Less(first(a))
}

func first(p Pool) netip.Addr {
	if p.First.IsValid() {
		return p.First
	}
	return p.Prefix.Masked().Addr()
}

func last(p Pool) netip.Addr {
	if p.Last.IsValid() {
		return p.Last
	}
	bytes := p.Prefix.Masked().Addr().AsSlice()
	for bit := p.Prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes) // as long as an address, because it was one
	return addr
}

func (k *checker) zones() {
	seen := map[string]string{}
	for i := range k.c.DNS.Zones {
		z := &k.c.DNS.Zones[i]
		at := fmt.Sprintf("dns.zones[%d]", i)
		if z.Name != "" {
			k.zoneName(at, z, seen)
		}
		if z.Server != "" {
			k.zoneServer(at, z)
		}
		if z.TTL > maxTTL {
			k.add(at+".ttl", "want seconds from 0 to %d, got %d", maxTTL, z.TTL)
		}
		if t := z.TSIG; t != nil {
			k.oneSource(at+".tsig.", "secret", t.SecretFile, t.SecretEnv)
			if t.Name != "" && !hostPattern.MatchString(strings.TrimSuffix(t.Name, ".")) {
				k.add(at+".tsig.name", "want the key's name as the server knows it, got %q", t.Name)
			}
		}
	}
}

func (k *checker) zoneName(at string, z *Zone, seen map[string]string) {
	name := strings.ToLower(strings.TrimSuffix(z.Name, "."))
	switch {
	case len(name) > 253 || !zonePattern.MatchString(name):
		k.add(at+".name", "want a domain name, got %q", z.Name)
	case seen[name] != "":
		k.add(at+".name", "%q is already the name of %s", name, seen[name])
	default:
		seen[name] = at
	}
	z.Name = name + "."
}

// zonePattern also takes the slash of reverse zones for less than a /24 (RFC 2317).
var zonePattern = regexp.MustCompile(`^[a-z0-9_/]([a-z0-9_/-]{0,62})(\.[a-z0-9_/]([a-z0-9_/-]{0,62}))*$`)

func (k *checker) zoneServer(at string, z *Zone) {
	host, port, err := net.SplitHostPort(z.Server)
	if err != nil {
		host, port = strings.Trim(z.Server, "[]"), "53"
	}
	if _, err := netip.ParseAddr(host); (err != nil && !hostPattern.MatchString(host)) || !validPort(port) {
		k.add(at+".server", "want host or host:port, got %q", z.Server)
		return
	}
	z.Server = net.JoinHostPort(host, port)
}
