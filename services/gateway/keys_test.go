package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/limit"
	"github.com/vmline/vmline/services/gateway/internal/signature"
)

// key makes a key with a scope and returns its secret. It waits until the gateway knows it.
func (f *fixture) key(kind api.KeyKind, id string, scope api.Scope) string {
	f.Helper()
	k, err := f.client.CreateKey(f.Context(), api.NewKey{ID: id, Kind: kind, Scope: scope})
	if err != nil {
		f.Fatal(err)
	}
	f.until("the key "+id+" is known", func() bool {
		if kind == api.KeyBearer {
			return f.as(k.Secret, "GET", "/v1/version", "").StatusCode == http.StatusOK
		}
		resp, _ := f.signed(signature.Signer{KeyID: id, Secret: []byte(k.Secret)}, "GET", "/v1/version", "")
		return resp.StatusCode == http.StatusOK
	})
	return k.Secret
}

// as makes a request with another bearer token.
func (f *fixture) as(token, method, path, body string) *http.Response {
	f.Helper()
	resp, _ := f.call(method, path, body, "Authorization", "Bearer "+token)
	return resp
}

// signed makes a signed request, after change has had its way with it.
func (f *fixture) signed(s signature.Signer, method, path, body string, change ...func(*http.Request)) (*http.Response, string) {
	f.Helper()
	req := f.request(s, method, path, body)
	for _, c := range change {
		c(req)
	}
	return f.send(req)
}

func (f *fixture) request(s signature.Signer, method, path, body string) *http.Request {
	f.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(f.Context(), method, f.client.BaseURL+path, r)
	if err != nil {
		f.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", `"`+newText()+`"`)
	}
	if err := s.Sign(req); err != nil {
		f.Fatal(err)
	}
	return req
}

func (f *fixture) send(req *http.Request) (*http.Response, string) {
	f.Helper()
	resp, err := f.client.HTTP.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp, string(data)
}

func newText() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

const smallJSON = `{"cluster":"dc1","template":"t","cores":1,"memory_mib":512,"network":{"bridge":"vmbr0"}}`

func TestScopes(t *testing.T) {
	f := start(t)
	tokens := map[api.Scope]string{}
	for _, scope := range api.Scopes {
		tokens[scope] = f.key(api.KeyBearer, "k-"+string(scope), scope)
	}
	for _, tt := range []struct {
		method, path, body string
		needs              api.Scope
	}{
		{"GET", "/v1/services", "", api.ScopeRead},
		{"GET", "/v1/events", "", api.ScopeRead},
		{"PUT", "/v1/services/w1-1", smallJSON, api.ScopeOperate},
		{"DELETE", "/v1/services/w1-1", "", api.ScopeOperate},
		{"GET", "/v1/keys", "", api.ScopeAdmin},
		{"POST", "/v1/keys", `{"kind":"bearer","scope":"admin"}`, api.ScopeAdmin},
		{"DELETE", "/v1/keys/nobody", "", api.ScopeAdmin},
	} {
		for _, scope := range api.Scopes {
			resp, body := f.call(tt.method, tt.path, tt.body, "Authorization", "Bearer "+tokens[scope])
			if scope.Includes(tt.needs) {
				if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized {
					t.Errorf("%s %s with %s: %d %s", tt.method, tt.path, scope, resp.StatusCode, body)
				}
				continue
			}
			f.wantProblem(resp, body, http.StatusForbidden, api.TypeForbidden)
		}
	}
}

