package nameserver

import (
	"slices"

	"github.com/miekg/dns"
)

// rrsetKey names an RRset of the zone.
type rrsetKey struct {
	name   string
	rrtype uint16
}

// prerequisites checks what an update demands of the zone (RFC 2136, sections 2.4 and 3.2):
//
//	class  type  rdata  demands                             otherwise
//	ANY    ANY   none   the name is in use                  NXDOMAIN
//	ANY    any   none   the RRset exists                    NXRRSET
//	NONE   ANY   none   the name is not in use              YXDOMAIN
//	NONE   any   none   the RRset does not exist            YXRRSET
//	zone   any   some   the RRset is exactly what is given  NXRRSET
func (z *zone) prerequisites(rrs []dns.RR) int {
	exact := map[rrsetKey][]dns.RR{}
	for _, rr := range rrs {
		h := rr.Header()
		name := dns.CanonicalName(h.Name)
		if h.Ttl != 0 {
			return dns.RcodeFormatError
		}
		if !dns.IsSubDomain(z.origin, name) {
			return dns.RcodeNotZone
		}
		empty := h.Rdlength == 0
		switch {
		case h.Class == dns.ClassANY && empty:
			if !z.inUse(name, h.Rrtype) {
				return failure(h.Rrtype, dns.RcodeNameError, dns.RcodeNXRrset)
			}
		case h.Class == dns.ClassNONE && empty:
			if z.inUse(name, h.Rrtype) {
				return failure(h.Rrtype, dns.RcodeYXDomain, dns.RcodeYXRrset)
			}
		case h.Class == dns.ClassINET && !isMeta(h.Rrtype) && !empty:
			key := rrsetKey{name, h.Rrtype}
			exact[key] = append(exact[key], rr)
		default:
			return dns.RcodeFormatError
		}
	}
	for key, want := range exact {
		if !sameRecords(z.names[key.name][key.rrtype], want) {
			return dns.RcodeNXRrset
		}
	}
	return dns.RcodeSuccess
}

// inUse tells whether a name has an RRset of the type, or of any. Names that only have names below them
// are not in use (RFC 2136, section 2.4.5).
func (z *zone) inUse(name string, rrtype uint16) bool {
	if rrtype == dns.TypeANY {
		return len(z.names[name]) > 0
	}
	return len(z.names[name][rrtype]) > 0
}

func failure(rrtype uint16, ofName, ofRRset int) int {
	if rrtype == dns.TypeANY {
		return ofName
	}
	return ofRRset
}

// sameRecords compares two sets without regard to order, TTL and repeated records.
func sameRecords(have, want []dns.RR) bool {
	covers := func(all, some []dns.RR) bool {
		for _, rr := range some {
			if !slices.ContainsFunc(all, func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }) {
				return false
			}
		}
		return true
	}
	return covers(have, want) && covers(want, have)
}
