package zone

import (
	"fmt"
	"strings"
	"testing"
)

const secret = "dmVyeSBzZWNyZXQ="

func valid(name string) Zone {
	return Zone{Name: name, Server: "ns.test", TSIG: TSIG{Name: "Key", Secret: secret}}
}

func TestNewSetNormalizes(t *testing.T) {
	s, err := NewSet([]Zone{valid("Example.COM")})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := s.Find("a.example.com.")
	want := Zone{Name: "example.com.", Server: "ns.test:53", TTL: DefaultTTL,
		TSIG: TSIG{Name: "key.", Algorithm: "hmac-sha256.", Secret: secret}}
	if got != want {
		t.Errorf("got %+v", got)
	}
}

func TestNewSetRefuses(t *testing.T) {
	tests := map[string]func(*Zone){
		"not a domain name":      func(z *Zone) { z.Name = "a..b" },
		"this is not":            func(z *Zone) { z.Name = "" },
		"not a name of a TSIG":   func(z *Zone) { z.TSIG.Name = "" },
		"no server":              func(z *Zone) { z.Server = "" },
		"unknown TSIG algorithm": func(z *Zone) { z.TSIG.Algorithm = "hmac-md5" },
		"not base64":             func(z *Zone) { z.TSIG.Secret = secret + "!" },
		"longer than":            func(z *Zone) { z.TTL = MaxTTL + 1 },
		"configured twice":       func(z *Zone) { z.Name = "EXAMPLE.com" },
	}
	for want, spoil := range tests {
		z := valid("example.com.")
		spoil(&z)
		_, err := NewSet([]Zone{valid("example.com"), z})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

func TestZoneWithoutKey(t *testing.T) {
	s, err := NewSet([]Zone{{Name: "example.com", Server: "ns.test"}})
	if z, _ := s.Find("a.example.com."); err != nil || z.TSIG != (TSIG{}) {
		t.Errorf("%v, %v", z, err)
	}
}

func TestFindTakesTheLongest(t *testing.T) {
	s, err := NewSet([]Zone{valid("example.com"), valid("lab.example.com"), valid("2.0.192.in-addr.arpa")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"web.example.com.":          "example.com.",
		"web.lab.example.com.":      "lab.example.com.",
		"a.b.lab.example.com.":      "lab.example.com.",
		"lab.example.com.":          "example.com.",
		"example.com.":              "",
		"xlab.example.com.":         "example.com.",
		"notexample.com.":           "",
		"5.2.0.192.in-addr.arpa.":   "2.0.192.in-addr.arpa.",
		"5.3.0.192.in-addr.arpa.":   "",
		"5.2.0.192.in-addr.arpa.x.": "",
	} {
		if z, ok := s.Find(name); z.Name != want || ok != (want != "") {
			t.Errorf("%s: %q %v", name, z.Name, ok)
		}
	}
	if len(s.All()) != 3 {
		t.Errorf("All: %v", s.All())
	}
}

func TestSecretStaysOutOfLogs(t *testing.T) {
	z := valid("example.com")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, z) + fmt.Sprintf(verb, &z); strings.Contains(got, secret) {
			t.Errorf("%s: %s", verb, got)
		}
	}
}
