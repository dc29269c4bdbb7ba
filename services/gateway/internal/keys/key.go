// Package keys holds the API keys of people, programs and WHMCS installations.
//
// A bearer key is shown with every request; only its SHA-256 is stored. A signing key is a shared
// secret for the signatures of package signature; it is stored sealed, because its text is needed. Both
// have 256 random bits. While a key is rotated it has two secrets, of which the older one runs out.
//
// The bucket KEY holds the truth, one JSON record a key. Every gateway keeps a copy in memory that
// follows the bucket, so a request costs no look-up, and a revocation holds everywhere as soon as NATS
// has told, which takes well under a second. A gateway that has lost NATS goes on with its copy.
package keys

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vmline/vmline/pkg/api"
)

// Scope is what a key may do. Each includes the ones before it.
type Scope string

// The scopes.
const (
	// ScopeRead: look at everything.
	ScopeRead Scope = "read"
	// ScopeOperate: order, change and terminate VMs.
	ScopeOperate Scope = "operate"
	// ScopeAdmin: manage keys, webhooks and dead letters.
	ScopeAdmin Scope = "admin"
)

var scopes = []Scope{ScopeRead, ScopeOperate, ScopeAdmin}

// Includes says whether a key with this scope may do what needs the other.
func (s Scope) Includes(needed Scope) bool {
	return slices.Contains(scopes, needed) && slices.Index(scopes, s) >= slices.Index(scopes, needed)
}

// Kind is how a key is shown.
type Kind string

// The kinds.
const (
	KindBearer  Kind = "bearer"
	KindSigning Kind = "signing"
)

// Key is what may be seen of a key.
type Key struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Kind  Kind   `json:"kind" enum:"bearer,signing"`
	Scope Scope  `json:"scope" enum:"read,operate,admin"`
	// CreatedAt and the times below are UTC.
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Left out: never."`
	// LastUsedAt is some minutes behind.
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"Some minutes behind."`
	// OldSecretUntil is when the secret from before the last rotation runs out.
	OldSecretUntil time.Time `json:"old_secret_until,omitzero"`
}

// New is a key to be made.
type New struct {
	// ID is what a signature names; empty means that one is made.
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty" doc:"For people."`
	Kind  Kind   `json:"kind" enum:"bearer,signing"`
	Scope Scope  `json:"scope" enum:"read,operate,admin"`
	// ExpiresAt is when it ends; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Errors of the store.
var (
	ErrNotFound = errors.New("there is no key with this id")
	ErrTaken    = errors.New("there is a key with this id already")
	ErrTooMany  = errors.New("there are too many keys; revoke some that are no longer used")
)

// InvalidError says what is wrong with one field of a New.
type InvalidError struct{ Field, Message string }

func (e *InvalidError) Error() string { return e.Field + ": " + e.Message }

// AdminID is the id under which the installation's own token is known.
const AdminID = "admin"

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// maxName is the longest name in characters.
const maxName = 64

func (n New) check(now time.Time) error {
	printable := !slices.ContainsFunc([]rune(n.Name), func(r rune) bool { return !unicode.IsPrint(r) })
	switch {
	case n.ID != "" && (!idForm.MatchString(n.ID) || n.ID == AdminID):
		return &InvalidError{"id", "is 1 to 32 small letters, digits and hyphens, and not " + AdminID}
	case utf8.RuneCountInString(n.Name) > maxName || !utf8.ValidString(n.Name) || !printable:
		return &InvalidError{"name", fmt.Sprintf("is at most %d printable characters", maxName)}
	case n.Kind != KindBearer && n.Kind != KindSigning:
		return &InvalidError{"kind", "is bearer or signing"}
	case !slices.Contains(scopes, n.Scope):
		return &InvalidError{"scope", "is read, operate or admin"}
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return &InvalidError{"expires_at", "is not in the future"}
	}
	return nil
}

// Prefix starts every secret, so that secret scanners know one when they see it.
const Prefix = "vml_"

const (
	secretSize = 32 // bytes: 256 bit
	idSize     = 6  // bytes
)

func newSecret() string { return Prefix + base64.RawURLEncoding.EncodeToString(random(secretSize)) }

func newID() string { return fmt.Sprintf("k-%x", random(idSize)) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// TypeForbidden is the type of the problem of a key whose scope does not reach.
const TypeForbidden = "urn:vmline:problem:forbidden"

// Principal is who made a request.
type Principal struct {
	KeyID string
	Name  string
	Scope Scope
	// Signed says that the request was signed; it then has an Idempotency-Key.
	Signed bool
}

// May returns the *api.Problem of a principal whose scope does not include the needed one.
func (p Principal) May(needed Scope) error {
	if p.Scope.Includes(needed) {
		return nil
	}
	return &api.Problem{
		Type: TypeForbidden, Title: http.StatusText(http.StatusForbidden), Status: http.StatusForbidden,
		Detail: fmt.Sprintf("The key %s has the scope %s; this needs %s.", p.KeyID, p.Scope, needed), Next: "Use a key with that scope.",
	}
}
