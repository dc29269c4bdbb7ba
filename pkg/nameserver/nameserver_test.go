package nameserver

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/pkg/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long a server may take. Only a test that fails uses it up.
const patience = time.Minute

const (
	testKey    = "updates."
	testSecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
)

// start runs a server for example.com and its IPv4 reverse zone until the test ends.
func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start(Config{
		Addrs: []string{"127.0.0.1:0"},
		Zones: []string{"Example.com", "2.0.192.in-addr.arpa."},
		Keys:  []Key{{Name: "updates", Secret: testSecret}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// exchange sends m over a connection of its own, signed when a key is given.
func exchange(t *testing.T, s *Server, network string, m *dns.Msg, key, secret string) (*dns.Msg, error) {
	t.Helper()
	c := dns.Client{Net: network, Timeout: patience}
	if key != "" {
		c.TsigSecret = map[string]string{key: secret}
		m.SetTsig(key, dns.HmacSHA256, tsigFudge, time.Now().Unix())
	}
	r, _, err := c.Exchange(m, s.Addrs()[0])
	if r == nil {
		t.Fatalf("no answer: %v", err)
	}
	return r, err
}

func signed(t *testing.T, s *Server, m *dns.Msg) *dns.Msg {
	t.Helper()
	r, err := exchange(t, s, "tcp", m, testKey, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(t *testing.T, s *Server, network, name string, qtype uint16) *dns.Msg {
	t.Helper()
	r, err := exchange(t, s, network, new(dns.Msg).SetQuestion(name, qtype), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func insert(t *testing.T, s *Server, records ...string) {
	t.Helper()
	m := new(dns.Msg).SetUpdate("example.com.")
	for _, text := range records {
		m.Insert([]dns.RR{rr(t, text)})
	}
	if r := signed(t, s, m); r.Rcode != dns.RcodeSuccess {
		t.Fatalf("insert: %s", dns.RcodeToString[r.Rcode])
	}
}

func TestAnswers(t *testing.T) {
	s := start(t)
	insert(t, s, "web.example.com. 60 A 192.0.2.1", "web.example.com. 60 AAAA 2001:db8::1",
		"_vmline.web.example.com. 60 TXT \"mine\"", "www.example.com. 60 CNAME WEB.example.com.",
		"out.example.com. 60 CNAME elsewhere.test.", "a.b.example.com. 60 A 192.0.2.9")
	tests := []struct {
		name    string
		qtype   uint16
		rcode   int
		answers []string
	}{
		{"web.example.com.", dns.TypeA, dns.RcodeSuccess, []string{"192.0.2.1"}},
		{"WEB.Example.COM.", dns.TypeAAAA, dns.RcodeSuccess, []string{"2001:db8::1"}},
		{"web.example.com.", dns.TypeANY, dns.RcodeSuccess, []string{"192.0.2.1", "2001:db8::1"}},
		{"web.example.com.", dns.TypeMX, dns.RcodeSuccess, nil},
		{"_vmline.web.example.com.", dns.TypeTXT, dns.RcodeSuccess, []string{`"mine"`}},
		{"www.example.com.", dns.TypeA, dns.RcodeSuccess, []string{"WEB.example.com.", "192.0.2.1"}},
		{"www.example.com.", dns.TypeCNAME, dns.RcodeSuccess, []string{"WEB.example.com."}},
		{"out.example.com.", dns.TypeA, dns.RcodeSuccess, []string{"elsewhere.test."}},
		{"b.example.com.", dns.TypeA, dns.RcodeSuccess, nil},
		{"none.example.com.", dns.TypeA, dns.RcodeNameError, nil},
		{"example.com.", dns.TypeNS, dns.RcodeSuccess, []string{"localhost."}},
		{"example.org.", dns.TypeA, dns.RcodeRefused, nil},
		{"web.example.com.", dns.TypeAXFR, dns.RcodeRefused, nil},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			r := ask(t, s, network, tt.name, tt.qtype)
			var got []string
			for _, a := range r.Answer {
				got = append(got, strings.TrimPrefix(a.String(), a.Header().String()))
			}
			if r.Rcode != tt.rcode || strings.Join(got, " ") != strings.Join(tt.answers, " ") {
				t.Errorf("%s %s %s: %s %v", network, tt.name, dns.TypeToString[tt.qtype], dns.RcodeToString[r.Rcode], got)
			}
			if r.Rcode != dns.RcodeRefused && !r.Authoritative {
				t.Errorf("%s: not authoritative", tt.name)
			}
			if denied := r.Rcode != dns.RcodeRefused && len(tt.answers) == 0; denied && len(r.Ns) != 1 {
				t.Errorf("%s: no SOA in the authority section", tt.name)
			}
		}
	}
}

func TestTruncatesOverUDP(t *testing.T) {
	s := start(t)
	var many []string
	for i := range 60 {
		many = append(many, "many.example.com. 60 A "+net.IPv4(192, 0, 2, byte(i)).String())
	}
	insert(t, s, many...)
	if r := ask(t, s, "udp", "many.example.com.", dns.TypeA); !r.Truncated || len(r.Answer) >= 60 {
		t.Errorf("UDP: truncated %v, %d answers", r.Truncated, len(r.Answer))
	}
	if r := ask(t, s, "tcp", "many.example.com.", dns.TypeA); r.Truncated || len(r.Answer) != 60 {
		t.Errorf("TCP: truncated %v, %d answers", r.Truncated, len(r.Answer))
	}
	m := new(dns.Msg).SetQuestion("many.example.com.", dns.TypeA)
	m.SetEdns0(4096, false)
	if r, err := exchange(t, s, "udp", m, testKey, testSecret); err != nil || r.Truncated || len(r.Answer) != 60 {
		t.Errorf("EDNS: %v, truncated %v, %d answers", err, r.Truncated, len(r.Answer))
	}
}

func TestTransfer(t *testing.T) {
	s := start(t)
	var many []string
	for i := range 250 {
		many = append(many, "host"+strings.Repeat("x", i%40)+string(rune('a'+i%26))+".example.com. 60 A "+net.IPv4(192, 0, 2, byte(i)).String())
	}
	insert(t, s, many...)
	tr := dns.Transfer{TsigSecret: map[string]string{testKey: testSecret}}
	m := new(dns.Msg).SetAxfr("example.com.")
	m.SetTsig(testKey, dns.HmacSHA256, tsigFudge, time.Now().Unix())
	envelopes, err := tr.In(m, s.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	var all []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		all = append(all, e.RR...)
	}
	if len(all) != 250+3 || all[0].Header().Rrtype != dns.TypeSOA || all[len(all)-1].Header().Rrtype != dns.TypeSOA {
		t.Errorf("%d records, from %v to %v", len(all), all[0], all[len(all)-1])
	}
}

func TestSignatures(t *testing.T) {
	s := start(t)
	update := func() *dns.Msg {
		m := new(dns.Msg).SetUpdate("example.com.")
		m.Insert([]dns.RR{rr(t, "x.example.com. 60 A 192.0.2.1")})
		return m
	}
	wrong := strings.Replace(testSecret, "c", "d", 1)
	tests := []struct {
		name, key, secret string
		rcode             int
		tsig              uint16
	}{
		{"unsigned", "", "", dns.RcodeRefused, 0},
		{"wrong secret", testKey, wrong, dns.RcodeNotAuth, dns.RcodeBadSig},
		{"unknown key", "other.", testSecret, dns.RcodeNotAuth, dns.RcodeBadKey},
		{"good", testKey, testSecret, dns.RcodeSuccess, 0},
	}
	for _, tt := range tests {
		r, _ := exchange(t, s, "udp", update(), tt.key, tt.secret)
		if r.Rcode != tt.rcode {
			t.Errorf("%s: %s", tt.name, dns.RcodeToString[r.Rcode])
		}
		if sig := r.IsTsig(); (sig != nil) != (tt.key != "") || sig != nil && sig.Error != tt.tsig {
			t.Errorf("%s: signature %v", tt.name, sig)
		}
		want := dns.RcodeNameError
		if tt.name == "good" {
			want = dns.RcodeSuccess
		}
		if r := ask(t, s, "udp", "x.example.com.", dns.TypeA); r.Rcode != want {
			t.Errorf("%s: the record is %s", tt.name, dns.RcodeToString[r.Rcode])
		}
	}
}

func TestOldSignatureIsRefused(t *testing.T) {
	s := start(t)
	m := new(dns.Msg).SetUpdate("example.com.")
	m.SetTsig(testKey, dns.HmacSHA256, tsigFudge, time.Now().Add(-time.Hour).Unix())
	c := dns.Client{Net: "tcp", Timeout: patience, TsigSecret: map[string]string{testKey: testSecret}}
	r, _, _ := c.Exchange(m, s.Addrs()[0])
	if r == nil || r.Rcode != dns.RcodeNotAuth || r.IsTsig().Error != dns.RcodeBadTime || r.IsTsig().OtherLen != 6 {
		t.Errorf("answer %v", r)
	}
}

func TestOtherAlgorithmIsRefused(t *testing.T) {
	s := start(t)
	m := new(dns.Msg).SetUpdate("example.com.")
	m.SetTsig(testKey, dns.HmacSHA512, tsigFudge, time.Now().Unix())
	c := dns.Client{Net: "tcp", Timeout: patience, TsigSecret: map[string]string{testKey: testSecret}}
	r, _, _ := c.Exchange(m, s.Addrs()[0])
	if r == nil || r.Rcode != dns.RcodeNotAuth || r.IsTsig().Error != dns.RcodeBadKey {
		t.Errorf("answer %v", r)
	}
}

func TestStartRefusesBadConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"not a zone name":          {Zones: []string{"a..b"}},
		"zone a. is configured":    {Zones: []string{"a", "A."}},
		"unknown algorithm":        {Keys: []Key{{Name: "k", Algorithm: "hmac-md5", Secret: testSecret}}},
		"not base64":               {Keys: []Key{{Name: "k", Secret: "***"}}},
		"not a key name":           {Keys: []Key{{Secret: testSecret}}},
		"key k. is configured":     {Keys: []Key{{Name: "k", Secret: testSecret}, {Name: "K.", Secret: testSecret}}},
		"missing port in address":  {Addrs: []string{"127.0.0.1:0", "127.0.0.1"}},
		"address 127.0.0.1:999999": {Addrs: []string{"127.0.0.1:999999"}},
	} {
		s, err := Start(cfg)
		if err == nil {
			t.Errorf("%s: started", want)
			_ = s.Close(context.Background())
			continue
		}
		if strings.Contains(err.Error(), testSecret) {
			t.Errorf("the error holds the secret: %v", err)
		}
		if !strings.Contains(err.Error(), want) && want != "address 127.0.0.1:999999" {
			t.Errorf("%q: %v", want, err)
		}
	}
}
