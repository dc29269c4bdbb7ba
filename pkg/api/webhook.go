package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// WebhookEndpoint is a receiver of webhooks.
type WebhookEndpoint struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"`
	CreatedAt time.Time `json:"created_at"`
	// Position is the sequence up to which everything was delivered.
	Position        uint64    `json:"position" doc:"Sequence of the event feed up to which everything was delivered."`
	LastDeliveredAt time.Time `json:"last_delivered_at,omitzero"`
	// Attempts that failed for the event after Position.
	Attempts  int    `json:"attempts,omitempty" doc:"That failed for the event after position."`
	LastError string `json:"last_error,omitempty"`
	// NotBefore is when the next attempt may begin.
	NotBefore time.Time `json:"not_before,omitzero" doc:"When the next attempt may begin."`
	// Disabled is why nothing is sent any more.
	Disabled string `json:"disabled,omitempty" doc:"Why nothing is sent any more."`
}

// NewWebhookEndpoint is a receiver to be added.
type NewWebhookEndpoint struct {
	URL string `json:"url" maxLength:"2048" doc:"https://, at a public address unless the configuration allows others."`
}

// WebhookEndpointSecret is a receiver with its secret, which is shown this once.
type WebhookEndpointSecret struct {
	WebhookEndpoint
	Secret string `json:"secret" doc:"Shown this once: whsec_ and base64, as Standard Webhooks has it."`
}

// WebhookEndpointList is all receivers.
type WebhookEndpointList struct {
	Items []WebhookEndpoint `json:"items" nullable:"false"`
}

// WebhookDelivery is one attempt.
type WebhookDelivery struct {
	Seq     uint64    `json:"seq" doc:"Sequence of the event in the feed."`
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt" doc:"1 for the first one."`
	Error   string    `json:"error,omitempty" doc:"Left out: it was delivered."`
}

// WebhookDeliveryList is the last attempts to a receiver, newest first.
type WebhookDeliveryList struct {
	Items []WebhookDelivery `json:"items" nullable:"false"`
}

const webhooksPath = "/v1/webhook-endpoints"

// CreateWebhookEndpoint adds a receiver, which is told of what happens from now on. It needs the scope
// admin, as the calls below do.
func (c *Client) CreateWebhookEndpoint(ctx context.Context, target string) (WebhookEndpointSecret, error) {
	var e WebhookEndpointSecret
	err := c.call(ctx, http.MethodPost, webhooksPath, NewWebhookEndpoint{URL: target}, &e)
	return e, err
}

// WebhookEndpoints returns all receivers.
func (c *Client) WebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error) {
	var l WebhookEndpointList
	err := c.call(ctx, http.MethodGet, webhooksPath, nil, &l)
	return l.Items, err
}

// WebhookDeliveries returns the last attempts to a receiver, newest first.
func (c *Client) WebhookDeliveries(ctx context.Context, id string) ([]WebhookDelivery, error) {
	var l WebhookDeliveryList
	err := c.call(ctx, http.MethodGet, webhooksPath+"/"+url.PathEscape(id)+"/deliveries", nil, &l)
	return l.Items, err
}

// EnableWebhookEndpoint lets a receiver go on where it was, at once.
func (c *Client) EnableWebhookEndpoint(ctx context.Context, id string) (WebhookEndpoint, error) {
	var e WebhookEndpoint
	err := c.call(ctx, http.MethodPost, webhooksPath+"/"+url.PathEscape(id)+"/enable", nil, &e)
	return e, err
}

// RotateWebhookSecret gives a receiver a new secret. For the overlap the present one signs too.
func (c *Client) RotateWebhookSecret(ctx context.Context, id string, overlap time.Duration) (WebhookEndpointSecret, error) {
	var e WebhookEndpointSecret
	err := c.call(ctx, http.MethodPost, webhooksPath+"/"+url.PathEscape(id)+"/rotate", rotation(overlap), &e)
	return e, err
}

// DeleteWebhookEndpoint ends a receiver.
func (c *Client) DeleteWebhookEndpoint(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, webhooksPath+"/"+url.PathEscape(id), nil, nil)
}
