// Package record computes the DNS records that a VM should have.
package record

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	// maxAddresses of one VM get records. BIND answers SERVFAIL beyond 100 records in one RRset
	// (max-records-per-type).
	maxAddresses = 64
	// maxName is the longest name in text form without the last dot (RFC 1035, section 3.1).
	maxName = 253
)

// label is a letter-digit-hyphen label (RFC 1035, section 2.3.1; RFC 1123, section 2.1).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Records is what should stand in DNS for one VM.
type Records struct {
	Mark Mark
	// Wanted are the RRsets that should stand, marks included.
	Wanted *vmlinev1.RecordSet
	// Unwanted are names that the VM may have owned and that should carry nothing of it.
	Unwanted []string
	// Notes say in plain words which records were left out and why.
	Notes []string
}

// Names are all names that matter for the VM, wanted and unwanted, each once.
func (r Records) Names() []string {
	names := slices.Clone(r.Unwanted)
	for _, set := range r.Wanted.GetRrsets() {
		names = append(names, OwnedName(set.GetName()))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Compute tells which RRsets a VM should have, in which of the zones:
//
//	VM            domain  ptr  zone of the name  zone of the address  A, AAAA  PTR
//	leaves        any     any  any               any                  -        -
//	no addresses  any     any  any               any                  -        -
//	stays         empty   no   -                 any                  -        -
//	stays         empty   yes  -                 any                  - note   - note
//	stays         given   no   configured        any                  yes      -
//	stays         given   no   missing           any                  - note   -
//	stays         given   yes  configured        configured           yes      yes
//	stays         given   yes  configured        missing              yes      - note
//	stays         given   yes  missing           configured           - note   yes
//	stays         empty   yes, under a name      configured           -        yes
//
// What is wrong with one name or address never keeps the others from their records. An address that
// leaves the VM has its records until it is released. What the operation has taken from the VM, its
// former name and the addresses that were released, is unwanted.
func Compute(vm *vmlinev1.VM, zones *zone.Set) Records {
	c := &computation{zones: zones, ttl: vm.GetPackage().GetDns().GetTtl(), sets: map[[2]string]*vmlinev1.RRset{}}
	c.Mark = Mark{Ref: vm.GetRef(), UID: vm.GetUid()}
	c.Wanted = &vmlinev1.RecordSet{Ref: vm.GetRef(), Uid: vm.GetUid()}
	if !wordPattern.MatchString(c.Mark.Ref) || !wordPattern.MatchString(c.Mark.UID) {
		c.note("ref %q and uid %q cannot stand in an ownership mark; the VM gets no records", c.Mark.Ref, c.Mark.UID)
		return c.Records
	}
	c.run(vm)
	if Leaves(vm) {
		c.Notes = nil // nothing is missed any more
	}
	return c.Records
}

// Leaves tells whether the VM is being terminated or is gone. A machine that was removed to be built
// anew keeps its records, as does one that is suspended.
func Leaves(vm *vmlinev1.VM) bool {
	switch vm.GetStatus() {
	case vmlinev1.Status_STATUS_TERMINATE, vmlinev1.Status_STATUS_VMID_RELEASED, vmlinev1.Status_STATUS_TERMINATED:
		return true
	}
	return chain.Goal(vm.GetOperation()) == vmlinev1.Operation_KIND_TERMINATE
}

type computation struct {
	Records

	zones *zone.Set
	ttl   uint32
	sets  map[[2]string]*vmlinev1.RRset // by name and type
}

func (c *computation) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

func (c *computation) run(vm *vmlinev1.VM) {
	addresses := c.addresses(vm.GetAddresses())
	c.former(vm, addresses)
	if len(addresses) == 0 {
		return
	}
	if c.ttl > zone.MaxTTL {
		c.note("TTL %d s is longer than DNS allows; the zone's own is used", c.ttl)
		c.ttl = 0
	}
	wanted := !Leaves(vm)
	host := c.host(vm.GetPackage())
	target := c.target(vm.GetPackage().GetDns(), host)
	ptr := wanted && vm.GetPackage().GetDns().GetPtr()
	if ptr && target == "" {
		c.note("reverse records are asked for, but there is no host name for them to point to")
	}
	c.forward(host, addresses, wanted)
	for _, a := range addresses {
		c.reverse(a, target, ptr && target != "")
	}
}

// former finds the names that the VM had before its operation and has no longer.
func (c *computation) former(vm *vmlinev1.VM, addresses []netip.Addr) {
	notes := c.Notes
	op := vm.GetOperation()
	before, now := c.host(op.GetBefore().GetPackage()), c.host(vm.GetPackage())
	if before != now {
		c.forward(before, nil, false)
	}
	if len(addresses) == 0 && len(op.GetResult().GetReleased()) > 0 {
		c.forward(now, nil, false) // its last address was taken away
	}
	for _, a := range c.addresses(op.GetResult().GetReleased()) {
		if !slices.Contains(addresses, a) {
			c.reverse(a, "", false)
		}
	}
	c.Notes = notes // what is wrong with them is no news
}

// addresses reads the VM's addresses, each once.
func (c *computation) addresses(list []*vmlinev1.Address) []netip.Addr {
	if len(list) > maxAddresses {
		c.note("only the first %d of %d addresses get records", maxAddresses, len(list))
		list = list[:maxAddresses]
	}
	var all []netip.Addr
	for _, a := range list {
		ip, err := netip.ParseAddr(a.GetAddress())
		ip = ip.Unmap()
		switch {
		case err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast():
			c.note("%q is no address that a record can hold", a.GetAddress())
		case !slices.Contains(all, ip):
			all = append(all, ip)
		}
	}
	return all
}

// host is the VM's fully qualified name, or empty when the package names none that is valid.
func (c *computation) host(p *vmlinev1.Package) string {
	domain := strings.ToLower(strings.TrimSuffix(p.GetDns().GetDomain(), "."))
	if domain == "" {
		return ""
	}
	host := strings.ToLower(p.GetName()) + "." + domain
	if len(markLabel)+len(host) > maxName {
		c.note("%q is too long for a host name with a mark", host)
		return ""
	}
	return c.hostName(host)
}

// target is the name that reverse records lead to, or empty when the package names none that is valid.
func (c *computation) target(d *vmlinev1.Dns, host string) string {
	name := strings.ToLower(strings.TrimSuffix(d.GetPtrName(), "."))
	switch {
	case name == "" || !d.GetPtr():
		return host
	case len(name) > maxName:
		c.note("%q is too long for a host name", name)
		return ""
	}
	return c.hostName(name)
}

// hostName is a name with its last dot, or empty when it is none for a host.
func (c *computation) hostName(host string) string {
	for _, l := range strings.Split(host, ".") {
		if !label.MatchString(l) {
			c.note("%q is not a host name: label %q is not made of 1 to 63 letters, digits and inner hyphens", host, l)
			return ""
		}
	}
	return host + "."
}

func (c *computation) forward(host string, addresses []netip.Addr, wanted bool) {
	if host == "" {
		return
	}
	z, ok := c.zones.Find(host)
	switch {
	case ok && wanted:
		for _, a := range addresses {
			c.add(z, host, typeOf(a), a.String())
		}
	case ok:
		c.Unwanted = append(c.Unwanted, host)
	case wanted:
		c.note("no zone is configured that holds %s; it gets no A or AAAA records", host)
	}
}

func (c *computation) reverse(a netip.Addr, host string, wanted bool) {
	// The error is for texts that are no addresses.
	name, _ := dns.ReverseAddr(a.String())
	z, ok := c.zones.Find(name)
	switch {
	case ok && wanted:
		c.add(z, name, "PTR", host)
	case ok:
		c.Unwanted = append(c.Unwanted, name)
	case wanted:
		c.note("no zone is configured that holds %s; %s gets no PTR record", name, a)
	}
}

func typeOf(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

// add puts a value into the RRset of a name and type, and the mark beside a name that is new.
func (c *computation) add(z zone.Zone, name, rrtype, value string) {
	c.put(z, name, rrtype, value)
	if c.sets[[2]string{MarkName(name), "TXT"}] == nil {
		c.put(z, MarkName(name), "TXT", `"`+c.Mark.Text()+`"`)
	}
}

func (c *computation) put(z zone.Zone, name, rrtype, value string) {
	key := [2]string{name, rrtype}
	set := c.sets[key]
	if set == nil {
		ttl := c.ttl
		if ttl == 0 {
			ttl = z.TTL
		}
		set = &vmlinev1.RRset{Name: name, Type: rrtype, Ttl: ttl}
		c.sets[key] = set
		c.Wanted.Rrsets = append(c.Wanted.Rrsets, set)
	}
	set.Values = append(set.Values, value)
	slices.Sort(set.Values)
}
