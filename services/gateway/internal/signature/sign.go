package signature

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Signer signs requests with a shared secret.
type Signer struct {
	KeyID  string
	Secret []byte
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Nonce makes 24 hexadecimal digits that were never used before; nil means random ones.
	Nonce func() string
}

// Sign adds Content-Digest, Signature-Input and Signature. The request is for a client to send. One
// with a body needs Content-Type and Idempotency-Key before.
func (s Signer) Sign(req *http.Request) error {
	body, err := takeBody(req)
	if err != nil {
		return fmt.Errorf("sign a request: %w", err)
	}
	components := covered
	switch {
	case len(body) > 0:
		if req.Header.Get(headerType) == "" || req.Header.Get(headerIdempotency) == "" {
			return errors.New("sign a request: one with a body needs the headers Content-Type and Idempotency-Key")
		}
		req.Header.Set(headerDigest, digest(body))
		components = coveredWithBody
	case req.Header.Get(headerIdempotency) != "":
		components = coveredWithKey
	}
	params := s.params(components)
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	m := message{
		method: req.Method, authority: normalAuthority(host, req.URL.Scheme == "https"), target: req.URL.RequestURI(), header: req.Header,
	}
	req.Header.Set(headerInput, "sig1="+params)
	req.Header.Set(headerSignature, "sig1="+encodeBytes(mac(s.Secret, m.base(components, params))))
	return nil
}

func (s Signer) params(components []string) string {
	now, nonce := time.Now, newNonce
	if s.Now != nil {
		now = s.Now
	}
	if s.Nonce != nil {
		nonce = s.Nonce
	}
	list := `"` + strings.Join(components, `" "`) + `"`
	return fmt.Sprintf(`(%s);created=%d;keyid="%s";alg="%s";nonce="%s"`, list, now().Unix(), s.KeyID, algorithm, nonce())
}

func newNonce() string {
	const size = 12 // 24 digits
	b := make([]byte, size)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// takeBody reads the body of a request and puts it back.
func takeBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", MaxBody)
	}
	if err := req.Body.Close(); err != nil {
		return nil, err
	}
	again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.GetBody, req.ContentLength = again, int64(len(body))
	req.Body, err = again()
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	return body, err
}
