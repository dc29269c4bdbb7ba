package check

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/api"
)

// withPorts are the protocols for which Proxmox's firewall takes ports (PVE::Firewall).
var withPorts = []string{"tcp", "udp", "udplite", "sctp", "dccp"}

// maxPorts is the most ports of one rule; a range counts as two (iptables' multiport).
const maxPorts = 15

func firewall(f *faults, p *api.Package) {
	if p.Firewall.IPFilter && p.Network.IPv4Count+p.Network.IPv6Count == 0 {
		f.add("body.firewall.ip_filter", "a VM without an address could send nothing; give it one, or leave the filter out")
	}
	for i, r := range p.Firewall.Rules {
		rule(f, fmt.Sprintf("body.firewall.rules[%d]", i), r)
	}
}

func rule(f *faults, at string, r api.FirewallRule) {
	ports := []struct{ field, value string }{{"source_port", r.SourcePort}, {"destination_port", r.DestinationPort}}
	for _, p := range ports {
		switch {
		case p.value == "":
		case r.Macro != "":
			f.add(at+"."+p.field, "the macro brings its ports itself")
		case !slices.Contains(withPorts, r.Protocol):
			f.add(at+"."+p.field, "ports need a protocol that has them: %s", strings.Join(withPorts, ", "))
		default:
			if err := portList(p.value); err != nil {
				f.add(at+"."+p.field, "%v", err)
			}
		}
	}
	if r.Macro != "" && r.Protocol != "" {
		f.add(at+".protocol", "the macro brings its protocol itself")
	}
	addresses(f, at, r)
}

func addresses(f *faults, at string, r api.FirewallRule) {
	source, err := addressList(r.Source)
	if err != nil {
		f.add(at+".source", "%v", err)
	}
	destination, err2 := addressList(r.Destination)
	if err2 != nil {
		f.add(at+".destination", "%v", err2)
	}
	if source != 0 && destination != 0 && source != destination {
		f.add(at+".destination", "source and destination are of different IP versions")
	}
}

// addressList reads addresses, prefixes and ranges separated by commas. It returns their common IP
// version, 0 for an empty list or an error.
func addressList(list string) (version int, err error) {
	if list == "" {
		return 0, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		v, err := addressVersion(item)
		switch {
		case err != nil:
			return 0, err
		case version != 0 && v != version:
			return 0, errors.New("addresses of both IP versions in one list; use a rule for each")
		}
		version = v
	}
	return version, nil
}

func addressVersion(item string) (int, error) {
	if prefix, err := netip.ParsePrefix(item); err == nil {
		return versionOf(prefix.Addr()), nil
	}
	from, to, isRange := strings.Cut(item, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" {
		return 0, fmt.Errorf("%q is no address, prefix or range of addresses", item)
	}
	if !isRange {
		return versionOf(first), nil
	}
	last, err := netip.ParseAddr(to)
	if err != nil || last.Zone() != "" || versionOf(first) != versionOf(last) || last.Less(first) {
		return 0, fmt.Errorf("%q is no range of addresses", item)
	}
	return versionOf(first), nil
}

func versionOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// portList checks ports and ranges first:last separated by commas.
func portList(list string) error {
	count := 0
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(item, ":")
		first, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no port or range of ports", item)
		}
		count++
		if !isRange {
			continue
		}
		last, err := strconv.ParseUint(to, 10, 16)
		if err != nil || last < first {
			return fmt.Errorf("%q is no range of ports", item)
		}
		count++
	}
	if count > maxPorts {
		return fmt.Errorf("more than %d ports; a range counts as two", maxPorts)
	}
	return nil
}
