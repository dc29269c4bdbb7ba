package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
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

// secret is one secret: the SHA-256 of a bearer key, or a signing key sealed with AES-256-GCM (12 bytes
// of nonce, then the text under the key's id as associated data).
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

// sealer seals the secrets of signing keys.
type sealer struct{ aead cipher.AEAD }

// minMaster is the shortest master key in bytes.
const minMaster = 32

func newSealer(master []byte) (sealer, error) {
	if len(master) < minMaster {
		return sealer{}, fmt.Errorf("the key that seals API keys is shorter than %d bytes", minMaster)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "vmline api keys", sha256.Size)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealer{aead}, err
}

// keep makes what is stored of a secret's text.
func (s sealer) keep(kind Kind, id, text string, now time.Time) secret {
	if kind == KindBearer {
		sum := sha256.Sum256([]byte(text))
		return secret{Hash: sum[:], CreatedAt: now}
	}
	nonce := random(s.aead.NonceSize())
	return secret{Sealed: s.aead.Seal(nonce, nonce, []byte(text), []byte(id)), CreatedAt: now}
}

// open returns the text of a sealed secret.
func (s sealer) open(id string, sealed []byte) ([]byte, error) {
	size := s.aead.NonceSize()
	if len(sealed) < size {
		return nil, errors.New("the sealed secret is cut off")
	}
	text, err := s.aead.Open(nil, sealed[:size], sealed[size:], []byte(id))
	if err != nil {
		return nil, errors.New("the secret was sealed with another key, or for another id")
	}
	return text, nil
}
