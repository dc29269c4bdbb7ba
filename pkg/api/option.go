package api

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// Option is something that one call says beside its content.
type Option func(*http.Request)

// IdempotencyKey is a key of the client's choice: requests with the same one are one operation.
func IdempotencyKey(key string) Option {
	return func(r *http.Request) { r.Header.Set("Idempotency-Key", strconv.Quote(key)) }
}

// Wait asks for the answer once the operation has ended or is parked, at the latest after this time,
// which the gateway caps at 25 s.
func Wait(d time.Duration) Option {
	return func(r *http.Request) {
		if seconds := int(d / time.Second); seconds > 0 {
			r.Header.Set("Prefer", "wait="+strconv.Itoa(seconds))
		}
	}
}

// For says for whom a program acts, for example admin:3.
func For(actor string) Option {
	return func(r *http.Request) {
		if actor != "" {
			r.Header.Set("Vmline-Actor", actor)
		}
	}
}

func newKey() string {
	const size = 16
	b := make([]byte, size)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
