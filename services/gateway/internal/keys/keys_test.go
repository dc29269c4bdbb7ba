package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/sealing"
)

func TestBearerKeyFromItsMakingToItsEnd(t *testing.T) {
	f := start(t, nil)
	k, text := f.create(New{Name: "Ann's laptop", Kind: KindBearer, Scope: ScopeOperate})
	if !regexp.MustCompile(`^vml_[A-Za-z0-9_-]{43}$`).MatchString(text) || !strings.HasPrefix(k.ID, "k-") {
		t.Fatalf("made %q as %+v", text, k)
	}
	f.soon("the new key is known", f.known(text))
	p, err := f.ring.Bearer(text)
	if want := (Principal{KeyID: k.ID, Name: k.Name, Scope: ScopeOperate}); err != nil || p != want {
		t.Errorf("got %+v, %v", p, err)
	}
	_, second, err := f.store.Rotate(t.Context(), k.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f.soon("the second secret is known", f.known(second))
	if !f.known(text)() {
		t.Error("the first secret ended before its overlap")
	}
	f.clock.advance(time.Hour)
	if f.known(text)() || !f.known(second)() {
		t.Error("after the overlap the first secret counts, or the second does not")
	}
	if err := f.store.Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	f.soon("the revocation holds", f.unknown(second))
	if err := f.store.Revoke(t.Context(), k.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if _, _, err := f.store.Rotate(t.Context(), k.ID, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("rotated after its end: %v", err)
	}
}

func TestSigningKeyHasTwoSecretsWhileItIsRotated(t *testing.T) {
	f := start(t, nil)
	_, first := f.create(New{ID: "whmcs-1", Kind: KindSigning, Scope: ScopeOperate})
	valid := func(want ...string) func() bool {
		return func() bool {
			got, err := f.ring.Secrets("whmcs-1")
			return err == nil && fmt.Sprintf("%s", got) == fmt.Sprintf("%s", want)
		}
	}
	f.soon("the first secret", valid(first))
	if f.known(first)() {
		t.Error("a signing key's secret is taken for a bearer token")
	}
	k, second, err := f.store.Rotate(t.Context(), "whmcs-1", time.Hour)
	if err != nil || !k.OldSecretUntil.Equal(f.clock.now().Add(time.Hour)) {
		t.Fatalf("%+v, %v", k, err)
	}
	f.soon("both secrets", valid(first, second))
	_, third, err := f.store.Rotate(t.Context(), "whmcs-1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f.soon("the newest two", valid(second, third))
	f.clock.advance(time.Hour)
	if !valid(third)() {
		t.Error("the old secret outlived its overlap")
	}
	list, err := f.store.List(t.Context())
	if err != nil || len(list) != 1 || !list[0].OldSecretUntil.IsZero() {
		t.Errorf("listed %+v, %v", list, err)
	}
	if got, err := f.ring.Secrets("whmcs-2"); got != nil || err != nil {
		t.Errorf("an unknown key has %q, %v", got, err)
	}
}

func TestExpiry(t *testing.T) {
	f := start(t, nil)
	until := f.clock.now().Add(time.Minute)
	_, text := f.create(New{Kind: KindBearer, Scope: ScopeRead, ExpiresAt: until})
	f.create(New{ID: "whmcs-1", Kind: KindSigning, Scope: ScopeRead, ExpiresAt: until})
	signs := func() bool { s, _ := f.ring.Secrets("whmcs-1"); return len(s) == 1 }
	f.soon("the keys are known", func() bool { return f.known(text)() && signs() })
	f.clock.advance(time.Minute)
	if f.known(text)() || signs() {
		t.Error("a key outlived its time")
	}
}

func TestNothingReadableIsStored(t *testing.T) {
	f := start(t, nil)
	_, bearer := f.create(New{ID: "b", Kind: KindBearer, Scope: ScopeRead})
	_, signing := f.create(New{ID: "s", Kind: KindSigning, Scope: ScopeRead})
	bucket, err := f.bus.Bucket(t.Context(), bus.BucketKEY)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b", "s"} {
		var raw json.RawMessage
		if _, err := bucket.GetJSON(t.Context(), id, &raw); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), `"version":1`) || strings.Contains(string(raw), bearer) || strings.Contains(string(raw), signing) {
			t.Errorf("stored: %s", raw)
		}
	}
	// Another installation, or a record moved to another id, opens nothing.
	other, err := NewStore(f.bus, []byte(strings.Repeat("o", sealing.MinMaster)))
	if err != nil {
		t.Fatal(err)
	}
	ring := NewRing(other, "", quiet)
	f.run(ring)
	if got, _ := ring.Secrets("s"); len(got) != 0 {
		t.Error("opened with another master key")
	}
	if _, err := ring.Bearer(""); err == nil {
		t.Error("an empty token was let in where there is no token")
	}
	var r record
	if _, err := bucket.GetJSON(t.Context(), "s", &r); err != nil {
		t.Fatal(err)
	}
	r.ID = "s2"
	if err := bucket.CreateJSON(t.Context(), "s2", r); err != nil {
		t.Fatal(err)
	}
	_, marker := f.create(New{Kind: KindBearer, Scope: ScopeRead})
	f.soon("later records are read", f.known(marker))
	if got, _ := f.ring.Secrets("s2"); len(got) != 0 {
		t.Error("a secret counts under another id")
	}
}

