// Package sealing keeps secrets that the gateway itself needs again: sealed with AES-256-GCM under a
// key that is derived from a secret of the installation, so that a copy of a bucket tells nothing.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinMaster is the shortest master secret in bytes.
const MinMaster = 32

// Box seals and opens secrets. The zero value is not usable.
type Box struct{ aead cipher.AEAD }

// New returns the box of a purpose. What one purpose has sealed no other can open. All gateways of an
// installation have the same master.
func New(master []byte, purpose string) (Box, error) {
	if len(master) < MinMaster {
		return Box{}, fmt.Errorf("the secret that seals %s is shorter than %d bytes", purpose, MinMaster)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "vmline "+purpose, sha256.Size)
	if err != nil {
		return Box{}, fmt.Errorf("derive the key that seals %s: %w", purpose, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Box{}, fmt.Errorf("seal %s: %w", purpose, err)
	}
	aead, err := cipher.NewGCM(block)
	return Box{aead}, err
}

// Seal returns a random nonce and the sealed secret, which opens under the same name alone.
func (b Box) Seal(name string, secret []byte) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return b.aead.Seal(nonce, nonce, secret, []byte(name))
}

// Open returns the secret that was sealed under a name.
func (b Box) Open(name string, sealed []byte) ([]byte, error) {
	size := b.aead.NonceSize()
	if len(sealed) < size {
		return nil, errors.New("the sealed secret is cut off")
	}
	secret, err := b.aead.Open(nil, sealed[:size], sealed[size:], []byte(name))
	if err != nil {
		return nil, errors.New("the secret was sealed with another key, or under another name")
	}
	return secret, nil
}
