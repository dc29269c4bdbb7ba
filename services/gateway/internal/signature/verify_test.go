package signature

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/api"
)

var (
	now    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	secret = []byte("0123456789abcdef0123456789abcdef")
	older  = []byte("an older secret that is still in use")
)

// seen is a set of nonces.
type seen struct{ sync.Map }

func (s *seen) Use(_ context.Context, keyID, nonce string) bool {
	_, used := s.LoadOrStore(keyID+"."+nonce, true)
	return !used
}

func verifier() *Verifier {
	return &Verifier{Nonces: &seen{}, Now: func() time.Time { return now }, Secrets: func(id string) ([][]byte, error) {
		if id == "whmcs-1" {
			return [][]byte{secret, older}, nil
		}
		return nil, nil
	}}
}

func signer() Signer {
	return Signer{KeyID: "whmcs-1", Secret: secret, Now: func() time.Time { return now }}
}

const (
	target = "/v1/services/w-1/actions?wait=1&x=%20y"
	body   = `{"type":"stop"}`
)

// received is a signed request as a server gets it. Without a text it has no body.
func received(t testing.TB, s Signer, method, url, text string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if err := s.Sign(req); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, req.URL.RequestURI(), req.Body)
	r.Host, r.Header, r.ContentLength = req.URL.Host, req.Header, int64(len(text))
	return r
}

func signedOrder(t testing.TB) *http.Request {
	return received(t, signer(), http.MethodPost, "http://gw.example.com:8443"+target, body, "Content-Type", "application/json", "Idempotency-Key", `"k-1"`)
}

func wantType(t testing.TB, name string, err error, typ string) {
	t.Helper()
	var p *api.Problem
	switch {
	case !errors.As(err, &p):
		t.Errorf("%s: got %v, want %s", name, err, typ)
	case p.Type != typ || p.Status < 400 || p.Detail == "":
		t.Errorf("%s: got %+v, want %s", name, p, typ)
	}
}

func TestSignedRequestsAreLetIn(t *testing.T) {
	v := verifier()
	old := signer()
	old.Secret = older
	for name, r := range map[string]*http.Request{
		"with a body":                signedOrder(t),
		"without":                    received(t, signer(), http.MethodGet, "http://gw.example.com/v1/services", ""),
		"without, but with a key":    received(t, signer(), http.MethodDelete, "http://gw.example.com/v1/services/w-1", "", "Idempotency-Key", "k"),
		"with the older secret":      received(t, old, http.MethodGet, "http://gw.example.com/v1/services", ""),
		"an authority in any case":   received(t, signer(), http.MethodGet, "http://GW.example.com:80/", ""),
		"a query with a question":    received(t, signer(), http.MethodGet, "http://gw.example.com/?a=?", ""),
		"a path that is percent-enc": received(t, signer(), http.MethodGet, "http://gw.example.com/a%2fb", ""),
	} {
		id, err := v.Verify(r)
		if err != nil || id != "whmcs-1" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	r := signedOrder(t)
	if _, err := v.Verify(r); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
		t.Errorf("the handler reads %q, %v", got, err)
	}
}

func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		age time.Duration
		typ string
	}{{300 * time.Second, ""}, {301 * time.Second, TypeTooOld}, {-60 * time.Second, ""}, {-61 * time.Second, TypeTooEarly}} {
		s := signer()
		s.Now = func() time.Time { return now.Add(-tt.age) }
		_, err := verifier().Verify(received(t, s, http.MethodGet, "http://gw/", ""))
		if tt.typ == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.age, err)
			}
			continue
		}
		wantType(t, tt.age.String(), err, tt.typ)
	}
}

func TestPublicAuthorities(t *testing.T) {
	v := verifier()
	v.Authorities = []string{"vmline.example.com", "GW.example.com:8443"}
	r := signedOrder(t)
	r.Host = "10.0.0.1:8080" // a proxy's own
	if _, err := v.Verify(r); err != nil {
		t.Errorf("signed for a public authority: %v", err)
	}
	r = received(t, signer(), http.MethodGet, "http://other.example.com/", "")
	_, err := v.Verify(r)
	wantType(t, "signed for another authority", err, TypeMismatch)
	overTLS := received(t, signer(), http.MethodGet, "https://gw.example.com:443/", "")
	overTLS.TLS = &tls.ConnectionState{}
	if _, err := verifier().Verify(overTLS); err != nil {
		t.Errorf("the default port: %v", err)
	}
}

