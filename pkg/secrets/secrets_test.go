package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestSealedSecretOpensWithItsKeyAlone(t *testing.T) {
	ours, other := newKey(t), newKey(t)
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		sealed, err := ours.Sealer().Seal(secret)
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) > 3 && bytes.Contains(sealed, secret) {
			t.Fatal("the secret stands in clear")
		}
		if got, err := ours.Open(sealed); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("got %q, %v", got, err)
		}
		if _, err := other.Open(sealed); !errors.Is(err, ErrNotForUs) {
			t.Fatalf("another key: %v", err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "changed")] ^= 1
		if _, err := ours.Open(sealed); !errors.Is(err, ErrNotForUs) {
			t.Fatalf("changed: %v", err)
		}
	})
}

func TestSealingTwiceDiffers(t *testing.T) {
	s := newKey(t).Sealer()
	a, _ := s.Seal([]byte("x"))
	b, _ := s.Seal([]byte("x"))
	if bytes.Equal(a, b) {
		t.Error("equal secrets can be told by their sealed form")
	}
}

func TestZeroSealerSealsNothing(t *testing.T) {
	if _, err := (Sealer{}).Seal([]byte("x")); err == nil {
		t.Error("sealed for a key that anybody can have")
	}
}

func TestSealerAsText(t *testing.T) {
	key := newKey(t)
	s, err := ParseSealer(key.Sealer().String())
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := s.Seal([]byte("x"))
	if got, err := key.Open(sealed); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "AAAA", "not base64"} {
		if _, err := ParseSealer(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestOpenerDoesNotPrint(t *testing.T) {
	key := newKey(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, key); got != "secrets.Opener(hidden)" {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestFilesAreMadeOnceForTheirOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	first, err := LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := LoadOrCreateToken(dir)
	if err != nil || !strings.HasPrefix(token, TokenPrefix) {
		t.Fatalf("token %q, %v", token, err)
	}
	digest, err := LoadOrCreateDigestKey(dir)
	if err != nil || len(digest) != keySize {
		t.Fatalf("digest key of %d bytes, %v", len(digest), err)
	}
	if again, err := LoadOrCreate(dir); err != nil || again != first {
		t.Errorf("another sealing key the second time, %v", err)
	}
	if again, err := LoadOrCreateToken(dir); err != nil || again != token {
		t.Errorf("another token the second time, %v", err)
	}
	if again, err := LoadOrCreateDigestKey(dir); err != nil || !bytes.Equal(again, digest) {
		t.Errorf("another digest key the second time, %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// TestAKeyIsReplacedAsAWhole has a reader open the file before another key takes its place.
func TestAKeyIsReplacedAsAWhole(t *testing.T) {
	dir, first, second := t.TempDir(), newKey(t).Sealer(), newKey(t).Sealer()
	if err := SaveSealer(dir, first); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(filepath.Join(dir, FileSealer))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := SaveSealer(dir, second); err != nil {
		t.Fatal(err)
	}
	before, err := io.ReadAll(reader)
	if err != nil || string(before) != first.String()+"\n" {
		t.Errorf("whoever had the file open reads %q, %v", before, err)
	}
	if after, err := readFile(filepath.Join(dir, FileSealer)); err != nil || after != second.String() {
		t.Errorf("the file holds %q, %v", after, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
}

func TestProcessesThatStartAtOnceAgree(t *testing.T) {
	dir := t.TempDir()
	tokens := make([]string, 20)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { tokens[i], _ = LoadOrCreateToken(dir) })
	}
	wg.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("different tokens: %q", tokens)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"readable by the group", "AAAA", 0o640, "chmod 600"},
		{"readable by all", "AAAA", 0o604, "chmod 600"},
		{"too long", strings.Repeat("A", maxFile+1), 0o600, "longer than"},
		{"empty", " \n", 0o600, "is empty"},
		{"not a key", "AAAA", 0o600, "32 bytes in base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{FileSealing, FileDigest} {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := LoadOrCreate(dir)
			_, err2 := LoadOrCreateDigestKey(dir)
			for _, err := range []error{err, err2} {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			}
		})
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"", "", false}, {"a", "", false}, {"", "a", false},
	} {
		if got := Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %t", tt.a, tt.b, got)
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	if a, b := NewToken(), NewToken(); a == b || len(a) != len(TokenPrefix)+43 {
		t.Errorf("%q, %q", a, b)
	}
}

func newKey(t *testing.T) Opener {
	t.Helper()
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
