package nameserver

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// sink is a client whose signature is always good and that reads nothing.
type sink struct{ dns.ResponseWriter }

func (sink) RemoteAddr() net.Addr      { return &net.TCPAddr{} }
func (sink) TsigStatus() error         { return nil }
func (sink) TsigTimersOnly(bool)       {}
func (sink) WriteMsg(m *dns.Msg) error { _, err := m.Pack(); return err }

// FuzzServe feeds whole messages: nothing may panic, and the zone keeps its SOA and NS.
func FuzzServe(f *testing.F) {
	add := func(m *dns.Msg) {
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	update := new(dns.Msg).SetUpdate("example.com.")
	a := &dns.A{Hdr: dns.RR_Header{Name: "a.example.com.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(192, 0, 2, 1)}
	update.NameNotUsed([]dns.RR{a})
	update.Insert([]dns.RR{a, &dns.CNAME{Hdr: dns.RR_Header{Name: "b.example.com.", Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "b.example.com."}})
	update.RemoveName([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: "example.com."}}})
	update.SetTsig("k.", dns.HmacSHA256, tsigFudge, 0)
	add(update)
	transfer := new(dns.Msg).SetAxfr("example.com.")
	transfer.SetTsig("k.", dns.HmacSHA256, tsigFudge, 0)
	add(transfer)
	add(new(dns.Msg).SetQuestion("b.example.com.", dns.TypeANY))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		s, err := Start(Config{Zones: []string{"example.com", "."}, Keys: []Key{{Name: "k", Secret: testSecret}}})
		if err != nil {
			t.Fatal(err)
		}
		s.ServeDNS(sink{}, m)
		s.ServeDNS(sink{}, new(dns.Msg).SetQuestion("b.example.com.", dns.TypeA))
		for _, z := range s.zones {
			if z.soa() == nil || len(z.names[z.origin][dns.TypeNS]) == 0 {
				t.Fatalf("zone %s has lost its SOA or NS", z.origin)
			}
		}
	})
}
