package gateway

import (
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
				onlyWaits(r.Context())
				onlyWaits(r.Context()) // once more does no harm
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
