package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/webhook"
)

func (g *gateway) registerWebhooks(a huma.API) {
	const path, one = "/v1/webhook-endpoints", "/v1/webhook-endpoints/{id}"
	op := func(id, method, path, summary string, status int, errors ...int) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status, Errors: errors, Tags: []string{"webhooks"}}
	}
	create := op("create-webhook-endpoint", http.MethodPost, path, "Add a receiver of webhooks", http.StatusCreated, 400, 409, 413, 422)
	create.Description = "It is told of every operation that succeeds, is parked, or is refused by a step, from now on and in order, by Standard Webhooks 1.0.0. " +
		"A webhook says only where to look: the event feed has the rest. One that is not taken is sent again for three days."
	route(a, api.ScopeAdmin, create, g.createEndpoint)
	route(a, api.ScopeAdmin, op("list-webhook-endpoints", http.MethodGet, path, "List the receivers of webhooks", 0), g.listEndpoints)
	route(a, api.ScopeAdmin, op("list-webhook-deliveries", http.MethodGet, one+"/deliveries", "List the last attempts to a receiver, newest first", 0, 404, 422), g.listDeliveries)
	route(a, api.ScopeAdmin, op("enable-webhook-endpoint", http.MethodPost, one+"/enable", "Let a receiver go on where it was", 0, 404, 422), g.enableEndpoint)
	route(a, api.ScopeAdmin, op("rotate-webhook-secret", http.MethodPost, one+"/rotate", "Give a receiver a new secret", 0, 400, 404, 413, 422), g.rotateEndpoint)
	route(a, api.ScopeAdmin, op("delete-webhook-endpoint", http.MethodDelete, one, "End a receiver", http.StatusNoContent, 404, 422), g.deleteEndpoint)
}

type endpointOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         api.WebhookEndpointSecret
}

func (g *gateway) createEndpoint(ctx context.Context, in *struct{ Body api.NewWebhookEndpoint }) (*endpointOutput, error) {
	bounds, err := g.bus.Bounds(ctx)
	if err != nil {
		return nil, g.busProblem("read events", err)
	}
	e, secret, err := g.webhooks.Create(ctx, in.Body.URL, bounds.Last)
	if err != nil {
		return nil, g.endpointProblem("add a webhook endpoint", err)
	}
	g.log.Info("webhook endpoint added", "endpoint", e.ID, "by", Actor{}.requester(ctx))
	return &endpointOutput{"no-store", api.WebhookEndpointSecret{WebhookEndpoint: e, Secret: secret}}, nil
}

func (g *gateway) listEndpoints(ctx context.Context, _ *struct{}) (*struct{ Body api.WebhookEndpointList }, error) {
	list, err := g.webhooks.List(ctx)
	if err != nil {
		return nil, g.endpointProblem("list webhook endpoints", err)
	}
	return &struct{ Body api.WebhookEndpointList }{api.WebhookEndpointList{Items: list}}, nil
}

// EndpointInput names a receiver. It is exported because huma does not look into embedded types that are
// not.
type EndpointInput struct {
	ID string `path:"id" pattern:"^wh-[0-9a-f]{16}$" patternDescription:"the id of a webhook endpoint"`
}

func (g *gateway) listDeliveries(ctx context.Context, in *EndpointInput) (*struct{ Body api.WebhookDeliveryList }, error) {
	list, err := g.webhooks.Deliveries(ctx, in.ID)
	if err != nil {
		return nil, g.endpointProblem("list deliveries", err)
	}
	return &struct{ Body api.WebhookDeliveryList }{api.WebhookDeliveryList{Items: append([]api.WebhookDelivery{}, list...)}}, nil
}

func (g *gateway) enableEndpoint(ctx context.Context, in *EndpointInput) (*struct{ Body api.WebhookEndpoint }, error) {
	e, err := g.webhooks.Enable(ctx, in.ID)
	if err != nil {
		return nil, g.endpointProblem("enable a webhook endpoint", err)
	}
	return &struct{ Body api.WebhookEndpoint }{e}, nil
}

type endpointRotateInput struct {
	EndpointInput
	Body *api.Rotation
}

func (g *gateway) rotateEndpoint(ctx context.Context, in *endpointRotateInput) (*endpointOutput, error) {
	e, secret, err := g.webhooks.Rotate(ctx, in.ID, overlapOf(in.Body))
	if err != nil {
		return nil, g.endpointProblem("rotate a webhook secret", err)
	}
	return &endpointOutput{"no-store", api.WebhookEndpointSecret{WebhookEndpoint: e, Secret: secret}}, nil
}

func (g *gateway) deleteEndpoint(ctx context.Context, in *EndpointInput) (*struct{}, error) {
	if err := g.webhooks.Delete(ctx, in.ID); err != nil {
		return nil, g.endpointProblem("end a webhook endpoint", err)
	}
	g.log.Info("webhook endpoint ended", "endpoint", in.ID, "by", Actor{}.requester(ctx))
	return nil, nil
}

// endpointProblem is what a client is told when a receiver could not be handled.
func (g *gateway) endpointProblem(doing string, err error) error {
	var bad *webhook.URLError
	switch {
	case errors.As(err, &bad):
		p := problem(http.StatusUnprocessableEntity, "No webhook can be sent there.", "Name a public address, or allow its network in the gateway's configuration (webhook_networks).")
		p.Errors = []api.FieldError{{Location: "body.url", Message: bad.Err.Error()}}
		return p
	case errors.Is(err, webhook.ErrNotFound):
		return problem(http.StatusNotFound, "There is no webhook endpoint with this id.", "Look at the list of endpoints.")
	case errors.Is(err, webhook.ErrTooMany):
		p := problem(http.StatusConflict, "The endpoint was not added: "+err.Error()+".", "")
		p.Type = api.TypeConflict
		return p
	}
	return g.busProblem(doing, err)
}
