package nameserver

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// serial asks the server for the SOA serial of example.com.
func serial(t *testing.T, s *Server) uint32 {
	t.Helper()
	return ask(t, s, "tcp", "example.com.", dns.TypeSOA).Answer[0].(*dns.SOA).Serial
}

func TestPrerequisites(t *testing.T) {
	s := start(t)
	insert(t, s, "used.example.com. 60 A 192.0.2.1", "used.example.com. 60 A 192.0.2.2", "a.b.example.com. 60 TXT x")
	header := func(name string, rrtype, class uint16) dns.RR {
		return &dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: rrtype, Class: class}}
	}
	exact := func(texts ...string) []dns.RR {
		m := new(dns.Msg).SetUpdate("example.com.")
		for _, text := range texts {
			m.Used([]dns.RR{rr(t, text)})
		}
		return m.Answer
	}
	withTTL := rr(t, "used.example.com. 60 A 192.0.2.1")
	tests := []struct {
		name   string
		prereq []dns.RR
		rcode  int
	}{
		{"name used", []dns.RR{header("USED.example.com.", dns.TypeANY, dns.ClassANY)}, dns.RcodeSuccess},
		{"name used, is not", []dns.RR{header("no.example.com.", dns.TypeANY, dns.ClassANY)}, dns.RcodeNameError},
		{"name used, only below", []dns.RR{header("b.example.com.", dns.TypeANY, dns.ClassANY)}, dns.RcodeNameError},
		{"name free", []dns.RR{header("no.example.com.", dns.TypeANY, dns.ClassNONE)}, dns.RcodeSuccess},
		{"name free, only below", []dns.RR{header("b.example.com.", dns.TypeANY, dns.ClassNONE)}, dns.RcodeSuccess},
		{"name free, is not", []dns.RR{header("used.example.com.", dns.TypeANY, dns.ClassNONE)}, dns.RcodeYXDomain},
		{"RRset exists", []dns.RR{header("used.example.com.", dns.TypeA, dns.ClassANY)}, dns.RcodeSuccess},
		{"RRset exists, does not", []dns.RR{header("used.example.com.", dns.TypeMX, dns.ClassANY)}, dns.RcodeNXRrset},
		{"RRset missing", []dns.RR{header("used.example.com.", dns.TypeMX, dns.ClassNONE)}, dns.RcodeSuccess},
		{"RRset missing, is not", []dns.RR{header("used.example.com.", dns.TypeA, dns.ClassNONE)}, dns.RcodeYXRrset},
		{"exact", exact("used.example.com. A 192.0.2.2", "used.example.com. A 192.0.2.1"), dns.RcodeSuccess},
		{"exact, one missing", exact("used.example.com. A 192.0.2.1"), dns.RcodeNXRrset},
		{"exact, one more", exact("used.example.com. A 192.0.2.1", "used.example.com. A 192.0.2.2", "used.example.com. A 192.0.2.3"), dns.RcodeNXRrset},
		{"exact, no such name", exact("no.example.com. A 192.0.2.1"), dns.RcodeNXRrset},
		{"TTL given", []dns.RR{withTTL}, dns.RcodeFormatError},
		{"outside the zone", []dns.RR{header("a.example.org.", dns.TypeANY, dns.ClassANY)}, dns.RcodeNotZone},
		{"unknown class", []dns.RR{header("used.example.com.", dns.TypeA, dns.ClassCHAOS)}, dns.RcodeFormatError},
		{"second of two fails", []dns.RR{header("used.example.com.", dns.TypeA, dns.ClassANY), header("no.example.com.", dns.TypeANY, dns.ClassANY)}, dns.RcodeNameError},
	}
	for _, tt := range tests {
		before := serial(t, s)
		m := new(dns.Msg).SetUpdate("example.com.")
		m.Answer = tt.prereq
		m.Insert([]dns.RR{rr(t, fmt.Sprintf("_%s.example.com. 60 TXT x", strings.ReplaceAll(tt.name, " ", "-")))})
		r := signed(t, s, m)
		if r.Rcode != tt.rcode {
			t.Errorf("%s: %s, want %s", tt.name, dns.RcodeToString[r.Rcode], dns.RcodeToString[tt.rcode])
		}
		if moved := serial(t, s) != before; moved != (tt.rcode == dns.RcodeSuccess) {
			t.Errorf("%s: serial moved %v", tt.name, moved)
		}
	}
}

