package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Scope is what a key may do. Each includes the ones before it.
type Scope string

// The scopes.
const (
	// ScopeRead: look at everything.
	ScopeRead Scope = "read"
	// ScopeOperate: give every command to VMs.
	ScopeOperate Scope = "operate"
	// ScopeAdmin: manage keys, webhooks and dead letters.
	ScopeAdmin Scope = "admin"
)

// Scopes are all of them, the smallest first.
var Scopes = []Scope{ScopeRead, ScopeOperate, ScopeAdmin}

// Includes says whether a key with this scope may do what needs the other.
func (s Scope) Includes(needed Scope) bool {
	return slices.Contains(Scopes, needed) && slices.Index(Scopes, s) >= slices.Index(Scopes, needed)
}

// KeyKind is how a key is shown.
type KeyKind string

// The kinds.
const (
	// KeyBearer is shown as a bearer token.
	KeyBearer KeyKind = "bearer"
	// KeySigning signs requests (RFC 9421, hmac-sha256); it is never sent.
	KeySigning KeyKind = "signing"
)

// Key is what may be seen of a key.
type Key struct {
	ID    string  `json:"id"`
	Name  string  `json:"name,omitempty"`
	Kind  KeyKind `json:"kind" enum:"bearer,signing"`
	Scope Scope   `json:"scope" enum:"read,operate,admin"`
	// CreatedAt and the times below are UTC.
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Left out: never."`
	// LastUsedAt is some minutes behind.
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"Some minutes behind."`
	// OldSecretUntil is when the secret from before the last rotation runs out.
	OldSecretUntil time.Time `json:"old_secret_until,omitzero" doc:"When the secret from before the last rotation runs out."`
}

// NewKey is a key to be made.
type NewKey struct {
	// ID is what a signature names; empty means that one is made.
	ID    string  `json:"id,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"1 to 32 small letters, digits and hyphens" doc:"What a signature names, and what requested_by shows. Left out: one is made."`
	Name  string  `json:"name,omitempty" maxLength:"64" doc:"For people."`
	Kind  KeyKind `json:"kind" enum:"bearer,signing"`
	Scope Scope   `json:"scope" enum:"read,operate,admin"`
	// ExpiresAt is when it ends; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Left out: never."`
}

// KeySecret is a key with its secret, which is shown this once.
type KeySecret struct {
	Key    Key    `json:"key"`
	Secret string `json:"secret" doc:"Shown this once: the bearer token, or the bytes that HMAC is keyed with."`
}

// Rotation says how long the present secret stays valid beside the new one.
type Rotation struct {
	// OverlapSeconds left out means a day.
	OverlapSeconds *int `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the present secret stays valid beside the new one. Left out: a day."`
}

// KeyList is all keys in the order of their ids.
type KeyList struct {
	Items []Key `json:"items" nullable:"false"`
}

// CreateKey makes a key. It needs the scope admin, as the calls below do.
func (c *Client) CreateKey(ctx context.Context, n NewKey) (KeySecret, error) {
	var k KeySecret
	err := c.call(ctx, http.MethodPost, "/v1/keys", n, &k)
	return k, err
}

// ListKeys returns all keys, without their secrets.
func (c *Client) ListKeys(ctx context.Context) ([]Key, error) {
	var l KeyList
	err := c.call(ctx, http.MethodGet, "/v1/keys", nil, &l)
	return l.Items, err
}

// RotateKey gives a key a new secret. The present one stays valid for the overlap.
func (c *Client) RotateKey(ctx context.Context, id string, overlap time.Duration) (KeySecret, error) {
	var k KeySecret
	err := c.call(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(id)+"/rotate", rotation(overlap), &k)
	return k, err
}

func rotation(overlap time.Duration) Rotation {
	seconds := int(overlap / time.Second)
	return Rotation{OverlapSeconds: &seconds}
}

// RevokeKey ends a key for good.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil, nil)
}
