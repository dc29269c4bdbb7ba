package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/sealing"
)

// Endpoint is what may be seen of a receiver.
type Endpoint = api.WebhookEndpoint

// recordVersion is the version of the stored format.
const recordVersion = 1

// record is how an endpoint is stored in the bucket WEBHOOK, as JSON.
type record struct {
	Version int `json:"version"`
	Endpoint
	// Sealed is the secret, sealed under the endpoint's id. OldSealed signs too until OldUntil.
	Sealed    []byte    `json:"sealed"`
	OldSealed []byte    `json:"old_sealed,omitempty"`
	OldUntil  time.Time `json:"old_until,omitzero"`
	// Deliveries are the last attempts, oldest first.
	Deliveries []api.WebhookDelivery `json:"deliveries,omitempty"`
}

func (r *record) check() error {
	if r.Version != recordVersion {
		return fmt.Errorf("the record has version %d, this program reads %d", r.Version, recordVersion)
	}
	return nil
}

// Errors of the registry.
var (
	ErrNotFound = errors.New("there is no webhook endpoint with this id")
	ErrTooMany  = errors.New("there are too many webhook endpoints; delete some that are no longer used")
)

// URLError says what is wrong with an endpoint's URL.
type URLError struct{ Err error }

func (e *URLError) Error() string { return "the endpoint's URL cannot be used: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *URLError) Unwrap() error { return e.Err }

// maxEndpoints bounds how many endpoints an installation has.
const maxEndpoints = 50

// Registry holds the endpoints. Its methods are safe for concurrent use.
type Registry struct {
	bus   *bus.Bus
	box   sealing.Box
	guard Guard
}

// NewRegistry returns the registry in the bucket WEBHOOK. Master is the secret of the installation as
// for the keys.
func NewRegistry(b *bus.Bus, master []byte, guard Guard) (*Registry, error) {
	box, err := sealing.New(master, "webhooks")
	if err != nil {
		return nil, err
	}
	return &Registry{bus: b, box: box, guard: guard}, nil
}

// Create makes an endpoint, which is told of what comes after a sequence of the event feed. It returns
// the secret, which is never shown again. Errors: *URLError, ErrTooMany, or the bus's.
func (g *Registry) Create(ctx context.Context, url string, after uint64) (Endpoint, string, error) {
	if err := g.guard.check(url); err != nil {
		return Endpoint{}, "", &URLError{err}
	}
	present, err := g.List(ctx)
	if err != nil {
		return Endpoint{}, "", err
	}
	if len(present) >= maxEndpoints {
		return Endpoint{}, "", ErrTooMany
	}
	bucket, err := g.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err != nil {
		return Endpoint{}, "", err
	}
	const idSize = 8
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // it never fails
	secret := newSecret()
	r := record{Version: recordVersion, Endpoint: Endpoint{ID: fmt.Sprintf("wh-%x", id), URL: url, CreatedAt: g.bus.Now().UTC(), Position: after}}
	r.Sealed = g.box.Seal(r.ID, []byte(secret))
	if err := bucket.CreateJSON(ctx, r.ID, r); err != nil {
		return Endpoint{}, "", err
	}
	return r.Endpoint, secret, nil
}

// List returns the endpoints in the order of their ids.
func (g *Registry) List(ctx context.Context) ([]Endpoint, error) {
	bucket, err := g.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err != nil {
		return nil, err
	}
	list := []Endpoint{}
	err = bucket.Each(ctx, ">", func(i bus.Item) error {
		var r record
		if json.Unmarshal(i.Value, &r) == nil && r.check() == nil {
			list = append(list, r.Endpoint)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return list, err
}

// Deliveries returns the last attempts to an endpoint, newest first. Errors: ErrNotFound, or the bus's.
func (g *Registry) Deliveries(ctx context.Context, id string) ([]api.WebhookDelivery, error) {
	r, _, err := g.read(ctx, id)
	slices.Reverse(r.Deliveries)
	return r.Deliveries, err
}

// Delete ends an endpoint. Errors: ErrNotFound, or the bus's.
func (g *Registry) Delete(ctx context.Context, id string) error {
	return g.attempt(ctx, func(bucket *bus.Bucket) error {
		revision, err := bucket.GetJSON(ctx, id, &record{})
		if err != nil {
			return err
		}
		return bucket.Delete(ctx, id, revision)
	})
}

// Enable lets an endpoint go on where it was, at once.
func (g *Registry) Enable(ctx context.Context, id string) (Endpoint, error) {
	r, err := g.change(ctx, id, func(r *record) {
		r.Disabled, r.Attempts, r.NotBefore = "", 0, time.Time{}
	})
	return r.Endpoint, err
}

// Rotate gives an endpoint a new secret. For the overlap the present one signs too.
func (g *Registry) Rotate(ctx context.Context, id string, overlap time.Duration) (Endpoint, string, error) {
	secret := newSecret()
	sealed, until := g.box.Seal(id, []byte(secret)), g.bus.Now().Add(overlap).UTC()
	r, err := g.change(ctx, id, func(r *record) {
		if string(r.Sealed) != string(sealed) { // not stored by an attempt before, whose answer was lost
			r.OldSealed, r.OldUntil, r.Sealed = r.Sealed, until, sealed
		}
	})
	return r.Endpoint, secret, err
}

// secrets are those that sign now.
func (g *Registry) secrets(r *record) ([]string, error) {
	sealed := [][]byte{r.Sealed}
	if g.bus.Now().Before(r.OldUntil) {
		sealed = append(sealed, r.OldSealed)
	}
	var list []string
	for _, s := range sealed {
		secret, err := g.box.Open(r.ID, s)
		if err != nil {
			return nil, fmt.Errorf("webhook endpoint %s: %w", r.ID, err)
		}
		list = append(list, string(secret))
	}
	return list, nil
}

// read returns an endpoint's record and its revision.
func (g *Registry) read(ctx context.Context, id string) (r record, revision uint64, err error) {
	bucket, err := g.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err != nil {
		return r, 0, err
	}
	revision, err = bucket.GetJSON(ctx, id, &r)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return r, 0, ErrNotFound
	case err != nil:
		return r, 0, err
	}
	return r, revision, r.check()
}

// write replaces a record behind its revision.
func (g *Registry) write(ctx context.Context, r record, revision uint64) error {
	bucket, err := g.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err == nil {
		_, err = bucket.UpdateJSON(ctx, r.ID, r, revision)
	}
	return err
}

// change edits a record until it is stored. edit may run more than once.
func (g *Registry) change(ctx context.Context, id string, edit func(*record)) (r record, err error) {
	err = g.attempt(ctx, func(*bus.Bucket) error {
		var revision uint64
		if r, revision, err = g.read(ctx, id); err != nil {
			return err
		}
		edit(&r)
		return g.write(ctx, r, revision)
	})
	return r, err
}

// attempts of a change. Every one but the last is lost to another writer or to a lost answer.
const attempts = 5

func (g *Registry) attempt(ctx context.Context, do func(*bus.Bucket) error) error {
	bucket, err := g.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err != nil {
		return err
	}
	for range attempts {
		err = do(bucket)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, bus.ErrNotFound), errors.Is(err, ErrNotFound):
			return ErrNotFound
		}
	}
	return err
}