func TestUpdates(t *testing.T) {
	const a, alias = "web.example.com. 60 A 192.0.2.1", "web.example.com. 60 CNAME other.test."
	tests := []struct {
		name   string
		have   []string
		update func(m *dns.Msg)
		want   string // types and values at web.example.com, sorted by type
		moved  bool
	}{
		{"add", nil, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, a)}) }, "60 A 192.0.2.1", true},
		{"add the same", []string{a}, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, a)}) }, "60 A 192.0.2.1", false},
		{"add with another TTL", []string{a, "web.example.com. 60 A 192.0.2.2"}, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, "web.example.com. 90 A 192.0.2.1")}) }, "90 A 192.0.2.1, 90 A 192.0.2.2", true},
		{"alias beside an address", []string{a}, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, alias)}) }, "60 A 192.0.2.1", false},
		{"address beside an alias", []string{alias}, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, a)}) }, "60 CNAME other.test.", false},
		{"second alias replaces", []string{alias}, func(m *dns.Msg) { m.Insert([]dns.RR{rr(t, "web.example.com. 60 CNAME third.test.")}) }, "60 CNAME third.test.", true},
		{"delete an RRset", []string{a, "web.example.com. 60 TXT x"}, func(m *dns.Msg) { m.RemoveRRset([]dns.RR{rr(t, a)}) }, `60 TXT "x"`, true},
		{"delete a missing RRset", []string{a}, func(m *dns.Msg) { m.RemoveRRset([]dns.RR{rr(t, "web.example.com. TXT x")}) }, "60 A 192.0.2.1", false},
		{"delete a record", []string{a, "web.example.com. 60 A 192.0.2.2"}, func(m *dns.Msg) { m.Remove([]dns.RR{rr(t, a)}) }, "60 A 192.0.2.2", true},
		{"delete a name", []string{a, "web.example.com. 60 TXT x"}, func(m *dns.Msg) { m.RemoveName([]dns.RR{rr(t, a)}) }, "", true},
		{"replace in one message", []string{a}, func(m *dns.Msg) {
			m.RemoveRRset([]dns.RR{rr(t, a)})
			m.Insert([]dns.RR{rr(t, "web.example.com. 60 A 192.0.2.7")})
		}, "60 A 192.0.2.7", true},
		{"SOA and NS stay", nil, func(m *dns.Msg) {
			m.RemoveName([]dns.RR{rr(t, "example.com. TXT x")})
			m.Remove([]dns.RR{rr(t, "example.com. NS localhost.")})
		}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			if len(tt.have) > 0 {
				insert(t, s, tt.have...)
			}
			before := serial(t, s)
			m := new(dns.Msg).SetUpdate("example.com.")
			tt.update(m)
			if r := signed(t, s, m); r.Rcode != dns.RcodeSuccess {
				t.Fatal(dns.RcodeToString[r.Rcode])
			}
			var got []string
			for _, r := range ask(t, s, "tcp", "web.example.com.", dns.TypeANY).Answer {
				f := strings.Fields(r.String())
				got = append(got, f[1]+" "+strings.Join(f[3:], " "))
			}
			if strings.Join(got, ", ") != tt.want || (serial(t, s) != before) != tt.moved {
				t.Errorf("got %v, serial moved %v", got, serial(t, s) != before)
			}
			if r := ask(t, s, "tcp", "example.com.", dns.TypeNS); len(r.Answer) != 1 {
				t.Errorf("the zone has lost its NS")
			}
		})
	}
}

