package keys

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/signature"
)

type everyNonce struct{}

func (everyNonce) Use(context.Context, string, string) bool { return true }

func authenticator(r *Ring) http.Handler {
	a := &Authenticator{
		Ring:     r,
		Verifier: &signature.Verifier{Secrets: r.Secrets, Nonces: everyNonce{}, Now: r.store.now},
		Refuse: func(w http.ResponseWriter, p *api.Problem) {
			w.WriteHeader(p.Status)
			_, _ = io.WriteString(w, p.Type)
		},
	}
	return a.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := PrincipalOf(r.Context())
		if !ok {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, p.KeyID+" "+string(p.Scope))
		if p.Signed {
			_, _ = io.WriteString(w, " signed")
		}
	}))
}

func TestAuthenticator(t *testing.T) {
	f := start(t, nil)
	_, bearer := f.create(New{ID: "ann", Kind: KindBearer, Scope: ScopeRead})
	_, shared := f.create(New{ID: "whmcs-1", Kind: KindSigning, Scope: ScopeOperate})
	f.soon("known", func() bool { s, _ := f.ring.Secrets("whmcs-1"); return f.known(bearer)() && len(s) == 1 })
	h := authenticator(f.ring)
	signed := func(r *http.Request) {
		s := signature.Signer{KeyID: "whmcs-1", Secret: []byte(shared), Now: f.clock.now}
		if err := s.Sign(r); err != nil {
			t.Fatal(err)
		}
	}
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		status int
		body   string
	}{
		{"nothing", func(*http.Request) {}, 401, api.TypeUnauthenticated},
		{"the installation's token", header("Bearer installation-token"), 200, "admin admin"},
		{"a key", header("bearer  " + bearer), 200, "ann read"},
		{"a wrong key", header("Bearer " + bearer + "x"), 401, api.TypeUnauthenticated},
		{"a shared secret", header("Bearer " + shared), 401, api.TypeUnauthenticated},
		{"another scheme", header("Basic " + bearer), 401, api.TypeUnauthenticated},
		{"two tokens", header("Bearer "+bearer, "Bearer x"), 401, api.TypeUnauthenticated},
		{"a signature", signed, 200, "whmcs-1 operate signed"},
		{"a signature and a token", func(r *http.Request) { signed(r); header("Bearer " + bearer)(r) }, 401, api.TypeUnauthenticated},
		{"half a signature", func(r *http.Request) { signed(r); r.Header.Del("Signature") }, 401, signature.TypeMissing},
		{"a changed signature", func(r *http.Request) { signed(r); r.RequestURI = "/other" }, 401, signature.TypeMismatch},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/services", nil)
		tt.change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Body.String() != tt.body || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s %v", tt.name, w.Code, w.Body, w.Header())
		}
	}
}

// TestBeforeTheKeysAreKnown: a valid key must not be told that it is wrong.
func TestBeforeTheKeysAreKnown(t *testing.T) {
	f := start(t, nil)
	h := authenticator(NewRing(f.store, "installation-token", quiet))
	for token, want := range map[string]int{"installation-token": 200, "vml_x": 503} {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(""))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || want == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", token, w.Code, w.Header())
		}
	}
	if _, ok := PrincipalOf(t.Context()); ok {
		t.Error("a principal out of nothing")
	}
}
