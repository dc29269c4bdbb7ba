package limit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/services/gateway/internal/cache/cachetest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestNeverMoreThanTheQuota holds what the algorithm promises against a list of what it allowed.
func TestNeverMoreThanTheQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Name: "p", Quota: rapid.IntRange(1, 20).Draw(t, "quota"), Window: time.Duration(rapid.IntRange(1, 5000).Draw(t, "window")) * time.Millisecond}
		now, tat := int64(1_800_000_000_000_000), int64(0)
		var allowed []int64
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			now += rapid.Int64Range(0, p.Window.Microseconds()).Draw(t, "pause")
			var r Result
			tat, r = p.take(tat, now)
			switch {
			case r.Remaining < 0 || r.Remaining >= p.Quota+1 || r.Reset < 0 || r.Reset > p.Window:
				t.Fatalf("%+v", r)
			case r.Allowed:
				allowed = append(allowed, now)
			default:
				if _, after := p.take(tat, now+r.RetryAfter.Microseconds()); !after.Allowed || r.RetryAfter <= 0 {
					t.Fatalf("refused again after %s", r.RetryAfter)
				}
			}
			// A burst after a steady flow: at most twice the quota in any window.
			n := 0
			for _, at := range allowed {
				if at > now-p.Window.Microseconds() {
					n++
				}
			}
			if n > 2*p.Quota {
				t.Fatalf("%d in one window of %d", n, p.Quota)
			}
		}
	})
}

func TestABurstIsTheWholeQuota(t *testing.T) {
	p, tat := Policy{Name: "p", Quota: 3, Window: time.Minute}, int64(0)
	var got string
	var r Result
	for range 4 {
		tat, r = p.take(tat, 1_000_000)
		got += fmt.Sprintf("%t %d %s %s; ", r.Allowed, r.Remaining, r.Reset, r.RetryAfter)
	}
	if want := "true 2 20s 0s; true 1 40s 0s; true 0 1m0s 0s; false 0 1m0s 20s; "; got != want {
		t.Errorf("got %s", got)
	}
}

// TestRedisCountsAsTheProcessDoes plays the same requests to both.
func TestRedisCountsAsTheProcessDoes(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			now := time.UnixMicro(1_800_000_000_000_000)
			p := Policy{Name: "p", Quota: rapid.IntRange(1, 50).Draw(rt, "quota"), Window: time.Minute}
			l := New(p, s.Cache(time.Now), func() time.Time { return now })
			key, tat := fmt.Sprint(run), int64(0)
			for range rapid.IntRange(1, 5).Draw(rt, "requests") {
				now = now.Add(time.Duration(rapid.IntRange(0, 30_000_000).Draw(rt, "pause")) * time.Microsecond)
				var want Result
				tat, want = p.take(tat, now.UnixMicro())
				if got := l.Take(t.Context(), key); got != want {
					rt.Fatalf("Redis says %+v, the process %+v", got, want)
				}
			}
		})
	})
}

func TestManyAtOnceThroughTwoGateways(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		now := func() time.Time { return time.Unix(1_800_000_000, 0) }
		p := Policy{Name: "p", Quota: 30, Window: time.Minute}
		gateways := []*Limiter{New(p, s.Cache(time.Now), now), New(p, s.Cache(time.Now), now)}
		var allowed atomic.Int32
		var all sync.WaitGroup
		for i := range 80 {
			all.Go(func() {
				if gateways[i%2].Take(t.Context(), "a").Allowed {
					allowed.Add(1)
				}
			})
		}
		all.Wait()
		if allowed.Load() != 30 || !gateways[0].Take(t.Context(), "b").Allowed {
			t.Errorf("%d were allowed, or another key was counted with them", allowed.Load())
		}
		s.Away()
		if !gateways[0].Take(t.Context(), "a").Allowed {
			t.Error("nothing is allowed without Redis")
		}
		for range 29 {
			gateways[0].Take(t.Context(), "a")
		}
		if gateways[0].Take(t.Context(), "a").Allowed {
			t.Error("everything is allowed without Redis")
		}
		s.Back()
	})
}

func TestLocalCountIsBounded(t *testing.T) {
	l := New(Default, nil, time.Now)
	for i := range maxLocal + 5 {
		l.takeLocal(fmt.Sprint(i), 1)
	}
	if len(l.local) > maxLocal {
		t.Errorf("%d keys are counted", len(l.local))
	}
}

func TestHeaders(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		now := func() time.Time { return time.Unix(1_800_000_000, 0) }
		l := New(Policy{Name: "default", Quota: 2, Window: time.Minute}, s.Cache(time.Now), now)
		h := l.Handler(func(r *http.Request) string { return r.Header.Get("Key") }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
		call := func(key string) *httptest.ResponseRecorder {
			r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			r.Header.Set("Key", key)
			h.ServeHTTP(w, r)
			return w
		}
		w := call("a")
		if w.Code != 204 || w.Header().Get("RateLimit-Policy") != `"default";q=2;w=60` || w.Header().Get("RateLimit") != `"default";r=1;t=30` {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		call("a")
		w = call("a")
		var p struct {
			Type     string
			Status   int
			Violated []string `json:"violated-policies"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if w.Code != 429 || p.Status != 429 || p.Type != TypeQuotaExceeded || len(p.Violated) != 1 || w.Header().Get("Retry-After") != "30" ||
			w.Header().Get("RateLimit") != `"default";r=0;t=60` || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if w := call(""); w.Code != 204 || w.Header().Get("RateLimit") != "" {
			t.Errorf("without a key: %d %v", w.Code, w.Header())
		}
	})
}
