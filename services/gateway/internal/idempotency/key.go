// Package idempotency makes a repeated request the operation that it was the first time.
//
// The rule: a key id, an Idempotency-Key, a ref and an action ARE an operation. Its id is computed from
// these four with the installation's digest key, and nothing has to be remembered for that: whatever is
// lost, the same request names the same operation, the command stream drops the second command of an
// id, and lifecycle admits none twice. So no answer is stored either: a repetition is answered with the
// operation as it stands now. For the same reason a request is never "still outstanding".
//
// What has to be remembered is the payload, to refuse a key that is used again for something else (422).
// Redis keeps its digest for 24 hours. Redis is only a cache: where it has nothing, or is away, the
// caller's `stored` is asked, which knows the digests of the requests of the operations in the VM's log. If that knows
// none either, the request passes; the worst is that a client which uses a key twice for different
// things is answered with the operation of its first request instead of with a 422. Nothing is ever
// done twice, and the second payload is never done under the first one's id.
//
// A key counts for the one who shows it, and for one VM and action: the same text means another
// operation elsewhere.
package idempotency

import (
	"net/http"
	"strings"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

// The types of problems.
const (
	TypeMissing   = "urn:vmline:problem:idempotency-key-missing"
	TypeMalformed = "urn:vmline:problem:idempotency-key-malformed"
	TypeReused    = "urn:vmline:problem:idempotency-key-reused"
)

// maxKey is the longest key in characters, without its quotes.
const maxKey = 255

// Parse reads the header Idempotency-Key: a string in quotes, as the draft has it, or bare. Both forms
// are the same key. It returns an empty key where there is no header, or an *api.Problem.
func Parse(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	strange := func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }
	if len(values) > 1 || key == "" || len(key) > maxKey || strings.ContainsFunc(key, strange) {
		return "", &api.Problem{
			Type: TypeMalformed, Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest,
			Detail: "Idempotency-Key is not one text of 1 to 255 printable ASCII characters without quotes and backslashes inside.",
			Next:   `Send for example Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324".`,
		}
	}
	return key, nil
}

// Require is Parse for a request that must have a key.
func Require(h http.Header) (string, error) {
	key, err := Parse(h)
	if err == nil && key == "" {
		return "", &api.Problem{
			Type: TypeMissing, Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest,
			Detail: "The request has no Idempotency-Key.", Next: "Send a new one with each order, and the same one when you repeat it.",
		}
	}
	return key, err
}

// Call is what makes an operation.
type Call struct {
	// KeyID is whose request it is: the id of the API key.
	KeyID string
	// Key is the Idempotency-Key.
	Key string
	Ref string
	// Action is the kind of operation that the caller asks for.
	Action vmlinev1.Operation_Kind
}

// OperationID of a call. The key is the installation's digest key.
func (c Call) OperationID(key identity.Key) string {
	return key.ID(c.Ref, "idempotency", c.KeyID, c.Key, c.Ref, chain.KindName(c.Action))
}
