package keys

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/signature"
)

// Authenticator lets in who shows a valid key or signs with one.
type Authenticator struct {
	Ring *Ring
	// Verifier verifies signatures; its Secrets are the ring's.
	Verifier *signature.Verifier
	// Refuse answers with a problem.
	Refuse func(http.ResponseWriter, *api.Problem)
}

// Handler calls next with the principal in the request's context.
func (a *Authenticator) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := a.principal(r)
		if err != nil {
			var problem *api.Problem
			if !errors.As(err, &problem) {
				problem = errBearer
			}
			switch problem.Status {
			case http.StatusUnauthorized:
				w.Header().Set("WWW-Authenticate", `Bearer realm="vmline"`)
			case http.StatusServiceUnavailable:
				w.Header().Set("Retry-After", "5") // seconds
			}
			a.Refuse(w, problem)
			return
		}
		a.Ring.touch(p.KeyID)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
	})
}

// principal finds out who made the request. One that is signed shows no token beside: which of them
// would count?
func (a *Authenticator) principal(r *http.Request) (Principal, error) {
	authorization := r.Header.Values("Authorization")
	if signature.Signed(r) {
		if len(authorization) > 0 {
			return Principal{}, &api.Problem{
				Type: api.TypeUnauthenticated, Title: http.StatusText(http.StatusUnauthorized), Status: http.StatusUnauthorized,
				Detail: "The request has both a signature and a token.", Next: "Send one of them.",
			}
		}
		id, err := a.Verifier.Verify(r)
		if err != nil {
			return Principal{}, err
		}
		return a.Ring.signer(id)
	}
	if len(authorization) != 1 {
		return Principal{}, errBearer
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, errBearer
	}
	return a.Ring.Bearer(strings.TrimSpace(token))
}

type principalKey struct{}

// PrincipalOf is who made the request of a context. ok is false where no Authenticator stands before.
func PrincipalOf(ctx context.Context) (p Principal, ok bool) {
	p, ok = ctx.Value(principalKey{}).(Principal)
	return p, ok
}
