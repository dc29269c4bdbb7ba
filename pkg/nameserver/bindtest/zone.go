package bindtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Records are all records of all zones but their SOA, as text, sorted.
func (s *Server) Records(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, zone := range s.zones {
		transfer := &dns.Transfer{TsigSecret: map[string]string{KeyName: KeySecret}}
		m := new(dns.Msg).SetAxfr(zone)
		m.SetTsig(KeyName, dns.HmacSHA256, 300, time.Now().Unix())
		envelopes, err := transfer.In(m, s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		for e := range envelopes {
			if e.Error != nil {
				t.Fatal(e.Error)
			}
			for _, rr := range e.RR {
				if rr.Header().Rrtype != dns.TypeSOA {
					all = append(all, strings.Join(strings.Fields(rr.String()), " "))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// Change is somebody's own update: all that stands at the names is removed, then the records are added, of
// which each begins with its name.
func (s *Server) Change(t testing.TB, names []string, records ...string) {
	t.Helper()
	updates := map[string]*dns.Msg{}
	of := func(name string) *dns.Msg {
		for _, zone := range s.zones {
			if dns.IsSubDomain(zone, name) {
				if updates[zone] == nil {
					updates[zone] = new(dns.Msg).SetUpdate(zone)
				}
				return updates[zone]
			}
		}
		t.Fatalf("no zone holds %s", name)
		return nil
	}
	for _, name := range names {
		of(name).RemoveName([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: name}}})
	}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		of(rr.Header().Name).Insert([]dns.RR{rr})
	}
	for _, m := range updates {
		m.SetTsig(KeyName, dns.HmacSHA256, 300, time.Now().Unix())
		client := dns.Client{Net: "tcp", TsigSecret: map[string]string{KeyName: KeySecret}, Timeout: patience}
		if r, _, err := client.Exchange(m, s.Addr); err != nil || r.Rcode != dns.RcodeSuccess {
			t.Fatalf("%v: %v, %v", m, r, err)
		}
	}
}
