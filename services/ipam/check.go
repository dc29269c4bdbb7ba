package ipam

import (
	"fmt"
	"net/netip"
	"regexp"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// What a pool's configuration may hold.
const (
	maxExcludes   = 10_000
	maxDNSServers = 16
	maxVLAN       = 4094
)

// namePattern is what a pool's name may look like: it is a token of a key and a hash tag of Redis.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// CheckPools returns the first mistake in a list of pools: one of a single pool, a name used twice,
// or an address that two pools of one cluster could both give.
func CheckPools(pools []*vmlinev1.Pool) error {
	var seen []*vmlinev1.Pool
	for _, p := range pools {
		if err := CheckPool(p); err != nil {
			return err
		}
		for _, other := range seen {
			if p.GetName() == other.GetName() {
				return fmt.Errorf("pool %q: two pools have this name", p.GetName())
			}
			if p.GetCluster() == other.GetCluster() && givenBy(p).overlaps(givenBy(other)) {
				return fmt.Errorf("pool %q: its addresses %s overlap with those of pool %q (%s)",
					p.GetName(), givenBy(p), other.GetName(), givenBy(other))
			}
		}
		seen = append(seen, p)
	}
	return nil
}

// CheckPool returns the first mistake in a pool's configuration, as a sentence for the person who
// wrote it.
func CheckPool(p *vmlinev1.Pool) error {
	_, err := parsePool(p)
	return err
}

// parsePool checks a pool and numbers its addresses.
func parsePool(p *vmlinev1.Pool) (*pool, error) {
	parsed, err := parse(p)
	if err != nil {
		return nil, fmt.Errorf("pool %q: %w", p.GetName(), err)
	}
	return parsed, nil
}

func parse(p *vmlinev1.Pool) (*pool, error) {
	if err := checkPlace(p); err != nil {
		return nil, err
	}
	prefix, err := parsePrefix("prefix", p.GetPrefix())
	if err != nil {
		return nil, err
	}
	given, err := parseGiven(p, prefix)
	if err != nil {
		return nil, err
	}
	never := reserved(prefix)
	gateway, err := parseGateway(p.GetGateway(), prefix)
	if err != nil {
		return nil, err
	}
	if gateway.IsValid() {
		never = append(never, span{gateway, gateway})
	}
	for i, text := range p.GetExclude() {
		s, err := parseExclude(text, prefix)
		if err != nil {
			return nil, fmt.Errorf("exclude %d: %w", i+1, err)
		}
		never = append(never, s)
	}
	spans := given.without(never)
	if len(spans) == 0 {
		return nil, fmt.Errorf("no address is left to give: all of %s is excluded, the gateway, or reserved in its network", given)
	}
	return newPool(p, prefix, spans), nil
}

func checkPlace(p *vmlinev1.Pool) error {
	switch {
	case !namePattern.MatchString(p.GetName()):
		return fmt.Errorf("its name must be 1 to 64 letters, digits, hyphens or underscores")
	case p.GetCluster() == "":
		return fmt.Errorf("it names no cluster")
	case p.GetBridge() == "":
		return fmt.Errorf("it names no bridge, for example vmbr0")
	case p.GetVlan() > maxVLAN:
		return fmt.Errorf("vlan %d is not 1 to %d, or 0 for none", p.GetVlan(), maxVLAN)
	case len(p.GetExclude()) > maxExcludes:
		return fmt.Errorf("%d exclusions are more than %d; use CIDR ranges", len(p.GetExclude()), maxExcludes)
	case len(p.GetDnsServers()) > maxDNSServers:
		return fmt.Errorf("%d DNS servers are more than %d", len(p.GetDnsServers()), maxDNSServers)
	}
	for _, text := range p.GetDnsServers() {
		if _, err := parseAddr("DNS server", text); err != nil {
			return err
		}
	}
	return nil
}

// parseGiven returns the range that may be given: first to last, by default the whole prefix.
func parseGiven(p *vmlinev1.Pool, prefix netip.Prefix) (span, error) {
	given := prefixSpan(prefix)
	for _, end := range []struct {
		name, text string
		addr       *netip.Addr
	}{{"first", p.GetFirst(), &given.first}, {"last", p.GetLast(), &given.last}} {
		if end.text == "" {
			continue
		}
		addr, err := parseAddr(end.name, end.text)
		if err != nil {
			return span{}, err
		}
		if !prefix.Contains(addr) {
			return span{}, fmt.Errorf("%s %s is outside of prefix %s", end.name, addr, prefix)
		}
		*end.addr = addr
	}
	if given.last.Less(given.first) {
		return span{}, fmt.Errorf("first %s comes after last %s", given.first, given.last)
	}
	return given, nil
}

// parseGateway allows no gateway (an isolated network) and, for IPv6, a link-local one.
func parseGateway(text string, prefix netip.Prefix) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	addr, err := parseAddr("gateway", text)
	if err != nil {
		return netip.Addr{}, err
	}
	linkLocal := addr.Is6() && prefix.Addr().Is6() && addr.IsLinkLocalUnicast()
	if !prefix.Contains(addr) && !linkLocal {
		return netip.Addr{}, fmt.Errorf("gateway %s is outside of prefix %s", addr, prefix)
	}
	return addr, nil
}

func parseExclude(text string, prefix netip.Prefix) (span, error) {
	s, err := parseRange(text)
	if err != nil {
		return span{}, err
	}
	if !s.overlaps(prefixSpan(prefix)) {
		return span{}, fmt.Errorf("%s is outside of prefix %s", text, prefix)
	}
	return s, nil
}

// parseRange reads a network in CIDR form or one address.
func parseRange(text string) (span, error) {
	if _, err := netip.ParsePrefix(text); err == nil {
		cidr, err := parsePrefix("range", text)
		if err != nil {
			return span{}, err
		}
		return prefixSpan(cidr), nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return span{}, fmt.Errorf("%q is neither an address nor a CIDR range", text)
	}
	return span{addr, addr}, nil
}

// reserved are the addresses of a network that no machine may have: network and broadcast of IPv4
// (not in a /31 or /32, RFC 3021), and the subnet-router anycast address of IPv6 (RFC 4291 2.6.1;
// not in a /127 or /128, RFC 6164).
func reserved(prefix netip.Prefix) []span {
	if prefix.Addr().BitLen()-prefix.Bits() < 2 {
		return nil
	}
	whole := prefixSpan(prefix)
	never := []span{{whole.first, whole.first}}
	if prefix.Addr().Is4() {
		never = append(never, span{whole.last, whole.last})
	}
	return never
}

func parsePrefix(name, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%s %q is not a network in CIDR form, for example 192.0.2.0/24 or 2001:db8::/64", name, text)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s %s is IPv4 written as IPv6; write it as IPv4", name, text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s %s has bits set beyond its length; did you mean %s?", name, text, p.Masked())
	}
	return p, nil
}

func parseAddr(name, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%s %q is not an IPv4 or IPv6 address", name, text)
	}
	return a, nil
}

// String is the span as a person reads it.
func (s span) String() string { return s.first.String() + "-" + s.last.String() }

// givenBy is the range of a pool that passed CheckPool.
func givenBy(p *vmlinev1.Pool) span {
	prefix, err := netip.ParsePrefix(p.GetPrefix())
	if err != nil {
		return span{}
	}
	given, _ := parseGiven(p, prefix)
	return given
}
