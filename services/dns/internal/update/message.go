package update

import (
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// message builds one update:
//
//	action   prerequisites                              update
//	create   nothing stands at the name and its mark    add the RRsets and the mark
//	replace  the mark is exactly the VM's, no CNAME     remove the RRsets, add the new ones and the mark
//	delete   the mark is exactly the VM's               remove the RRsets and the mark
//
// The CNAME is asked for because a server leaves out in silence what cannot stand beside one.
func message(z zone.Zone, mark record.Mark, changes []plan.Change) (*dns.Msg, error) {
	m := new(dns.Msg).SetUpdate(z.Name)
	for _, c := range changes {
		name, markName := empty(c.Name, dns.TypeNone), empty(record.MarkName(c.Name), dns.TypeTXT)
		if c.Action == plan.Create {
			m.NameNotUsed([]dns.RR{name, markName})
		} else {
			m.Used([]dns.RR{&dns.TXT{Hdr: *markName.Header(), Txt: []string{mark.Text()}}})
			m.RemoveRRset(managed(c.Name))
		}
		switch c.Action {
		case plan.Replace:
			m.RRsetNotUsed([]dns.RR{empty(c.Name, dns.TypeCNAME)})
		case plan.Delete:
			m.RemoveRRset([]dns.RR{markName})
		}
		for _, set := range c.RRsets {
			rrs, err := records(set)
			if err != nil {
				return nil, err
			}
			m.Insert(rrs)
		}
	}
	return m, nil
}

func empty(name string, rrtype uint16) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET}}
}

// managed are the RRsets of a name that vmline makes; others may stand beside them and are left alone.
func managed(name string) []dns.RR {
	if dns.IsSubDomain("in-addr.arpa.", name) || dns.IsSubDomain("ip6.arpa.", name) {
		return []dns.RR{empty(name, dns.TypePTR)}
	}
	return []dns.RR{empty(name, dns.TypeA), empty(name, dns.TypeAAAA)}
}

// records turns an RRset of the contract into the library's records.
func records(set *vmlinev1.RRset) ([]dns.RR, error) {
	rrs := make([]dns.RR, 0, len(set.GetValues()))
	for _, value := range set.GetValues() {
		h := dns.RR_Header{Name: set.GetName(), Rrtype: dns.StringToType[set.GetType()], Class: dns.ClassINET, Ttl: set.GetTtl()}
		switch set.GetType() {
		case "A":
			rrs = append(rrs, &dns.A{Hdr: h, A: net.ParseIP(value)})
		case "AAAA":
			rrs = append(rrs, &dns.AAAA{Hdr: h, AAAA: net.ParseIP(value)})
		case "PTR":
			rrs = append(rrs, &dns.PTR{Hdr: h, Ptr: value})
		case "TXT":
			rrs = append(rrs, &dns.TXT{Hdr: h, Txt: []string{strings.Trim(value, `"`)}})
		default:
			return nil, fmt.Errorf("DNS update: %s has type %q, which vmline does not make", set.GetName(), set.GetType())
		}
	}
	return rrs, nil
}

// value is the data of a record in presentation form.
func value(rr dns.RR) string {
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}
