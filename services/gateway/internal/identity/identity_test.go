package identity

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/api"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var key = Key(strings.Repeat("k", 32))

func TestOperationIDIsPendingOnItsOwnStateAlone(t *testing.T) {
	texts := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	kinds := rapid.SampledFrom([]vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_TERMINATE})
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[a-v0-9]{24}$`)
	rapid.Check(t, func(t *rapid.T) {
		c := Command{
			Ref: texts.Draw(t, "ref"), Kind: kinds.Draw(t, "kind"), After: rapid.String().Draw(t, "after"),
			Digest: rapid.SliceOf(rapid.Byte()).Draw(t, "digest"), Attempt: rapid.String().Draw(t, "attempt"),
		}
		id := key.OperationID(c)
		if !shape.MatchString(id) || Ref(id) != c.Ref {
			t.Fatalf("id %q of ref %q", id, c.Ref)
		}
		if id != key.OperationID(c) {
			t.Fatal("equal commands have different ids")
		}
		if Ref(id) != c.Ref {
			t.Fatalf("the id %s is not of %s", id, c.Ref)
		}
	})
}

func TestEveryPartMakesAnotherID(t *testing.T) {
	base := Command{Ref: "a-1", Kind: vmlinev1.Operation_KIND_CREATE, After: "x", Digest: []byte("d"), Attempt: "1"}
	seen := map[string]string{key.OperationID(base): "the same"}
	for name, change := range map[string]func(*Command){
		"ref": func(c *Command) { c.Ref = "a-2" }, "kind": func(c *Command) { c.Kind = vmlinev1.Operation_KIND_TERMINATE },
		"after": func(c *Command) { c.After = "y" }, "digest": func(c *Command) { c.Digest = []byte("e") },
		"attempt": func(c *Command) { c.Attempt = "2" },
		// A text must not slip from one part into the next.
		"border": func(c *Command) { c.After, c.Digest = "xd", nil },
	} {
		c := base
		change(&c)
		id := key.OperationID(c)
		if other, ok := seen[id]; ok {
			t.Errorf("another %s: the id of %s", name, other)
		}
		seen[id] = name
	}
}

func TestDigest(t *testing.T) {
	digest := func(k Key, password string) []byte {
		d, err := k.Digest(&api.Package{Cores: 2, CloudInit: api.CloudInit{Password: password}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if !bytes.Equal(digest(key, "one"), digest(key, "one")) {
		t.Error("equal packages have different digests")
	}
	if bytes.Equal(digest(key, "one"), digest(key, "two")) {
		t.Error("the password does not count")
	}
	if bytes.Equal(digest(key, "one"), digest(Key(strings.Repeat("o", 32)), "one")) {
		t.Error("the key does not count, so a password could be guessed")
	}
}
