package nameserver

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is optional in RFC 8945 and safe as an HMAC.
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/miekg/dns"
)

// tsigFudge is how many seconds the clocks may differ (RFC 8945, section 10).
const tsigFudge = 300

// Key is a TSIG key that may update and transfer the zones.
type Key struct {
	Name string
	// Algorithm is hmac-sha1, -sha224, -sha256, -sha384 or -sha512; empty means hmac-sha256.
	Algorithm string
	// Secret in base64.
	Secret string
}

var algorithms = map[string]func() hash.Hash{
	dns.HmacSHA1:   sha1.New,
	dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New,
	dns.HmacSHA384: sha512.New384,
	dns.HmacSHA512: sha512.New,
}

type key struct {
	algorithm string
	secret    []byte
}

// keyring verifies and signs by key name. A key counts under its own algorithm only.
type keyring map[string]key

func newKeyring(keys []Key) (keyring, error) {
	ring := keyring{}
	for _, k := range keys {
		name := dns.CanonicalName(k.Name)
		if _, ok := dns.IsDomainName(k.Name); !ok || k.Name == "" {
			return nil, fmt.Errorf("name server: %q is not a key name", k.Name)
		}
		if _, twice := ring[name]; twice {
			return nil, fmt.Errorf("name server: key %s is configured twice", name)
		}
		algorithm := dns.HmacSHA256
		if k.Algorithm != "" {
			algorithm = dns.CanonicalName(k.Algorithm)
		}
		if algorithms[algorithm] == nil {
			return nil, fmt.Errorf("name server: key %s: unknown algorithm %q", name, k.Algorithm)
		}
		secret, err := base64.StdEncoding.DecodeString(k.Secret)
		if err != nil || len(secret) == 0 {
			return nil, fmt.Errorf("name server: key %s: the secret is not base64", name)
		}
		ring[name] = key{algorithm: algorithm, secret: secret}
	}
	return ring, nil
}

// Generate implements dns.TsigProvider.
func (ring keyring) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	k, ok := ring[dns.CanonicalName(t.Hdr.Name)]
	if !ok {
		return nil, dns.ErrSecret
	}
	if k.algorithm != dns.CanonicalName(t.Algorithm) {
		return nil, dns.ErrKeyAlg
	}
	mac := hmac.New(algorithms[k.algorithm], k.secret)
	mac.Write(msg)
	return mac.Sum(nil), nil
}

// Verify implements dns.TsigProvider.
func (ring keyring) Verify(msg []byte, t *dns.TSIG) error {
	want, err := ring.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

// sign puts the TSIG of an answer behind everything else in m: the signature where the request's was
// good, the reason where it was not (RFC 8945, section 5.2).
func sign(m, request *dns.Msg, status error) {
	t := request.IsTsig()
	m.SetTsig(t.Hdr.Name, t.Algorithm, tsigFudge, time.Now().Unix())
	reply := m.IsTsig()
	reply.Error = tsigError(status)
	if reply.Error == dns.RcodeBadTime {
		reply.OtherData = fmt.Sprintf("%012x", reply.TimeSigned)
		reply.OtherLen = 6
		reply.TimeSigned = t.TimeSigned
	}
}

func tsigError(status error) uint16 {
	switch {
	case status == nil:
		return dns.RcodeSuccess
	case errors.Is(status, dns.ErrTime):
		return dns.RcodeBadTime
	case errors.Is(status, dns.ErrSig):
		return dns.RcodeBadSig
	default:
		return dns.RcodeBadKey
	}
}
