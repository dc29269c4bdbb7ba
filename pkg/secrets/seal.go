// Package secrets keeps secrets out of streams and logs: passwords are sealed for the one service
// that needs them, bearer tokens are compared in constant time, and files that hold a secret are
// readable by their owner alone.
package secrets

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/box"
)

// keySize is the size of a key of either kind in bytes (Curve25519).
const keySize = 32

// ErrNotForUs says that a sealed secret was changed, or was sealed for another receiver.
var ErrNotForUs = errors.New("the sealed secret cannot be opened with this key")

// Sealer seals secrets that only the holder of the matching Opener can read. It holds nothing
// secret. The zero value is not usable.
type Sealer struct{ public [keySize]byte }

// Opener opens what its Sealer has sealed. It holds the private key and must not be logged, so it
// prints as a fixed text.
type Opener struct {
	public  [keySize]byte
	private [keySize]byte
}

// GenerateKey makes a new key pair.
func GenerateKey() (Opener, error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return Opener{}, fmt.Errorf("make a sealing key: %w", err)
	}
	return Opener{public: *public, private: *private}, nil
}

// Sealer returns the public half.
func (o Opener) Sealer() Sealer { return Sealer{public: o.public} }

// Open returns the secret, or ErrNotForUs.
func (o Opener) Open(sealed []byte) ([]byte, error) {
	secret, ok := box.OpenAnonymous(nil, sealed, &o.public, &o.private)
	if !ok {
		return nil, ErrNotForUs
	}
	return secret, nil
}

// String hides the key.
func (o Opener) String() string { return "secrets.Opener(hidden)" }

// GoString hides the key.
func (o Opener) GoString() string { return o.String() }

// Seal encrypts a secret for the receiver. Sealing the same secret twice gives different bytes.
func (s Sealer) Seal(secret []byte) ([]byte, error) {
	if s.public == [keySize]byte{} {
		return nil, errors.New("no sealing key")
	}
	sealed, err := box.SealAnonymous(nil, secret, &s.public, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// String is the public key as ParseSealer reads it.
func (s Sealer) String() string { return base64.StdEncoding.EncodeToString(s.public[:]) }

// ParseSealer reads a public key in base64.
func ParseSealer(text string) (Sealer, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return Sealer{}, fmt.Errorf("a sealing key is %d bytes in base64", keySize)
	}
	return Sealer{public: [keySize]byte(key)}, nil
}

// parseOpener makes a key pair of a private key in base64.
func parseOpener(text string) (Opener, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return Opener{}, fmt.Errorf("a private key is %d bytes in base64", keySize)
	}
	private, err := ecdh.X25519().NewPrivateKey(key)
	if err != nil {
		return Opener{}, fmt.Errorf("read the private key: %w", err)
	}
	return Opener{public: [keySize]byte(private.PublicKey().Bytes()), private: [keySize]byte(key)}, nil
}