func TestBadRecordsLetNobodyIn(t *testing.T) {
	f := start(t, nil)
	bucket, err := f.bus.Bucket(t.Context(), bus.BucketKEY)
	if err != nil {
		t.Fatal(err)
	}
	_, text := f.create(New{ID: "good", Kind: KindBearer, Scope: ScopeRead})
	var good record
	if _, err := bucket.GetJSON(t.Context(), "good", &good); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Revoke(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*record){
		"version": func(r *record) { r.Version = 2 }, "id": func(r *record) { r.ID = "other" }, "hash": func(r *record) { r.Secrets[0].Hash = nil },
		"none": func(r *record) { r.Secrets = nil }, "unsealed": func(r *record) { r.Kind = KindSigning },
	} {
		r := good
		r.ID, r.Secrets = name, append([]secret(nil), good.Secrets...)
		change(&r)
		if err := bucket.CreateJSON(t.Context(), name, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := bucket.CreateJSON(t.Context(), "text", "no record"); err != nil {
		t.Fatal(err)
	}
	_, marker := f.create(New{Kind: KindBearer, Scope: ScopeRead})
	f.soon("later records are read", f.known(marker))
	if f.known(text)() {
		t.Error("a bad record lets in")
	}
	if _, _, err := f.store.Rotate(t.Context(), "version", 0); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("rotated a record of another version: %v", err)
	}
}

func TestLastUseIsNotedNowAndThen(t *testing.T) {
	f := start(t, nil)
	k, text := f.create(New{Kind: KindBearer, Scope: ScopeRead})
	f.soon("known", f.known(text))
	use := func() time.Time {
		f.ring.touch(k.ID)
		f.ring.touch(AdminID) // has no record
		f.ring.noteUses(t.Context())
		list, err := f.store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list[0].LastUsedAt
	}
	first := use()
	if !first.Equal(f.clock.now()) {
		t.Fatalf("noted %s", first)
	}
	f.clock.advance(time.Minute)
	if got := use(); !got.Equal(first) {
		t.Errorf("written again after a minute: %s", got)
	}
	f.clock.advance(lastUsedSpan)
	if got := use(); !got.Equal(f.clock.now()) {
		t.Errorf("not written after %s: %s", lastUsedSpan, got)
	}
}

// TestRotateAfterALostAnswer: the secret that the caller gets is the one that was stored.
func TestRotateAfterALostAnswer(t *testing.T) {
	var lost atomic.Bool
	f := start(t, func(ctx context.Context, call string, do func(context.Context) error) error {
		err := do(ctx)
		if call == "kv.update" && lost.CompareAndSwap(true, false) {
			return errors.New("no answer")
		}
		return err
	})
	k, first := f.create(New{Kind: KindBearer, Scope: ScopeRead})
	lost.Store(true)
	_, second, err := f.store.Rotate(t.Context(), k.ID, time.Hour)
	if err != nil || lost.Load() {
		t.Fatalf("rotated: %v", err)
	}
	f.soon("both are known", func() bool { return f.known(first)() && f.known(second)() })
}

func TestNewKeysAreChecked(t *testing.T) {
	f := start(t, nil)
	for field, n := range map[string]New{
		"id": {ID: "UPPER", Kind: KindBearer, Scope: ScopeRead}, "kind": {Scope: ScopeRead}, "scope": {Kind: KindBearer, Scope: "root"},
		"name":       {Name: "two\nlines", Kind: KindBearer, Scope: ScopeRead},
		"expires_at": {Kind: KindBearer, Scope: ScopeRead, ExpiresAt: f.clock.now()},
	} {
		var invalid *InvalidError
		if _, _, err := f.store.Create(t.Context(), n); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, id := range []string{AdminID, "-a", "a.b", "*", ">", strings.Repeat("a", 33)} {
		if _, _, err := f.store.Create(t.Context(), New{ID: id, Kind: KindBearer, Scope: ScopeRead}); err == nil {
			t.Errorf("made a key with the id %s", id)
		}
	}
	f.create(New{ID: "a", Kind: KindBearer, Scope: ScopeRead})
	if _, _, err := f.store.Create(t.Context(), New{ID: "a", Kind: KindBearer, Scope: ScopeRead}); !errors.Is(err, ErrTaken) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := NewStore(f.bus, []byte("short")); err == nil {
		t.Error("a short master key was taken")
	}
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		has, needs Scope
		want       bool
	}{
		{ScopeAdmin, ScopeRead, true}, {ScopeOperate, ScopeOperate, true}, {ScopeRead, ScopeOperate, false}, {ScopeOperate, ScopeAdmin, false},
		{"", ScopeRead, false}, {ScopeAdmin, "", false}, {"root", ScopeRead, false}, {"root", "root", false},
	} {
		err := Principal{KeyID: "k", Scope: tt.has}.May(tt.needs)
		var p *api.Problem
		if tt.want != (err == nil) || err != nil && (!errors.As(err, &p) || p.Status != 403) {
			t.Errorf("%q for %q: %v", tt.has, tt.needs, err)
		}
	}
}
