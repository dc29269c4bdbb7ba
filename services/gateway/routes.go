package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/keys"
)

// register is the table of routes: what each needs, and who answers.
func (g *gateway) register(a huma.API) {
	g.registerServices(a)
	g.registerActions(a)
	g.registerValidation(a)
	g.registerInventory(a)
	g.registerWebhooks(a)
	g.registerDeadLetters(a)
	g.registerFeed(a)
	g.registerKeys(a)
}

// route adds one route that a key with the scope may use.
func route[I, O any](a huma.API, scope api.Scope, op huma.Operation, answer func(context.Context, *I) (*O, error)) {
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	op.Extensions = map[string]any{"x-scope": string(scope)}
	op.Middlewares = append(op.Middlewares, needs(scope))
	huma.Register(a, op, answer)
}

// needs lets nobody pass whose key has not the scope.
func needs(scope api.Scope) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		p, _ := keys.PrincipalOf(ctx.Context())
		if err := p.May(scope); err != nil {
			refuse(ctx, err)
			return
		}
		next(ctx)
	}
}

// refuse answers with a problem before a handler has begun.
func refuse(ctx huma.Context, err error) {
	p := problem(http.StatusInternalServerError, "The gateway made a mistake; its log has the details.", "")
	_ = errors.As(err, &p)
	_, w := humago.Unwrap(ctx)
	writeProblem(w, p)
}

// keyID is whose request it is, for limits.
func keyID(r *http.Request) string {
	p, _ := keys.PrincipalOf(r.Context())
	return p.KeyID
}

// Actor says for whom a program acts. It is exported because huma does not look into embedded types that
// are not.
type Actor struct {
	Actor string `header:"Vmline-Actor" maxLength:"64" pattern:"^[ -~]*$" patternDescription:"printable ASCII" doc:"For whom the caller acts, for example admin:3. It stands behind the key's id in requested_by."`
}

// requester is what an operation keeps of who asked for it.
func (a Actor) requester(ctx context.Context) string {
	p, _ := keys.PrincipalOf(ctx)
	if a.Actor == "" {
		return p.KeyID
	}
	return p.KeyID + "/" + a.Actor
}
