package idempotency

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/cache/cachetest"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var key = []byte(strings.Repeat("k", 32))

func wantType(t testing.TB, name string, err error, typ string, status int) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Type != typ || p.Status != status {
		t.Errorf("%s: got %#v, want %d %s", name, err, status, typ)
	}
}

func TestParse(t *testing.T) {
	longest := strings.Repeat("x", 255)
	for _, c := range [][2]string{{`"8e03"`, "8e03"}, {"8e03", "8e03"}, {` "a b" `, "a b"}, {"a:b/c~", "a:b/c~"}, {longest, longest}} {
		value, want := c[0], c[1]
		if got, err := Require(http.Header{"Idempotency-Key": {value}}); err != nil || got != want {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
	for _, values := range [][]string{{""}, {`""`}, {`"`}, {`"a`}, {`a"b`}, {`"a\"b"`}, {"ü"}, {"a\tb"}, {strings.Repeat("x", 256)}, {"a", "a"}} {
		_, err := Parse(http.Header{"Idempotency-Key": values})
		wantType(t, fmt.Sprint(values), err, TypeMalformed, 400)
	}
	if got, err := Parse(http.Header{}); got != "" || err != nil {
		t.Errorf("no header: %q, %v", got, err)
	}
	_, err := Require(http.Header{})
	wantType(t, "no header", err, TypeMissing, 400)
}

func FuzzParse(f *testing.F) {
	f.Add(`"8e03"`)
	f.Fuzz(func(t *testing.T, value string) {
		got, err := Parse(http.Header{"Idempotency-Key": {value}})
		if err != nil {
			return
		}
		again, err := Parse(http.Header{"Idempotency-Key": {`"` + got + `"`}})
		if err != nil || again != got {
			t.Fatalf("%q is %q, and in quotes %q, %v", value, got, again, err)
		}
	})
}

func TestACallIsAnOperation(t *testing.T) {
	var kinds []vmlinev1.Operation_Kind
	for _, r := range chain.Routes() {
		kinds = append(kinds, r.Kind)
	}
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.[a-v0-9]{24}$`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Call {
			return Call{
				KeyID: rapid.StringMatching(`[a-z]{0,3}`).Draw(t, name+" key id"), Key: rapid.StringMatching(`[a-z]{0,3}`).Draw(t, name+" key"),
				Ref: rapid.StringMatching(`[A-Za-z0-9_-]{1,3}`).Draw(t, name+" ref"), Action: rapid.SampledFrom(kinds).Draw(t, name+" action"),
			}
		}
		a, b := draw("a"), draw("b")
		if (a == b) != (a.OperationID(key) == b.OperationID(key)) {
			t.Fatalf("%+v is %s, %+v is %s", a, a.OperationID(key), b, b.OperationID(key))
		}
		id := a.OperationID(key)
		if !form.MatchString(id) || identity.Ref(id) != a.Ref {
			t.Fatalf("the id %s", id)
		}
		if identity.Key(key).OperationID(identity.Command{Ref: a.Ref, Kind: a.Action}) == id {
			t.Fatal("an id with an Idempotency-Key is that of an order without one")
		}
	})
}

func nothing(context.Context) ([]byte, error) { return nil, nil }

func TestAKeyStandsForOnePayload(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		now := time.Unix(1_800_000_000, 0)
		clock := func() time.Time { return now }
		p, other := NewPayloads(s.Cache(clock)), NewPayloads(s.Cache(clock))
		ctx := t.Context()
		for range 2 {
			if err := p.Claim(ctx, "a", []byte("one"), nothing); err != nil {
				t.Fatal(err)
			}
		}
		wantType(t, "another payload", other.Claim(ctx, "a", []byte("two"), nothing), TypeReused, 422)
		if err := p.Claim(ctx, "b", []byte("two"), nothing); err != nil {
			t.Error(err)
		}
		if ttl := s.Client.TTL(ctx, name("a")).Val(); ttl != Retention {
			t.Errorf("kept for %s", ttl)
		}
		// Redis is emptied: the log knows.
		s.Client.FlushAll(ctx)
		log := func(context.Context) ([]byte, error) { return []byte("one"), nil }
		wantType(t, "after a flush", p.Claim(ctx, "a", []byte("two"), log), TypeReused, 422)
		if err := p.Claim(ctx, "a", []byte("one"), log); err != nil {
			t.Error(err)
		}
		s.Away()
		wantType(t, "without Redis", p.Claim(ctx, "a", []byte("two"), log), TypeReused, 422)
		if err := p.Claim(ctx, "c", []byte("one"), nothing); err != nil {
			t.Errorf("a first request without Redis: %v", err)
		}
		broken := errors.New("no answer")
		if err := p.Claim(ctx, "c", []byte("one"), func(context.Context) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		s.Back()
	})
}

func TestOfTwoPayloadsAtOnceOnePasses(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		p := NewPayloads(s.Cache(time.Now))
		for round := range 20 {
			var passed atomic.Int32
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					if p.Claim(t.Context(), fmt.Sprint(round), []byte{byte(i)}, nothing) == nil {
						passed.Add(1)
					}
				})
			}
			all.Wait()
			if passed.Load() != 1 {
				t.Fatalf("%d passed", passed.Load())
			}
		}
	})
}
