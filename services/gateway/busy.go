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

// maxWaiting bounds how many requests wait at once, for an operation or for events: each costs memory, and a
// client may forget those that it has begun.
const maxWaiting = 4096

// slots counts the requests at work, and those that only wait.
type slots struct{ taken, waiting atomic.Int64 }

type slotKey struct{}

func (s *slots) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		release := sync.OnceFunc(func() { s.taken.Add(-1) })
		defer release()
		if s.taken.Add(1) > maxAtWork {
			w.Header().Set("Retry-After", busyRetry)
			writeProblem(w, busy("The gateway has too many requests at work."))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), slotKey{}, release)))
	})
}

// busyRetry is when a request that was turned away may come again, in seconds.
const busyRetry = "1"

func busy(detail string) *api.Problem {
	p := problem(http.StatusTooManyRequests, detail+" This one was not begun.", "Send it again in a second.")
	p.Type = api.TypeBusy
	return p
}

// onlyWaits says that a request has no more work for the gateway than to wait until its context ends. It returns
// false where too many wait already.
func (s *slots) onlyWaits(ctx context.Context) bool {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return false
	}
	context.AfterFunc(ctx, func() { s.waiting.Add(-1) })
	if release, ok := ctx.Value(slotKey{}).(func()); ok {
		release()
	}
	return true
}