func TestUpdatesRefused(t *testing.T) {
	s := start(t)
	raw := func(zone string, rrs ...dns.RR) *dns.Msg {
		m := new(dns.Msg).SetUpdate(zone)
		m.Ns = rrs
		return m
	}
	any3 := func(name string, rrtype, class uint16, ttl uint32) dns.RR {
		return &dns.ANY{Hdr: dns.RR_Header{Name: name, Rrtype: rrtype, Class: class, Ttl: ttl}}
	}
	query := raw("example.com.")
	query.Question[0].Qtype = dns.TypeA
	good := rr(t, "good.example.com. 60 A 192.0.2.1")
	tests := []struct {
		name  string
		m     *dns.Msg
		rcode int
	}{
		{"zone not ours", raw("example.org."), dns.RcodeNotAuth},
		{"name inside a zone as the zone", raw("a.example.com."), dns.RcodeNotAuth},
		{"zone section with another type", query, dns.RcodeFormatError},
		{"name outside, after a good one", raw("example.com.", good, rr(t, "a.example.org. 60 A 192.0.2.1")), dns.RcodeNotZone},
		{"delete with a TTL", raw("example.com.", good, any3("a.example.com.", dns.TypeA, dns.ClassANY, 1)), dns.RcodeFormatError},
		{"add without data", raw("example.com.", good, any3("a.example.com.", dns.TypeA, dns.ClassINET, 1)), dns.RcodeFormatError},
		{"add of type ANY", raw("example.com.", any3("a.example.com.", dns.TypeANY, dns.ClassINET, 1)), dns.RcodeFormatError},
		{"delete of type AXFR", raw("example.com.", any3("a.example.com.", dns.TypeAXFR, dns.ClassANY, 0)), dns.RcodeFormatError},
		{"delete a record without data", raw("example.com.", any3("a.example.com.", dns.TypeA, dns.ClassNONE, 0)), dns.RcodeFormatError},
	}
	for _, tt := range tests {
		// The library verifies no answer that says NOTAUTH.
		r, err := exchange(t, s, "tcp", tt.m, testKey, testSecret)
		if r.Rcode != tt.rcode || (err != nil) != (tt.rcode == dns.RcodeNotAuth) {
			t.Errorf("%s: %s, %v", tt.name, dns.RcodeToString[r.Rcode], err)
		}
	}
	if r := ask(t, s, "tcp", "good.example.com.", dns.TypeA); r.Rcode != dns.RcodeNameError {
		t.Errorf("part of a refused update was done: %v", r.Answer)
	}
}

func TestSOAUpdate(t *testing.T) {
	s := start(t)
	insert(t, s, "example.com. 3600 SOA localhost. hostmaster.localhost. 500 1 1 1 1")
	if got := serial(t, s); got != 500 {
		t.Errorf("serial %d, want the 500 given", got)
	}
	insert(t, s, "example.com. 3600 SOA localhost. hostmaster.localhost. 499 1 1 1 1")
	if got := serial(t, s); got != 500 {
		t.Errorf("serial %d after an older one was given", got)
	}
}

// TestEmptyNonTerminals holds the counters of names below a name against a count of their own.
func TestEmptyNonTerminals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := newZone("example.com.")
		label := rapid.SampledFrom([]string{"a", "b"})
		types := rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeTXT})
		for range rapid.IntRange(1, 30).Draw(t, "changes") {
			labels := rapid.SliceOfN(label, 1, 4).Draw(t, "name")
			name := strings.Join(labels, ".") + ".example.com."
			var rrs []dns.RR
			if rapid.Bool().Draw(t, "add") {
				rrs = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name}}}
			}
			z.set(name, types.Draw(t, "type"), rrs)
		}
		want := map[string]int{}
		for name := range z.names {
			for above := name; above != z.origin; {
				next, _ := dns.NextLabel(above, 0)
				above = above[next:]
				want[above]++
			}
		}
		if !maps.Equal(z.below, want) {
			t.Fatalf("below %v, want %v", z.below, want)
		}
	})
}
