// Package identity makes the names by which equal orders are known as one: the digest of a package
// and the id of an operation. Both are keyed, so that neither tells anything about the secrets in a
// package.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Key makes digests and ids. Every gateway of an installation has the same one.
type Key []byte

// Command is what an operation's id is made of.
type Command struct {
	Ref  string
	Kind vmlinev1.Operation_Kind
	// After is the id of the VM's last operation, empty for none.
	After string
	// Digest of the package; empty where the command has none.
	Digest []byte
	// Attempt sets a repetition apart whose id was refused before; empty for the first one.
	Attempt string
}

// An id is <ref>.<name of the command>; nameSize is in bytes.
const nameSize = 15

var encoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// Digest of a package with its secrets, in the canonical form that Go's encoder gives a struct.
func (k Key) Digest(p *api.Package) ([]byte, error) { return k.digest("package", p) }

// ActionDigest is the digest of a whole action with its secrets.
func (k Key) ActionDigest(a *api.Action) ([]byte, error) { return k.digest("action", a) }

func (k Key) digest(what string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return k.mac(what, string(data)), nil
}

// OperationID of a command: equal commands on the same state of a VM have the same id.
func (k Key) OperationID(c Command) string {
	return k.ID(c.Ref, "operation", c.Ref, chain.KindName(c.Kind), c.After, string(c.Digest), c.Attempt)
}

// ID of an operation on a ref, made of texts of which the first says what the others are.
func (k Key) ID(ref string, texts ...string) string {
	return ref + "." + strings.ToLower(encoding.EncodeToString(k.mac(texts...)[:nameSize]))
}

// Ref is the part of an operation's id that names the VM, empty if id is none.
func Ref(id string) string {
	return id[:max(strings.LastIndexByte(id, '.'), 0)]
}

// mac authenticates a list of texts. Each goes in with its length, so that no two lists are alike.
func (k Key) mac(texts ...string) []byte {
	h := hmac.New(sha256.New, k)
	for _, t := range texts {
		h.Write(binary.AppendUvarint(nil, uint64(len(t))))
		h.Write([]byte(t))
	}
	return h.Sum(nil)
}
