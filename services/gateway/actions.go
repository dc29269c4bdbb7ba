package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/idempotency"
	"github.com/vmline/vmline/services/gateway/internal/keys"
)

func (g *gateway) registerActions(a huma.API) {
	route(a, api.ScopeOperate, huma.Operation{
		OperationID: "act", Method: http.MethodPost, Path: "/v1/services/{ref}/actions", DefaultStatus: http.StatusAccepted,
		Summary: "Give a command to a VM", Tags: []string{"services"},
		Description: "Requests with the same Idempotency-Key are one operation, however often they are sent; the key counts for the API key that shows it, this VM and this type.",
		Errors:      []int{400, 404, 409, 413, 422},
	}, g.act)
	route(a, api.ScopeRead, huma.Operation{
		OperationID: "list-commands", Method: http.MethodGet, Path: "/v1/commands", Summary: "List what can be done with a VM", Tags: []string{"services"},
	}, func(context.Context, *struct{}) (*struct{ Body api.CommandList }, error) {
		return &struct{ Body api.CommandList }{api.CommandList{Items: api.CommandTable()}}, nil
	})
}

// ActionInput is a command in the body of a request. It is exported because huma does not look into
// embedded types that are not.
type ActionInput struct {
	RefInput
	Body api.Action

	route chain.Route
}

// Resolve finds the command and checks what its single fields cannot say.
func (in *ActionInput) Resolve(huma.Context) []error {
	kind, _ := chain.KindNamed(strings.ReplaceAll(in.Body.Type, "-", "_"))
	route, ok := chain.RouteOf(kind)
	if !ok {
		return []error{&huma.ErrorDetail{Location: "body.type", Message: "there is no such command; GET /v1/commands has them"}}
	}
	in.route, in.Body.Type = route, chain.KindName(kind)
	switch p := in.Body.Package; {
	case route.Package && p == nil:
		return []error{&huma.ErrorDetail{Location: "body.package", Message: "this command needs the whole package"}}
	case !route.Package && p != nil:
		return []error{&huma.ErrorDetail{Location: "body.package", Message: "this command takes no package; order the package with PUT"}}
	case p != nil:
		return checkPackage(in.Ref, p, "body.package")
	}
	return nil
}

type actInput struct {
	ActionInput
	Actor
	Prefer
	IdempotencyKey string `header:"Idempotency-Key" doc:"Needed. A text of 1 to 255 characters, in quotes or bare; a new one for each command, the same one when it is repeated."`
}

func (g *gateway) act(ctx context.Context, in *actInput) (*operationOutput, error) {
	key, err := in.key()
	if err != nil {
		return nil, err
	}
	cmd, err := g.command(&in.ActionInput)
	if err != nil {
		return nil, err
	}
	p, _ := keys.PrincipalOf(ctx)
	cmd.Id = idempotency.Call{KeyID: p.KeyID, Key: key, Ref: in.Ref, Action: cmd.GetKind()}.OperationID(g.ids)
	cmd.RequestedBy = in.requester(ctx)
	earlier, err := g.earlierRequest(ctx, cmd)
	switch {
	case err != nil:
		return nil, err
	case earlier != nil:
		return g.waited(ctx, *earlier, in.Prefer)
	}
	vm, err := g.lastVM(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	joined, err := g.forecast(vm, cmd)
	if err != nil {
		return nil, err
	}
	if joined != nil {
		return g.waited(ctx, *joined, in.Prefer)
	}
	cmd.After = vm.GetOperation().GetId()
	return g.send(ctx, cmd, in.Prefer)
}

// key is the request's idempotency key.
func (in *actInput) key() (string, error) {
	h := http.Header{}
	if in.IdempotencyKey != "" {
		h.Set("Idempotency-Key", in.IdempotencyKey)
	}
	return idempotency.Require(h)
}

// command builds the command of a request, its passwords sealed.
func (g *gateway) command(in *ActionInput) (*vmlinev1.Command, error) {
	cmd := &vmlinev1.Command{Ref: in.Ref, Kind: in.route.Kind}
	var err error
	if cmd.RequestDigest, err = g.ids.ActionDigest(&in.Body); err != nil {
		return nil, err
	}
	if in.Body.Package != nil {
		if err := g.pack(cmd, in.Body.Package); err != nil {
			return nil, err
		}
	}
	if in.Body.Params == nil {
		return cmd, nil
	}
	sealed, err := g.seal(in.Body.Params.Password)
	if err != nil {
		return nil, err
	}
	params, ok := in.Body.Params.ToProto(sealed)
	if !ok {
		return nil, noSuchStatus("body.params.status")
	}
	cmd.Params = params
	return cmd, nil
}

// noSuchStatus is the problem of a status that the table does not have.
func noSuchStatus(location string) error {
	p := problem(http.StatusUnprocessableEntity, "validation failed", "")
	p.Errors = []api.FieldError{{Location: location, Message: "there is no such status; there are " + strings.Join(chain.StatusNames(), ", ")}}
	return p
}

// earlierRequest returns the operation of a request that came before under the same key, nil if this is
// the first one. The same key with another request is a problem.
func (g *gateway) earlierRequest(ctx context.Context, cmd *vmlinev1.Command) (*api.Operation, error) {
	earlier, err := g.lookUp(ctx, cmd.GetId())
	if err != nil {
		return nil, err
	}
	stored := func(context.Context) ([]byte, error) { return earlier.requestDigest, nil }
	if err := g.payloads.Claim(ctx, cmd.GetId(), cmd.GetRequestDigest(), stored); err != nil {
		return nil, err
	}
	return earlier.operation, nil
}
