// Package signature verifies and makes HTTP Message Signatures (RFC 9421) in the one profile that the
// gateway accepts. It binds method, authority, path, query, body, time and a nonce to a shared secret,
// so that a request that was listened to cannot be replayed or sent elsewhere.
//
//	Content-Digest: sha-256=:<base64>:
//	Signature-Input: sig1=("@method" "@authority" "@path" "@query" "content-digest" "content-type" "idempotency-key");created=<seconds>;keyid="<key id>";alg="hmac-sha256";nonce="<24 hex digits>"
//	Signature: sig1=:<base64>:
//
// A request without a body covers the first four components only; if it has an Idempotency-Key, it
// covers that as the fifth. @query is "?" where there is none. The label is free; there is one
// signature, and the parameters may stand in any order. Of every header that is covered there is one.
//
// Whatever is refused is an *api.Problem whose type is one of this package's constants.
package signature

import (
	"net/http"

	"github.com/vmline/vmline/pkg/api"
)

// The types of problems with a signed request. They are stable.
const (
	TypeMissing          = "urn:vmline:problem:signature-missing"
	TypeMalformed        = "urn:vmline:problem:signature-malformed"
	TypeDuplicatedHeader = "urn:vmline:problem:signature-duplicated-header"
	TypeComponents       = "urn:vmline:problem:signature-components"
	TypeAlgorithm        = "urn:vmline:problem:signature-algorithm"
	TypeUnknownKey       = "urn:vmline:problem:signature-unknown-key"
	TypeTooOld           = "urn:vmline:problem:signature-too-old"
	TypeTooEarly         = "urn:vmline:problem:signature-too-early"
	TypeMismatch         = "urn:vmline:problem:signature-mismatch"
	TypeDigestMalformed  = "urn:vmline:problem:content-digest-malformed"
	TypeDigestMismatch   = "urn:vmline:problem:content-digest-mismatch"
	TypeReplayed         = "urn:vmline:problem:signature-replayed"
	TypeBodyCut          = "urn:vmline:problem:body-cut"
)

func refuse(typ, detail, next string) *api.Problem {
	return &api.Problem{
		Type: typ, Title: "The signature was not accepted", Status: http.StatusUnauthorized, Detail: detail, Next: next,
	}
}

// Signed says whether a request claims to be signed; every other one shows a bearer token or nothing.
func Signed(r *http.Request) bool {
	return r.Header.Get(headerInput) != "" || r.Header.Get(headerSignature) != ""
}
