// Package zone holds the configured DNS zones and finds the one that a name belongs to.
package zone

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// DefaultTTL in seconds is for records whose package and zone name none.
const DefaultTTL = 3600

// MaxTTL in seconds is the longest that RFC 2181, section 8, allows.
const MaxTTL = 1<<31 - 1

// Zone is a zone whose records the dns service keeps, and the server that takes its updates.
type Zone struct {
	Name string
	// Server is the primary server as host:port; without a port it is 53.
	Server string
	// TSIG signs all messages. Without a name nothing is signed: then only the server's lists of
	// addresses protect the zone, and answers are believed as they come.
	TSIG TSIG
	// TTL in seconds is for records whose package names none; 0 means DefaultTTL.
	TTL uint32
}

// TSIG is the key that signs updates and queries (RFC 8945).
type TSIG struct {
	Name string
	// Algorithm is hmac-sha1, -sha224, -sha256, -sha384 or -sha512; empty means hmac-sha256.
	Algorithm string
	// Secret in base64.
	Secret string
}

// String leaves the secret out of logs and errors.
func (t TSIG) String() string { return t.Algorithm + ":" + t.Name }

// GoString leaves the secret out of logs and errors.
func (t TSIG) GoString() string { return t.String() }

var algorithms = map[string]bool{
	dns.HmacSHA1: true, dns.HmacSHA224: true, dns.HmacSHA256: true, dns.HmacSHA384: true, dns.HmacSHA512: true,
}

// Set is the configured zones, checked and with their names in canonical form.
type Set struct {
	byName map[string]Zone
}

// NewSet checks the zones. Its error says which zone is wrong and never holds a secret.
func NewSet(zones []Zone) (*Set, error) {
	s := &Set{byName: make(map[string]Zone, len(zones))}
	for _, z := range zones {
		if err := z.normalize(); err != nil {
			return nil, fmt.Errorf("DNS zone %q: %w", z.Name, err)
		}
		if _, twice := s.byName[z.Name]; twice {
			return nil, fmt.Errorf("DNS zone %q is configured twice", z.Name)
		}
		s.byName[z.Name] = z
	}
	return s, nil
}

func (z *Zone) normalize() error {
	if _, ok := dns.IsDomainName(z.Name); !ok || z.Name == "" {
		return errors.New("this is not a domain name")
	}
	if z.Server == "" {
		return errors.New("no server is given")
	}
	if _, _, err := net.SplitHostPort(z.Server); err != nil {
		z.Server = net.JoinHostPort(z.Server, "53")
	}
	z.Name = dns.CanonicalName(z.Name)
	if z.TSIG != (TSIG{}) {
		if err := z.TSIG.normalize(); err != nil {
			return err
		}
	}
	if z.TTL == 0 {
		z.TTL = DefaultTTL
	}
	if z.TTL > MaxTTL {
		return fmt.Errorf("TTL %d s is longer than %d s", z.TTL, MaxTTL)
	}
	return nil
}

func (t *TSIG) normalize() error {
	if _, ok := dns.IsDomainName(t.Name); !ok || t.Name == "" {
		return fmt.Errorf("%q is not a name of a TSIG key", t.Name)
	}
	if t.Algorithm == "" {
		t.Algorithm = dns.HmacSHA256
	}
	t.Name, t.Algorithm = dns.CanonicalName(t.Name), dns.CanonicalName(t.Algorithm)
	if !algorithms[t.Algorithm] {
		return fmt.Errorf("unknown TSIG algorithm %s; hmac-sha256 is usual", t.Algorithm)
	}
	if secret, err := base64.StdEncoding.DecodeString(t.Secret); err != nil || len(secret) == 0 {
		return fmt.Errorf("the secret of TSIG key %s is not base64", t.Name)
	}
	return nil
}

// Find returns the zone with the longest name that name, in canonical form, stands below. The name of a
// zone itself does not stand below it.
func (s *Set) Find(name string) (Zone, bool) {
	for off, end := dns.NextLabel(name, 0); !end; off, end = dns.NextLabel(name, off) {
		if z, ok := s.byName[name[off:]]; ok {
			return z, true
		}
	}
	return Zone{}, false
}

// All returns every zone in no particular order.
func (s *Set) All() []Zone {
	all := make([]Zone, 0, len(s.byName))
	for _, z := range s.byName {
		all = append(all, z)
	}
	return all
}