// tampering is what somebody in between may do to a signed order.
var tampering = []struct {
	name   string
	change func(*http.Request)
	typ    string
}{
	{"method", func(r *http.Request) { r.Method = http.MethodPut }, TypeMismatch},
	{"path", func(r *http.Request) { r.RequestURI = strings.Replace(target, "w-1", "w-2", 1) }, TypeMismatch},
	{"query", func(r *http.Request) { r.RequestURI = strings.Replace(target, "wait=1", "wait=2", 1) }, TypeMismatch},
	{"query removed", func(r *http.Request) { r.RequestURI = strings.Split(target, "?")[0] }, TypeMismatch},
	{"equal path written otherwise", func(r *http.Request) { r.RequestURI = strings.Replace(target, "w-1", "w%2d1", 1) }, TypeMismatch},
	{"absolute target", func(r *http.Request) { r.RequestURI = "http://gw.example.com:8443" + target }, TypeComponents},
	{"authority", func(r *http.Request) { r.Host = "other.example.com:8443" }, TypeMismatch},
	{"port", func(r *http.Request) { r.Host = "gw.example.com:8444" }, TypeMismatch},
	{"body", func(r *http.Request) { setBody(r, `{"type":"stap"}`) }, TypeDigestMismatch},
	{"longer body", func(r *http.Request) { setBody(r, body+" ") }, TypeDigestMismatch},
	{"body removed", func(r *http.Request) { setBody(r, "") }, TypeComponents},
	{"body removed behind its length", func(r *http.Request) { r.Body = http.NoBody }, TypeDigestMismatch},
	{"body and digest", func(r *http.Request) { setBody(r, "x"); r.Header.Set(headerDigest, digest([]byte("x"))) }, TypeMismatch},
	{"digest removed", func(r *http.Request) { r.Header.Del(headerDigest) }, TypeComponents},
	{"content type", func(r *http.Request) { r.Header.Set(headerType, "text/plain") }, TypeMismatch},
	{"idempotency key", func(r *http.Request) { r.Header.Set(headerIdempotency, "k-2") }, TypeMismatch},
	{"idempotency key removed", func(r *http.Request) { r.Header.Del(headerIdempotency) }, TypeComponents},
	{"two idempotency keys", func(r *http.Request) { r.Header.Add(headerIdempotency, "k-2") }, TypeDuplicatedHeader},
	{"two content types", func(r *http.Request) { r.Header.Add(headerType, "text/plain") }, TypeDuplicatedHeader},
	{"two digests", func(r *http.Request) { r.Header.Add(headerDigest, digest(nil)) }, TypeDuplicatedHeader},
	{"two signatures", func(r *http.Request) { r.Header.Add(headerSignature, "sig2=:AA==:") }, TypeDuplicatedHeader},
	{"two inputs", func(r *http.Request) { r.Header.Add(headerInput, "sig2=()") }, TypeDuplicatedHeader},
	{"signature removed", func(r *http.Request) { r.Header.Del(headerSignature) }, TypeMissing},
	{"input removed", func(r *http.Request) { r.Header.Del(headerInput) }, TypeMissing},
	{"time", inInput("created=", "created=1"), TypeTooEarly},
	{"time by a second", inInput("created=1795521600", "created=1795521599"), TypeMismatch},
	{"nonce", inInput(`nonce="0`, `nonce="1`), TypeMismatch},
	{"nonce in capitals", inInput(`nonce="0`, `nonce="A`), TypeMalformed},
	{"short nonce", inInput(`nonce="0`, `nonce="`), TypeMalformed},
	{"no nonce", inInput(`;nonce="0`, `;x="0`), TypeMalformed},
	{"key", inInput("whmcs-1", "whmcs-2"), TypeUnknownKey},
	{"algorithm", inInput("hmac-sha256", "hmac-sha512"), TypeAlgorithm},
	{"component left out", inInput(` "@query"`, ""), TypeComponents},
	{"component of the body left out", inInput(` "content-digest"`, ""), TypeComponents},
	{"components in another order", inInput(`"@method" "@authority"`, `"@authority" "@method"`), TypeComponents},
	{"one more component", inInput(`"idempotency-key"`, `"idempotency-key" "date"`), TypeComponents},
	{"one more parameter", inInput(";alg", `;tag="x";alg`), TypeMalformed},
	{"label", inInput("sig1=", "sig2="), TypeMalformed},
	{"spaces", inInput(`" "`, `"  "`), TypeMalformed},
	{"short signature", func(r *http.Request) { r.Header.Set(headerSignature, "sig1=:AAAA:") }, TypeMalformed},
	{"another hash", resigned(func(r *http.Request) {
		r.Header.Set(headerDigest, strings.Replace(r.Header.Get(headerDigest), "sha-256", "sha-512", 1))
	}), TypeDigestMalformed},
	{"two hashes", resigned(func(r *http.Request) { r.Header.Set(headerDigest, r.Header.Get(headerDigest)+", sha-512=:AA==:") }), TypeDigestMalformed},
	{"cut body", func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) }, TypeBodyCut},
	{"huge body", func(r *http.Request) { setBody(r, strings.Repeat("x", MaxBody+1)) }, api.TypeTooLarge},
}

func setBody(r *http.Request, text string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
}

func inInput(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set(headerInput, strings.Replace(r.Header.Get(headerInput), from, to, 1))
	}
}

// resigned changes a request and signs it as it is then.
func resigned(change func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		change(r)
		in, _ := parseInput(r.Header.Get(headerInput))
		m := message{method: r.Method, authority: r.Host, target: r.RequestURI, header: r.Header}
		r.Header.Set(headerSignature, "sig1="+encodeBytes(mac(secret, m.base(in.components, in.raw))))
	}
}

