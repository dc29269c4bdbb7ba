package keys

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/vmline/vmline/services/gateway/internal/sealing"
)

// recordVersion is the version of the stored format. A record of another version is not read.
const recordVersion = 1

// record is how a key is stored in the bucket KEY, as JSON.
type record struct {
	Version int `json:"version"`
	Key
	// Secrets are the one or two of the key, newest last.
	Secrets []secret `json:"secrets"`
}

// secret is one secret: the SHA-256 of a bearer key, or a signing key sealed under the key's
// id.
type secret struct {
	Hash      []byte    `json:"hash,omitempty"`
	Sealed    []byte    `json:"sealed,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

func (s secret) equal(t secret) bool {
	return bytes.Equal(s.Hash, t.Hash) && bytes.Equal(s.Sealed, t.Sealed)
}

// expired says whether a time of expiry, zero for none, has come.
func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// rotate makes s the key's secret. The one before it stays valid until then; an older one goes.
func (r *record) rotate(s secret, until time.Time) {
	old := r.Secrets[len(r.Secrets)-1]
	old.ExpiresAt = until
	r.Secrets = []secret{old, s}
}

// public is what may be seen of the record.
func (r *record) public(now time.Time) Key {
	k := r.Key
	if len(r.Secrets) > 1 && !expired(r.Secrets[0].ExpiresAt, now) {
		k.OldSecretUntil = r.Secrets[0].ExpiresAt
	}
	return k
}

func (r *record) check() error {
	if r.Version != recordVersion {
		return fmt.Errorf("the record has version %d, this program reads %d", r.Version, recordVersion)
	}
	if len(r.Secrets) == 0 {
		return errors.New("the record has no secret")
	}
	return nil
}

// keep makes what is stored of a secret's text.
func keep(box sealing.Box, kind Kind, id, text string, now time.Time) secret {
	if kind == KindBearer {
		sum := sha256.Sum256([]byte(text))
		return secret{Hash: sum[:], CreatedAt: now}
	}
	return secret{Sealed: box.Seal(id, []byte(text)), CreatedAt: now}
}
