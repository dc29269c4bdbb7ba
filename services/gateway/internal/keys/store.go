package keys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/sealing"
)

// maxKeys bounds how many keys an installation has.
const maxKeys = 1000

// Store makes, lists, rotates and revokes keys. Its methods are safe for concurrent use.
type Store struct {
	bus *bus.Bus
	box sealing.Box
}

// NewStore returns the store in the bucket KEY. Master is a secret of at least 32 bytes that all
// gateways of the installation share, for example the digest key; the key that seals is derived from
// it. Without it the signing keys in a copy of the bucket are of no use.
func NewStore(b *bus.Bus, master []byte) (*Store, error) {
	box, err := sealing.New(master, "api keys")
	if err != nil {
		return nil, err
	}
	return &Store{bus: b, box: box}, nil
}

// Create makes a key and returns it with its secret, which is never shown again. The whole text is the
// secret: what Authorization carries, or the bytes that HMAC is keyed with. Errors: *InvalidError,
// ErrTaken, ErrTooMany, or the bus's.
func (s *Store) Create(ctx context.Context, n New) (Key, string, error) {
	now := s.now()
	if err := check(n, now); err != nil {
		return Key{}, "", err
	}
	present, err := s.List(ctx)
	if err != nil {
		return Key{}, "", err
	}
	if len(present) >= maxKeys {
		return Key{}, "", ErrTooMany
	}
	bucket, err := s.bus.Bucket(ctx, bus.BucketKEY)
	if err != nil {
		return Key{}, "", err
	}
	k := Key{ID: cmp.Or(n.ID, newID()), Name: n.Name, Kind: n.Kind, Scope: n.Scope, CreatedAt: now, ExpiresAt: n.ExpiresAt.UTC()}
	text := newSecret()
	r := record{Version: recordVersion, Key: k, Secrets: []secret{keep(s.box, k.Kind, k.ID, text, now)}}
	if err := bucket.CreateJSON(ctx, k.ID, r); err != nil {
		if errors.Is(err, bus.ErrTaken) {
			return Key{}, "", ErrTaken
		}
		return Key{}, "", err
	}
	return k, text, nil
}

// List returns the keys in the order of their ids. A record that cannot be read is left out.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	bucket, err := s.bus.Bucket(ctx, bus.BucketKEY)
	if err != nil {
		return nil, err
	}
	list := []Key{}
	err = bucket.Each(ctx, ">", func(i bus.Item) error {
		var r record
		if json.Unmarshal(i.Value, &r) == nil && r.check() == nil {
			list = append(list, r.public(s.now()))
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return list, err
}

// Rotate gives a key a new secret and returns it. The present one stays valid for the overlap, one
// from an earlier rotation ends at once. Errors: ErrNotFound, or the bus's; after the latter the list
// of keys tells whether it happened.
func (s *Store) Rotate(ctx context.Context, id string, overlap time.Duration) (Key, string, error) {
	text, now := newSecret(), s.now()
	var fresh secret
	r, err := s.change(ctx, id, func(r *record) bool {
		if fresh.CreatedAt.IsZero() {
			fresh = keep(s.box, r.Kind, id, text, now)
		}
		if r.Secrets[len(r.Secrets)-1].equal(fresh) {
			return false // stored by the attempt before, whose answer was lost
		}
		r.rotate(fresh, now.Add(max(overlap, 0)))
		return true
	})
	if err != nil {
		return Key{}, "", err
	}
	return r.public(now), text, nil
}

// Revoke ends a key for good. Errors: ErrNotFound, or the bus's.
func (s *Store) Revoke(ctx context.Context, id string) error {
	return s.attempt(ctx, func(bucket *bus.Bucket) error {
		revision, err := bucket.GetJSON(ctx, id, &record{})
		if err != nil {
			return err
		}
		return bucket.Delete(ctx, id, revision)
	})
}

// used notes that a key was used.
func (s *Store) used(ctx context.Context, id string, at time.Time) error {
	_, err := s.change(ctx, id, func(r *record) bool {
		if at.Sub(r.LastUsedAt) < lastUsedSpan {
			return false
		}
		r.LastUsedAt = at.UTC()
		return true
	})
	return err
}

// change replaces a record behind its revision. edit returns false if there is nothing to change.
func (s *Store) change(ctx context.Context, id string, edit func(*record) bool) (r record, err error) {
	err = s.attempt(ctx, func(bucket *bus.Bucket) error {
		r = record{}
		revision, err := bucket.GetJSON(ctx, id, &r)
		if err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("key %s: %w", id, err)
		}
		if !edit(&r) {
			return nil
		}
		_, err = bucket.UpdateJSON(ctx, id, r, revision)
		return err
	})
	return r, err
}

// attempts of a change. Every one but the last is lost to another writer or to a lost answer.
const attempts = 5

func (s *Store) attempt(ctx context.Context, do func(*bus.Bucket) error) error {
	bucket, err := s.bus.Bucket(ctx, bus.BucketKEY)
	if err != nil {
		return err
	}
	for range attempts {
		err = do(bucket)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, bus.ErrNotFound) {
			return ErrNotFound
		}
	}
	return err
}

func (s *Store) now() time.Time { return s.bus.Now().UTC() }
