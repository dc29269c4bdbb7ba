package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vmline/vmline/pkg/api"
)

func TestRequestsBeyondThoseAtWorkAreToldToComeAgain(t *testing.T) {
	var s slots
	waits := false
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if waits {
				for range 2 { // once more does no harm
					if !s.onlyWaits(r.Context()) {
						t.Error("nobody waits yet")
					}
				}
			}
			want := int64(maxAtWork)
			if waits {
				want--
			}
			if n := s.taken.Load(); n != want {
				t.Errorf("%d at work, want %d", n, want)
			}
		})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		return w
	}
	s.taken.Store(maxAtWork - 1)
	for _, waits = range []bool{false, true} {
		if w := ask(); w.Code != http.StatusOK || s.taken.Load() != maxAtWork-1 {
			t.Errorf("the last place: %d, then %d at work", w.Code, s.taken.Load())
		}
	}
	s.taken.Store(maxAtWork)
	f := &fixture{TB: t}
	w := ask()
	f.wantProblem(w.Result(), w.Body.String(), http.StatusTooManyRequests, api.TypeBusy)
	if w.Header().Get("Retry-After") != "1" || s.taken.Load() != maxAtWork {
		t.Errorf("%v, then %d at work", w.Header(), s.taken.Load())
	}
}

// TestThoseWhoWaitAreBounded: beyond the bound no stream begins, an order is answered at once, and whoever goes
// makes room for another.
func TestThoseWhoWaitAreBounded(t *testing.T) {
	g, err := newGateway(t.Context(), start(t).config)
	if err != nil {
		t.Fatal(err)
	}
	g.slots.waiting.Store(maxWaiting - 1)
	watching, leave := context.WithCancel(t.Context())
	if _, err := g.streamEvents(watching, &eventsInput{}); err != nil {
		t.Errorf("the last place: %v", err)
	}
	var p *api.Problem
	if _, err := g.streamEvents(t.Context(), &eventsInput{}); !errors.As(err, &p) || p.Status != http.StatusTooManyRequests {
		t.Errorf("beyond it: %v", err)
	}
	out, err := g.waited(t.Context(), api.Operation{ID: "w1-1.x", Status: api.StatusRunning}, Prefer{Prefer: "wait=25"})
	if err != nil || out.Status != http.StatusAccepted || out.PreferenceApplied != "" {
		t.Errorf("an order is answered with %+v, %v", out, err)
	}
	leave()
	(&fixture{TB: t, log: &lockedBuffer{}}).until("whoever goes makes room", func() bool { return g.slots.waiting.Load() < maxWaiting })
}
