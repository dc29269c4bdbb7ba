package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/keys"
)

func (g *gateway) registerKeys(a huma.API) {
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: "/v1/keys", DefaultStatus: http.StatusCreated,
		Summary: "Make an API key", Tags: []string{"keys"},
		Description: "The secret is shown this once. If the answer is lost, revoke the key and make another.",
		Errors:      []int{400, 409, 413, 422},
	}, g.createKey)
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/v1/keys", Summary: "List API keys", Tags: []string{"keys"},
	}, g.listKeys)
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: "/v1/keys/{id}/rotate", Summary: "Give an API key a new secret", Tags: []string{"keys"},
		Description: "The present secret stays valid for the overlap; one from an earlier rotation ends at once.",
		Errors:      []int{400, 404, 413, 422},
	}, g.rotateKey)
	route(a, api.ScopeAdmin, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: "/v1/keys/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Revoke an API key", Tags: []string{"keys"}, Errors: []int{404, 422},
	}, g.revokeKey)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "get-version", Method: http.MethodGet, Path: "/v1/version", Summary: "Show the gateway's version, time and certificate, and whose key this is",
	}, g.version)
}

// secretOutput must not be kept by a cache on the way.
type secretOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.KeySecret
}

func (g *gateway) createKey(ctx context.Context, in *struct{ Body api.NewKey }) (*secretOutput, error) {
	k, text, err := g.keys.Create(ctx, in.Body)
	if err != nil {
		return nil, g.keyProblem("make a key", err)
	}
	g.log.Info("API key made", "key", k.ID, "kind", k.Kind, "scope", k.Scope, "by", Actor{}.requester(ctx))
	return &secretOutput{"no-store", api.KeySecret{Key: k, Secret: text}}, nil
}

func (g *gateway) listKeys(ctx context.Context, _ *struct{}) (*struct{ Body api.KeyList }, error) {
	list, err := g.keys.List(ctx)
	if err != nil {
		return nil, g.keyProblem("list keys", err)
	}
	return &struct{ Body api.KeyList }{api.KeyList{Items: list}}, nil
}

// KeyInput names a key. It is exported because huma does not look into embedded types that are not.
type KeyInput struct {
	ID string `path:"id" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"the id of a key"`
}

type rotateInput struct {
	KeyInput
	Body *api.Rotation
}

// defaultOverlap is how long an old secret lives beside its successor.
const defaultOverlap = 24 * time.Hour

// overlapOf is what a rotation says, or the default.
func overlapOf(r *api.Rotation) time.Duration {
	if r == nil || r.OverlapSeconds == nil {
		return defaultOverlap
	}
	return time.Duration(*r.OverlapSeconds) * time.Second
}

func (g *gateway) rotateKey(ctx context.Context, in *rotateInput) (*secretOutput, error) {
	k, text, err := g.keys.Rotate(ctx, in.ID, overlapOf(in.Body))
	if err != nil {
		return nil, g.keyProblem("rotate a key", err)
	}
	g.log.Info("API key rotated", "key", k.ID, "by", Actor{}.requester(ctx))
	return &secretOutput{"no-store", api.KeySecret{Key: k, Secret: text}}, nil
}

func (g *gateway) revokeKey(ctx context.Context, in *KeyInput) (*struct{}, error) {
	if err := g.keys.Revoke(ctx, in.ID); err != nil {
		return nil, g.keyProblem("revoke a key", err)
	}
	g.log.Info("API key revoked", "key", in.ID, "by", Actor{}.requester(ctx))
	return nil, nil
}

// keyProblem is what a client is told when a key could not be handled.
func (g *gateway) keyProblem(doing string, err error) error {
	var invalid *keys.InvalidError
	switch {
	case errors.As(err, &invalid):
		p := problem(http.StatusUnprocessableEntity, "The key cannot be like this.", "")
		p.Errors = []api.FieldError{{Location: "body." + invalid.Field, Message: invalid.Message}}
		return p
	case errors.Is(err, keys.ErrNotFound):
		return problem(http.StatusNotFound, "There is no key with this id.", "Look at the list of keys.")
	case errors.Is(err, keys.ErrTaken), errors.Is(err, keys.ErrTooMany):
		p := problem(http.StatusConflict, "The key was not made: "+err.Error()+".", "")
		p.Type = api.TypeConflict
		return p
	}
	return g.busProblem(doing, err)
}

func (g *gateway) version(ctx context.Context, _ *struct{}) (*struct{ Body api.Version }, error) {
	p, _ := keys.PrincipalOf(ctx)
	return &struct{ Body api.Version }{api.Version{
		Version: buildVersion(), Time: g.bus.Now().UTC(), Fingerprint: g.fingerprint, KeyID: p.KeyID, Scope: p.Scope,
	}}, nil
}
