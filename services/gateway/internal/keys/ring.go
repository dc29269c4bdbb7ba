package keys

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/secrets"
)

// Ring is the copy of all keys in memory. Run keeps it; the other methods may be called at any time.
type Ring struct {
	store *Store
	admin string
	log   *slog.Logger

	mu sync.RWMutex
	// keys is nil until the bucket was read once.
	keys *copied
	// uses are the times of use that were not stored yet.
	uses map[string]time.Time
	// ready is closed once keys is there.
	ready chan struct{}
}

// copied is what a request is held against.
type copied struct {
	byID map[string]*live
	// byHash finds a bearer key. The hash of 256 random bits tells nothing by the time of its look-up.
	byHash map[[sha256.Size]byte]*live
}

// live is one key with its secrets opened.
type live struct {
	record
	texts [][]byte // of a signing key, one for each of Secrets
}

// NewRing returns a ring that knows only the installation's own token, which has every scope. Empty
// means that there is none.
func NewRing(store *Store, adminToken string, log *slog.Logger) *Ring {
	return &Ring{store: store, admin: adminToken, log: log, uses: map[string]time.Time{}, ready: make(chan struct{})}
}

// Ready is closed once the keys are known.
func (r *Ring) Ready() <-chan struct{} { return r.ready }

// Bearer returns who shows a bearer token, or an *api.Problem.
func (r *Ring) Bearer(token string) (Principal, error) {
	if secrets.Equal(token, r.admin) {
		return Principal{KeyID: AdminID, Name: AdminID, Scope: ScopeAdmin}, nil
	}
	now := r.store.now()
	sum := sha256.Sum256([]byte(token))
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.keys == nil {
		return Principal{}, errNotYet
	}
	k := r.keys.byHash[sum]
	if k == nil || expired(k.ExpiresAt, now) {
		return Principal{}, errBearer
	}
	for _, s := range k.Secrets {
		if [sha256.Size]byte(s.Hash) == sum && !expired(s.ExpiresAt, now) {
			return k.principal(), nil
		}
	}
	return Principal{}, errBearer
}

// Secrets are the valid secrets of a signing key, none if the key is unknown or has expired. It is for
// signature.Verifier.
func (r *Ring) Secrets(id string) ([][]byte, error) {
	now := r.store.now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.keys == nil {
		return nil, errNotYet
	}
	k := r.keys.byID[id]
	if k == nil || k.Kind != KindSigning || expired(k.ExpiresAt, now) {
		return nil, nil
	}
	var valid [][]byte
	for i, s := range k.Secrets {
		if !expired(s.ExpiresAt, now) {
			valid = append(valid, k.texts[i])
		}
	}
	return valid, nil
}

// signer is who signed with a key of Secrets.
func (r *Ring) signer(id string) (Principal, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.keys == nil || r.keys.byID[id] == nil {
		return Principal{}, errBearer // revoked since its secrets were given out
	}
	p := r.keys.byID[id].principal()
	p.Signed = true
	return p, nil
}

func (k *live) principal() Principal { return Principal{KeyID: k.ID, Name: k.Name, Scope: k.Scope} }

var (
	errBearer = &api.Problem{
		Type: api.TypeUnauthenticated, Title: http.StatusText(http.StatusUnauthorized), Status: http.StatusUnauthorized,
		Detail: "The key is missing, wrong, expired or revoked.", Next: "Show a valid one.",
	}
	errNotYet = &api.Problem{
		Type: api.TypeBrokerUnavailable, Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable,
		Detail: "The gateway does not know the keys yet, because NATS did not answer.", Next: "Send the request again.",
	}
)

const (
	// lastUsedSpan is how far LastUsedAt may be behind, so that use does not make writes.
	lastUsedSpan  = 5 * time.Minute
	lastUsedEvery = time.Minute
	// watchPause is between two attempts to follow the bucket.
	watchPause = 200 * time.Millisecond
)

// Run follows the bucket and notes when keys were used, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	var noting sync.WaitGroup
	noting.Go(func() { every(ctx, lastUsedEvery, func() { r.noteUses(ctx) }) })
	defer noting.Wait()
	every(ctx, watchPause, func() {
		if err := r.follow(ctx); ctx.Err() == nil {
			r.log.Error("the API keys are read again", "error", err)
		}
	})
	return nil
}

// every calls do at once, and again a span after each end, until ctx ends.
func every(ctx context.Context, span time.Duration, do func()) {
	for timer := time.NewTimer(0); ; timer.Reset(span) {
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			do()
		}
	}
}

// follow fills a new copy, puts it in place of the old one, and changes it as the bucket changes.
func (r *Ring) follow(ctx context.Context) error {
	bucket, err := r.store.bus.Bucket(ctx, bus.BucketKEY)
	if err != nil {
		return err
	}
	c := &copied{byID: map[string]*live{}, byHash: map[[sha256.Size]byte]*live{}}
	return bucket.Watch(ctx, ">", func(i bus.Item) error {
		k := r.read(i)
		r.mu.Lock()
		defer r.mu.Unlock()
		c.drop(i.Key)
		if k != nil {
			c.add(k)
		}
		return nil
	}, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.keys == nil {
			close(r.ready)
		}
		r.keys = c
		return nil
	})
}

// read returns nil for what is no valid key: it lets nobody in.
func (r *Ring) read(i bus.Item) *live {
	if i.Deleted {
		return nil
	}
	k := &live{}
	err := json.Unmarshal(i.Value, &k.record)
	if err == nil {
		err = k.check()
	}
	if err == nil && k.ID != i.Key {
		err = errors.New("the record is of another key")
	}
	for _, s := range k.Secrets {
		if k.Kind == KindBearer && len(s.Hash) != sha256.Size {
			err = errors.New("the hash of a secret is cut off")
		}
		if err != nil || k.Kind != KindSigning {
			continue
		}
		var text []byte
		text, err = r.store.box.Open(k.ID, s.Sealed)
		k.texts = append(k.texts, text)
	}
	if err != nil {
		r.log.Error("an API key cannot be used", "key", i.Key, "error", err)
		return nil
	}
	return k
}

func (c *copied) add(k *live) {
	c.byID[k.ID] = k
	if k.Kind != KindBearer {
		return
	}
	for _, s := range k.Secrets {
		c.byHash[[sha256.Size]byte(s.Hash)] = k
	}
}

func (c *copied) drop(id string) {
	for hash, k := range c.byHash {
		if k.ID == id {
			delete(c.byHash, hash)
		}
	}
	delete(c.byID, id)
}

// touch remembers that a key was used now.
func (r *Ring) touch(id string) {
	now := r.store.now()
	r.mu.RLock()
	fresh := r.keys == nil || r.keys.byID[id] == nil || now.Sub(r.keys.byID[id].LastUsedAt) < lastUsedSpan || !r.uses[id].IsZero()
	r.mu.RUnlock()
	if fresh {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses[id] = now
}

// noteUses stores the times of use. What cannot be stored now comes with the next use.
func (r *Ring) noteUses(ctx context.Context) {
	r.mu.Lock()
	uses := r.uses
	r.uses = map[string]time.Time{}
	r.mu.Unlock()
	for id, at := range uses {
		if err := r.store.used(ctx, id, at); err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			r.log.Warn("the last use of a key was not noted", "key", id, "error", err)
		}
	}
}
