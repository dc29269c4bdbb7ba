package nameserver

import (
	"github.com/miekg/dns"
)

// update carries out a dynamic update and returns its RCODE. The signature was checked before.
func (s *Server) update(r *dns.Msg) int {
	if len(r.Question) != 1 || r.Question[0].Qtype != dns.TypeSOA {
		return dns.RcodeFormatError
	}
	z := s.zones[dns.CanonicalName(r.Question[0].Name)]
	if z == nil || r.Question[0].Qclass != dns.ClassINET {
		return dns.RcodeNotAuth
	}
	if r.IsTsig() == nil {
		return dns.RcodeRefused
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if rcode := z.prerequisites(r.Answer); rcode != dns.RcodeSuccess {
		return rcode
	}
	if rcode := z.prescan(r.Ns); rcode != dns.RcodeSuccess {
		return rcode
	}
	z.apply(r.Ns)
	return dns.RcodeSuccess
}

// prescan refuses an update before anything of it is done (RFC 2136, section 3.4.1).
func (z *zone) prescan(rrs []dns.RR) int {
	for _, rr := range rrs {
		h := rr.Header()
		if !dns.IsSubDomain(z.origin, dns.CanonicalName(h.Name)) {
			return dns.RcodeNotZone
		}
		var good bool
		switch h.Class {
		case dns.ClassINET:
			good = h.Rdlength > 0 && !isMeta(h.Rrtype)
		case dns.ClassANY:
			good = h.Rdlength == 0 && h.Ttl == 0 && (!isMeta(h.Rrtype) || h.Rrtype == dns.TypeANY)
		case dns.ClassNONE:
			good = h.Rdlength > 0 && h.Ttl == 0 && !isMeta(h.Rrtype)
		}
		if !good {
			return dns.RcodeFormatError
		}
	}
	return dns.RcodeSuccess
}

// isMeta tells types that no zone holds (RFC 6895, section 3.1).
func isMeta(t uint16) bool { return t == dns.TypeOPT || t >= 128 && t <= 255 || t == dns.TypeNone }

// apply does what prescan has let pass (RFC 2136, section 3.4.2) and moves the serial if anything changed.
func (z *zone) apply(rrs []dns.RR) {
	before, changed := z.soa().Serial, false
	for _, rr := range rrs {
		switch rr.Header().Class {
		case dns.ClassINET:
			changed = z.add(rr) || changed
		case dns.ClassANY:
			changed = z.removeSets(rr.Header()) || changed
		case dns.ClassNONE:
			changed = z.removeRecord(rr) || changed
		}
	}
	if soa := z.soa(); changed && soa.Serial == before {
		next := dns.Copy(soa).(*dns.SOA)
		if next.Serial++; next.Serial == 0 {
			next.Serial = 1
		}
		z.set(z.origin, dns.TypeSOA, []dns.RR{next})
	}
}

// add adds a record, or gives its whole RRset a new TTL. A CNAME beside anything else is left out in
// silence, as section 3.4.2.2 asks.
func (z *zone) add(rr dns.RR) bool {
	rr = dns.Copy(rr)
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	sets := z.names[h.Name]
	switch {
	case h.Rrtype == dns.TypeSOA:
		return z.replaceSOA(rr.(*dns.SOA))
	case h.Rrtype == dns.TypeCNAME && len(sets) > 0 && sets[dns.TypeCNAME] == nil,
		h.Rrtype != dns.TypeCNAME && sets[dns.TypeCNAME] != nil:
		return false
	}
	changed := true
	rrs := []dns.RR{rr}
	for _, old := range sets[h.Rrtype] {
		switch {
		case dns.IsDuplicate(old, rr):
			changed = old.Header().Ttl != h.Ttl
		case h.Rrtype != dns.TypeCNAME:
			old = dns.Copy(old)
			old.Header().Ttl = h.Ttl
			rrs = append(rrs, old)
		}
	}
	if changed {
		z.set(h.Name, h.Rrtype, rrs)
	}
	return changed
}

// replaceSOA takes a SOA for the zone itself whose serial is newer (RFC 1982), and no other.
func (z *zone) replaceSOA(soa *dns.SOA) bool {
	if soa.Hdr.Name != z.origin || int32(soa.Serial-z.soa().Serial) <= 0 { //nolint:gosec // serial arithmetic wraps
		return false
	}
	z.set(z.origin, dns.TypeSOA, []dns.RR{soa})
	return true
}

// removeSets removes one RRset of a name or all of them; never the zone's SOA and NS.
func (z *zone) removeSets(h *dns.RR_Header) (changed bool) {
	name := dns.CanonicalName(h.Name)
	for t := range z.names[name] {
		kept := name == z.origin && (t == dns.TypeSOA || t == dns.TypeNS)
		if !kept && (h.Rrtype == t || h.Rrtype == dns.TypeANY) {
			z.set(name, t, nil)
			changed = true
		}
	}
	return changed
}

// removeRecord removes one record; never the SOA and never the zone's last NS.
func (z *zone) removeRecord(rr dns.RR) bool {
	rr = dns.Copy(rr)
	h := rr.Header()
	h.Class = dns.ClassINET
	name := dns.CanonicalName(h.Name)
	old := z.names[name][h.Rrtype]
	var rest []dns.RR
	for _, have := range old {
		if !dns.IsDuplicate(have, rr) {
			rest = append(rest, have)
		}
	}
	lastNS := name == z.origin && h.Rrtype == dns.TypeNS && len(rest) == 0
	if h.Rrtype == dns.TypeSOA || lastNS || len(rest) == len(old) {
		return false
	}
	z.set(name, h.Rrtype, rest)
	return true
}
