package secrets

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// TokenPrefix starts every token, so that secret scanners know one when they see it.
const TokenPrefix = "vmline_"

// tokenSize is the randomness of a token in bytes: 256 bit.
const tokenSize = 32

// NewToken returns a new bearer token.
func NewToken() string {
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(random(tokenSize))
}

// Equal compares two secrets in a time that depends on neither their content nor their length. An
// empty secret equals nothing, so that a missing configuration lets nobody in.
func Equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1 && a != "" && b != ""
}
