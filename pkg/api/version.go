package api

import (
	"context"
	"net/http"
	"time"
)

// Version is what a gateway says of itself and of who asks.
type Version struct {
	Version string `json:"version"`
	// Time is the gateway's clock; signatures are held against it.
	Time time.Time `json:"time" doc:"The gateway's clock. Signatures are held against it."`
	// Fingerprint of the TLS certificate, empty without TLS.
	Fingerprint string `json:"certificate_fingerprint,omitempty" doc:"SHA-256 of the TLS certificate, for clients that pin it."`
	// KeyID and Scope are those of the key that was shown.
	KeyID string `json:"key_id" doc:"The key that this request was made with."`
	Scope Scope  `json:"scope" enum:"read,operate,admin"`
}

// GetVersion returns what the gateway is. It needs any valid key.
func (c *Client) GetVersion(ctx context.Context) (Version, error) {
	var v Version
	err := c.call(ctx, http.MethodGet, "/v1/version", nil, &v)
	return v, err
}
