package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/vmline/vmline/pkg/api"
)

// maxAtWork bounds how many requests are worked on at once. What comes beyond is told to come again at
// once, instead of keeping all others waiting for NATS.
const maxAtWork = 256

// slots counts the requests at work. Those that only wait, for an operation or for events, do not count.
type slots struct{ taken atomic.Int64 }

type slotKey struct{}

func (s *slots) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		release := sync.OnceFunc(func() { s.taken.Add(-1) })
		defer release()
		if s.taken.Add(1) > maxAtWork {
			p := problem(http.StatusTooManyRequests, "The gateway has too many requests at work. This one was not begun.", "Send it again in a second.")
			p.Type = api.TypeBusy
			w.Header().Set("Retry-After", "1")
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), slotKey{}, release)))
	})
}

// onlyWaits says that a request has no more work for the gateway than to wait.
func onlyWaits(ctx context.Context) {
	if release, ok := ctx.Value(slotKey{}).(func()); ok {
		release()
	}
}
