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

type (
	// Scope is what a key may do.
	Scope = api.Scope
	// Kind is how a key is shown.
	Kind = api.KeyKind
	// Key is what may be seen of a key.
	Key = api.Key
	// New is a key to be made.
	New = api.NewKey
)

// The scopes and kinds.
const (
	ScopeRead    = api.ScopeRead
	ScopeOperate = api.ScopeOperate
	ScopeAdmin   = api.ScopeAdmin

	KindBearer  = api.KeyBearer
	KindSigning = api.KeySigning
)

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

func check(n New, now time.Time) error {
	printable := !slices.ContainsFunc([]rune(n.Name), func(r rune) bool { return !unicode.IsPrint(r) })
	switch {
	case n.ID != "" && (!idForm.MatchString(n.ID) || n.ID == AdminID):
		return &InvalidError{"id", "is 1 to 32 small letters, digits and hyphens, and not " + AdminID}
	case utf8.RuneCountInString(n.Name) > maxName || !utf8.ValidString(n.Name) || !printable:
		return &InvalidError{"name", fmt.Sprintf("is at most %d printable characters", maxName)}
	case n.Kind != KindBearer && n.Kind != KindSigning:
		return &InvalidError{"kind", "is bearer or signing"}
	case !slices.Contains(api.Scopes, n.Scope):
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
		Type: api.TypeForbidden, Title: http.StatusText(http.StatusForbidden), Status: http.StatusForbidden,
		Detail: fmt.Sprintf("The key %s has the scope %s; this needs %s.", p.KeyID, p.Scope, needed), Next: "Use a key with that scope.",
	}
}
