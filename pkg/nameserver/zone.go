package nameserver

import (
	"maps"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

// The times of a new zone's SOA and NS records, in seconds.
const (
	zoneTTL     = 3600
	soaRefresh  = 7200
	soaRetry    = 900
	soaExpire   = 1209600
	negativeTTL = 60
)

// zone holds the records of one zone. RRs and slices of RRs are never changed once they are stored, only
// replaced, so that an answer may keep them after the lock is gone.
type zone struct {
	origin string

	mu    sync.RWMutex
	names map[string]map[uint16][]dns.RR
	// below counts the names with records under a name: a name with none of its own and some below exists
	// all the same (an empty non-terminal, RFC 8020).
	below map[string]int
}

func newZone(origin string) *zone {
	z := &zone{origin: origin, names: map[string]map[uint16][]dns.RR{}, below: map[string]int{}}
	header := func(t uint16) dns.RR_Header {
		return dns.RR_Header{Name: origin, Rrtype: t, Class: dns.ClassINET, Ttl: zoneTTL}
	}
	z.set(origin, dns.TypeSOA, []dns.RR{&dns.SOA{
		Hdr: header(dns.TypeSOA), Ns: "localhost.", Mbox: "hostmaster.localhost.", Serial: 1,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negativeTTL,
	}})
	z.set(origin, dns.TypeNS, []dns.RR{&dns.NS{Hdr: header(dns.TypeNS), Ns: "localhost."}})
	return z
}

func (z *zone) soa() *dns.SOA { return z.names[z.origin][dns.TypeSOA][0].(*dns.SOA) }

// lookup returns the records of a name and type and whether the name exists at all.
func (z *zone) lookup(name string, qtype uint16) (rrs []dns.RR, exists bool) {
	sets := z.names[name]
	if qtype != dns.TypeANY {
		return sets[qtype], len(sets) > 0 || z.below[name] > 0
	}
	for _, t := range slices.Sorted(maps.Keys(sets)) {
		rrs = append(rrs, sets[t]...)
	}
	return rrs, len(sets) > 0 || z.below[name] > 0
}

// set replaces the RRset of a name and type; none removes it.
func (z *zone) set(name string, t uint16, rrs []dns.RR) {
	sets := z.names[name]
	existed := len(sets) > 0
	if len(rrs) > 0 {
		if sets == nil {
			sets = map[uint16][]dns.RR{}
			z.names[name] = sets
		}
		sets[t] = rrs
	} else {
		delete(sets, t)
	}
	switch {
	case !existed && len(sets) > 0:
		z.countAbove(name, 1)
	case existed && len(sets) == 0:
		delete(z.names, name)
		z.countAbove(name, -1)
	}
}

func (z *zone) countAbove(name string, n int) {
	for name != z.origin {
		next, end := dns.NextLabel(name, 0)
		if end {
			return
		}
		name = name[next:]
		if z.below[name] += n; z.below[name] == 0 {
			delete(z.below, name)
		}
	}
}

// records lists the zone for a transfer: the SOA first, the other records by name, the SOA again.
func (z *zone) records() []dns.RR {
	z.mu.RLock()
	defer z.mu.RUnlock()
	all := []dns.RR{z.soa()}
	for _, name := range slices.Sorted(maps.Keys(z.names)) {
		for _, t := range slices.Sorted(maps.Keys(z.names[name])) {
			if t != dns.TypeSOA {
				all = append(all, z.names[name][t]...)
			}
		}
	}
	return append(all, z.soa())
}
