package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// Names of the headers.
const (
	headerInput       = "Signature-Input"
	headerSignature   = "Signature"
	headerDigest      = "Content-Digest"
	headerType        = "Content-Type"
	headerIdempotency = "Idempotency-Key"
)

// What a signature covers, in this order.
var (
	covered         = []string{"@method", "@authority", "@path", "@query"}
	coveredWithKey  = []string{"@method", "@authority", "@path", "@query", "idempotency-key"}
	coveredWithBody = []string{"@method", "@authority", "@path", "@query", "content-digest", "content-type", "idempotency-key"}
)

// algorithm is the only one (RFC 9421, section 3.3.3).
const algorithm = "hmac-sha256"

// message is what of a request can be covered.
type message struct {
	method, authority string
	// target is the request target as it is sent: path and query.
	target string
	header http.Header
}

// base is the signature base (section 2.5).
func (m message) base(components []string, params string) string {
	var b strings.Builder
	for _, c := range components {
		b.WriteString(`"` + c + `": ` + m.component(c) + "\n")
	}
	b.WriteString(`"@signature-params": ` + params)
	return b.String()
}

// component is the value of one component (sections 2.1 and 2.2).
func (m message) component(name string) string {
	path, query, _ := strings.Cut(m.target, "?")
	switch name {
	case "@method":
		return m.method
	case "@authority":
		return m.authority
	case "@path":
		return path
	case "@query":
		return "?" + query
	default:
		return strings.TrimSpace(m.header.Get(name))
	}
}

func mac(secret []byte, base string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(base))
	return h.Sum(nil)
}

// digest is the value of Content-Digest (RFC 9530, section 2).
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=" + encodeBytes(sum[:])
}

func encodeBytes(b []byte) string { return ":" + base64.StdEncoding.EncodeToString(b) + ":" }

// normalAuthority is a host without the default port of its scheme, in lower case (RFC 9421, section
// 2.2.3).
func normalAuthority(host string, tls bool) string {
	host = strings.ToLower(host)
	if tls {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}
