package sealing

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func box(t *testing.T, master byte, purpose string) Box {
	t.Helper()
	b, err := New(bytes.Repeat([]byte{master}, MinMaster), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpensWhereItWasSealedAlone(t *testing.T) {
	ours := box(t, 'm', "p")
	others := []Box{box(t, 'o', "p"), box(t, 'm', "q")}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		sealed := ours.Seal("a", secret)
		if got, err := ours.Open("a", sealed); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("got %q, %v", got, err)
		}
		if bytes.Equal(sealed, ours.Seal("a", secret)) || len(secret) > 3 && bytes.Contains(sealed, secret) {
			t.Fatal("the sealed form tells something")
		}
		if _, err := ours.Open("b", sealed); err == nil {
			t.Fatal("opened under another name")
		}
		for _, o := range others {
			if _, err := o.Open("a", sealed); err == nil {
				t.Fatal("opened with another key")
			}
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "changed")] ^= 1
		if _, err := ours.Open("a", sealed); err == nil {
			t.Fatal("opened though it was changed")
		}
	})
	if _, err := ours.Open("a", []byte("short")); err == nil {
		t.Error("opened though it was cut off")
	}
	if _, err := New([]byte("short"), "p"); err == nil {
		t.Error("a short master was taken")
	}
}
