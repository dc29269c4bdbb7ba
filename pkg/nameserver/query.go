package nameserver

import (
	"net"

	"github.com/miekg/dns"
)

const (
	// aliasLimit is how many CNAMEs an answer follows.
	aliasLimit = 8
	// transferBatch is the number of records in one message of a zone transfer; the longest names and
	// values that a hosting zone holds fit into 64 KiB.
	transferBatch = 100
)

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Compress = true
	switch {
	case r.IsTsig() != nil && w.TsigStatus() != nil:
		m.Rcode = dns.RcodeNotAuth
	case r.Opcode == dns.OpcodeUpdate:
		m.Rcode = s.update(r)
	case r.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(r.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case r.Question[0].Qtype == dns.TypeAXFR || r.Question[0].Qtype == dns.TypeIXFR:
		if s.transfer(w, r) {
			return
		}
		m.Rcode = dns.RcodeRefused
	default:
		s.answer(m, r.Question[0])
	}
	s.write(w, r, m)
}

// write cuts the answer to the size that the transport allows and signs it where the request was signed.
func (s *Server) write(w dns.ResponseWriter, r, m *dns.Msg) {
	size := dns.MaxMsgSize
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size = dns.MinMsgSize
	}
	if opt := r.IsEdns0(); opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
		if size == dns.MinMsgSize {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), dns.DefaultMsgSize)
		}
	}
	if t := r.IsTsig(); t != nil {
		const longestMAC = 64
		m.Truncate(size - dns.Len(t) - longestMAC)
		sign(m, r, w.TsigStatus())
	} else {
		m.Truncate(size)
	}
	// A client that is gone cannot be told anything.
	_ = w.WriteMsg(m)
}

// zoneOf finds the zone with the longest name that holds name.
func (s *Server) zoneOf(name string) *zone {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if z := s.zones[name[off:]]; z != nil {
			return z
		}
	}
	return s.zones["."]
}

// answer fills m with what a query asks for (RFC 1034, section 4.3.2, without delegations and wildcards).
func (s *Server) answer(m *dns.Msg, q dns.Question) {
	name := dns.CanonicalName(q.Name)
	z := s.zoneOf(name)
	if z == nil || q.Qclass != dns.ClassINET {
		m.Rcode = dns.RcodeRefused
		return
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	m.Authoritative = true
	for range aliasLimit {
		rrs, exists := z.lookup(name, q.Qtype)
		m.Answer = append(m.Answer, rrs...)
		if len(rrs) > 0 {
			return
		}
		alias := z.names[name][dns.TypeCNAME]
		if len(alias) == 0 {
			z.deny(m, exists)
			return
		}
		m.Answer = append(m.Answer, alias[0])
		if name = dns.CanonicalName(alias[0].(*dns.CNAME).Target); !dns.IsSubDomain(z.origin, name) {
			return
		}
	}
}

// deny says that there is no such record or name, and for how long that holds (RFC 2308).
func (z *zone) deny(m *dns.Msg, exists bool) {
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	soa := dns.Copy(z.soa()).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	m.Ns = []dns.RR{soa}
}

// transfer sends a whole zone and reports false when it may not: unsigned, over UDP, or not our zone.
func (s *Server) transfer(w dns.ResponseWriter, r *dns.Msg) bool {
	z := s.zones[dns.CanonicalName(r.Question[0].Name)]
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	if z == nil || udp || r.IsTsig() == nil {
		return false
	}
	rrs := z.records()
	for len(rrs) > 0 {
		n := min(transferBatch, len(rrs))
		m := new(dns.Msg)
		m.SetReply(r)
		m.Authoritative, m.Compress = true, true
		m.Answer, rrs = rrs[:n], rrs[n:]
		sign(m, r, nil)
		if w.WriteMsg(m) != nil {
			return true
		}
		w.TsigTimersOnly(true)
	}
	return true
}