func TestTampering(t *testing.T) {
	s := signer()
	s.Nonce = func() string { return "0123456789abcdef01234567" }
	for _, tt := range tampering {
		r := received(t, s, http.MethodPost, "http://gw.example.com:8443"+target, body, "Content-Type", "application/json", "Idempotency-Key", "k-1")
		v := verifier()
		tt.change(r)
		_, err := v.Verify(r)
		wantType(t, tt.name, err, tt.typ)
		if !v.Nonces.Use(t.Context(), "whmcs-1", s.Nonce()) {
			t.Errorf("%s: a request that was refused used up the nonce", tt.name)
		}
	}
}

func TestBodyThatIsNotCovered(t *testing.T) {
	r := received(t, signer(), http.MethodDelete, "http://gw/v1/services/w-1", "")
	r.Body = io.NopCloser(strings.NewReader("x"))
	_, err := verifier().Verify(r)
	wantType(t, "behind a length of 0", err, TypeComponents)
	r = received(t, signer(), http.MethodDelete, "http://gw/v1/services/w-1", "")
	setBody(r, "x")
	r.ContentLength = -1
	_, err = verifier().Verify(r)
	wantType(t, "in chunks", err, TypeComponents)
	r = received(t, signer(), http.MethodDelete, "http://gw/v1/services/w-1", "")
	r.Header.Set(headerIdempotency, "k")
	_, err = verifier().Verify(r)
	wantType(t, "a key that is not covered", err, TypeComponents)
}

func TestSecretsThatAreNotKnownYet(t *testing.T) {
	v := verifier()
	v.Secrets = func(string) ([][]byte, error) { return nil, &api.Problem{Type: "x", Status: 503, Detail: "Not yet."} }
	_, err := v.Verify(signedOrder(t))
	wantType(t, "not yet", err, "x")
}

func TestReplay(t *testing.T) {
	v, s := verifier(), signer()
	s.Nonce = func() string { return "0123456789abcdef01234567" }
	get := func() *http.Request { return received(t, s, http.MethodGet, "http://gw/", "") }
	if _, err := v.Verify(get()); err != nil {
		t.Fatal(err)
	}
	_, err := v.Verify(get())
	wantType(t, "again", err, TypeReplayed)
}

// TestEveryByteCounts changes one byte of what is signed.
func TestEveryByteCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := signedOrder(t)
		parts := map[string]struct {
			get func() string
			set func(string)
		}{
			"method": {func() string { return r.Method }, func(s string) { r.Method = s }},
			"host":   {func() string { return r.Host }, func(s string) { r.Host = s }},
			"target": {func() string { return r.RequestURI }, func(s string) { r.RequestURI = s }},
			"body":   {func() string { return body }, func(s string) { setBody(r, s) }},
		}
		for _, name := range []string{headerInput, headerSignature, headerDigest, headerType, headerIdempotency} {
			parts[name] = struct {
				get func() string
				set func(string)
			}{func() string { return r.Header.Get(name) }, func(s string) { r.Header.Set(name, s) }}
		}
		names := []string{"method", "host", "target", "body", headerInput, headerSignature, headerDigest, headerType, headerIdempotency}
		part := parts[rapid.SampledFrom(names).Draw(rt, "part")]
		before := part.get()
		changed := []byte(before)
		at := rapid.IntRange(0, len(changed)-1).Draw(rt, "at")
		changed[at] ^= rapid.ByteRange(1, 255).Draw(rt, "by")
		part.set(string(changed))
		if strings.EqualFold(r.Host, before) || strings.TrimSpace(string(changed)) == before {
			rt.Skip("the same host")
		}
		if _, err := verifier().Verify(r); err == nil {
			rt.Fatalf("%q passes for %q", changed, before)
		}
	})
}

// TestOverTheWire signs with Go's client and verifies behind Go's server.
func TestOverTheWire(t *testing.T) {
	v := verifier()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.Verify(r); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(w, r.Body) // the test sees what comes
	}))
	defer server.Close()
	for _, text := range []string{"", body, strings.Repeat("x", MaxBody)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+target, io.MultiReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", `"k"`)
		if err := signer().Sign(req); err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || string(got) != text {
			t.Errorf("a body of %d bytes: %s, %d bytes came", len(text), resp.Status, len(got))
		}
	}
}

func TestSignerRefuses(t *testing.T) {
	long, _ := http.NewRequest(http.MethodPost, "http://gw/", strings.NewReader(strings.Repeat("x", MaxBody+1)))
	bare, _ := http.NewRequest(http.MethodPost, "http://gw/", strings.NewReader("x"))
	cut, _ := http.NewRequest(http.MethodPost, "http://gw/", iotest.ErrReader(io.ErrUnexpectedEOF))
	for name, req := range map[string]*http.Request{"too long": long, "without the headers": bare, "cut": cut} {
		if err := signer().Sign(req); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