func TestLifeOfAKey(t *testing.T) {
	f := start(t)
	old := f.key(api.KeyBearer, "ann", api.ScopeRead)
	v, err := f.client.GetVersion(t.Context())
	if err != nil || v.KeyID != "admin" || v.Scope != api.ScopeAdmin || time.Since(v.Time) > time.Minute || v.Version == "" {
		t.Errorf("version %+v, %v", v, err)
	}
	if _, err := f.client.CreateKey(t.Context(), api.NewKey{ID: "ann", Kind: api.KeyBearer, Scope: api.ScopeRead}); !isProblem(err, http.StatusConflict, api.TypeConflict) {
		t.Errorf("a second one: %v", err)
	}
	k, err := f.client.RotateKey(t.Context(), "ann", time.Hour)
	if err != nil || k.Key.OldSecretUntil.IsZero() || k.Secret == old {
		t.Fatalf("rotated: %+v, %v", k.Key, err)
	}
	works := func(token string) bool {
		return f.as(token, "GET", "/v1/version", "").StatusCode == http.StatusOK
	}
	f.until("the new secret works", func() bool { return works(k.Secret) })
	if !works(old) {
		t.Error("the old secret ended with the rotation")
	}
	if k, err = f.client.RotateKey(t.Context(), "ann", 0); err != nil {
		t.Fatal(err)
	}
	f.until("only the newest secret works", func() bool { return works(k.Secret) && !works(old) })
	list, err := f.client.ListKeys(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "ann" {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := f.client.RevokeKey(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	f.until("the key is revoked", func() bool { return !works(k.Secret) })
	if err := f.client.RevokeKey(t.Context(), "ann"); !isProblem(err, http.StatusNotFound, api.TypeNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	for _, m := range f.messages("KV_KEY") {
		if bytes.Contains(m.Data, []byte(k.Secret)) || bytes.Contains(m.Data, []byte(old)) {
			t.Error("the bucket shows a secret")
		}
	}
	if log := f.log.String(); strings.Contains(log, k.Secret) || strings.Contains(log, old) {
		t.Error("the log shows a secret")
	}
}

// TestTamperedRequests has each part of a signed request changed on its way.
func TestTamperedRequests(t *testing.T) {
	f := start(t)
	s := signature.Signer{KeyID: "whmcs-1", Secret: []byte(f.key(api.KeySigning, "whmcs-1", api.ScopeOperate))}
	put := func(change func(*http.Request)) (*http.Response, string) {
		return f.signed(s, "PUT", "/v1/services/w1-1?", smallJSON, change)
	}
	if resp, body := put(func(*http.Request) {}); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("as it was signed: %d %s", resp.StatusCode, body)
	}
	other := strings.Replace(smallJSON, "512", "4096", 1)
	swap := func(r *http.Request, body string) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	late, early, sameNonce := s, s, s
	late.Now = func() time.Time { return time.Now().Add(-signature.MaxAge - time.Minute) }
	early.Now = func() time.Time { return time.Now().Add(signature.MaxAhead + time.Minute) }
	nonce := newText()
	sameNonce.Nonce = func() string { return nonce }
	wrong := s
	wrong.Secret = []byte("not the secret of this key")
	for _, tt := range []struct {
		name   string
		signer signature.Signer
		change func(*http.Request)
		typ    string
	}{
		{"method", s, func(r *http.Request) { r.Method = "DELETE"; r.Header.Set("Content-Type", "application/json") }, signature.TypeMismatch},
		{"path", s, func(r *http.Request) { r.URL.Path = "/v1/services/w1-2" }, signature.TypeMismatch},
		{"query", s, func(r *http.Request) { r.URL.RawQuery = "a=b" }, signature.TypeMismatch},
		{"host", s, func(r *http.Request) { r.Host = "other.example" }, signature.TypeMismatch},
		{"body", s, func(r *http.Request) { swap(r, other) }, signature.TypeDigestMismatch},
		{"no body", s, func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 }, signature.TypeComponents},
		{"digest", s, func(r *http.Request) { r.Header.Del("Content-Digest") }, signature.TypeComponents},
		{"key", s, func(r *http.Request) { r.Header.Set("Idempotency-Key", `"x"`) }, signature.TypeMismatch},
		{"nonce", s, func(r *http.Request) {
			r.Header.Set("Signature-Input", replaceNonce(r.Header.Get("Signature-Input")))
		}, signature.TypeMismatch},
		{"no signature", s, func(r *http.Request) { r.Header.Del("Signature") }, signature.TypeMissing},
		{"and a token", s, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+f.client.Token) }, api.TypeUnauthenticated},
		{"late", late, func(*http.Request) {}, signature.TypeTooOld},
		{"early", early, func(*http.Request) {}, signature.TypeTooEarly},
		{"secret", wrong, func(*http.Request) {}, signature.TypeMismatch},
		{"key id", signature.Signer{KeyID: "whmcs-2", Secret: s.Secret}, func(*http.Request) {}, signature.TypeUnknownKey},
	} {
		resp, body := f.signed(tt.signer, "PUT", "/v1/services/w1-1", smallJSON, tt.change)
		p := f.wantProblem(resp, body, http.StatusUnauthorized, tt.typ)
		if p.Detail == "" {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
	if resp, body := f.signed(sameNonce, "GET", "/v1/version", ""); resp.StatusCode != http.StatusOK {
		t.Fatalf("the nonce for the first time: %d %s", resp.StatusCode, body)
	}
	resp, body := f.signed(sameNonce, "GET", "/v1/services", "")
	f.wantProblem(resp, body, http.StatusUnauthorized, signature.TypeReplayed)
	if n := len(f.commands()); n != 1 {
		t.Errorf("%d commands were sent", n)
	}
}

func replaceNonce(input string) string {
	before, _, _ := strings.Cut(input, `nonce="`)
	return before + `nonce="` + newText() + `"`
}

func TestRateLimit(t *testing.T) {
	f := start(t)
	token := f.client.Token
	f.serve(Config{
		Bus: f.bus, Token: token, Sealer: f.opener.Sealer(), DigestKey: make([]byte, minDigestKey), Limit: Limit{Requests: 3, Window: time.Hour},
	})
	for i := range 4 {
		resp, body := f.call("GET", "/v1/version", "")
		if got, want := resp.Header.Get("RateLimit-Policy"), `"default";q=3;w=3600`; got != want {
			t.Errorf("policy %s", got)
		}
		if got, want := resp.Header.Get("RateLimit"), fmt.Sprintf(`"default";r=%d;t=`, max(2-i, 0)); !strings.HasPrefix(got, want) {
			t.Errorf("request %d: %s", i, got)
		}
		if i < 3 && resp.StatusCode != http.StatusOK {
			t.Errorf("request %d: %d %s", i, resp.StatusCode, body)
		}
		if i == 3 {
			f.wantProblem(resp, body, http.StatusTooManyRequests, limit.TypeQuotaExceeded)
		}
	}
	if resp, _ := f.call("GET", "/livez", ""); resp.StatusCode != http.StatusOK {
		t.Error("health is limited")
	}
}
