// Package limit bounds how many requests a key may make. Redis counts for all gateways; while it is
// away, each gateway counts for itself.
//
// The headers are those of draft-ietf-httpapi-ratelimit-headers in their structured form:
//
//	RateLimit-Policy: "default";q=600;w=60
//	RateLimit: "default";r=599;t=60
package limit

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/services/gateway/internal/cache"
)

// TypeQuotaExceeded is the type of the problem of a key that asks too much, from IANA's registry.
const TypeQuotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// Default lets a key make ten requests a second, or 600 at once.
var Default = Policy{Name: "default", Quota: 600, Window: time.Minute}

var (
	//go:embed take.lua
	takeLua    string
	takeScript = redis.NewScript(takeLua)
)

// maxLocal bounds how many keys are counted without Redis.
const maxLocal = 10_000

// Limiter counts requests by key. Its methods are safe for concurrent use.
type Limiter struct {
	policy Policy
	cache  *cache.Cache
	now    func() time.Time

	mu    sync.Mutex
	local map[string]int64 // theoretical arrival times
}

// New returns a limiter. The policy's quota is at least 1, its window at least a millisecond.
func New(p Policy, c *cache.Cache, now func() time.Time) *Limiter {
	return &Limiter{policy: p, cache: c, now: now, local: map[string]int64{}}
}

// Take counts one request of a key.
func (l *Limiter) Take(ctx context.Context, key string) Result {
	now := l.now().UnixMicro()
	answer := make(chan Result, 1)
	err := l.cache.Do(ctx, func(ctx context.Context, r redis.UniversalClient) error {
		result, err := l.ask(ctx, r, key, now)
		answer <- result
		return err
	})
	if err != nil {
		return l.takeLocal(key, now)
	}
	return <-answer
}

func (l *Limiter) ask(ctx context.Context, r redis.UniversalClient, key string, now int64) (Result, error) {
	name := "gateway:limit:" + l.policy.Name + ":" + key
	list, err := takeScript.Run(ctx, r, []string{name}, now, l.policy.Window.Microseconds(), l.policy.each()).Slice()
	if err != nil {
		return Result{}, err
	}
	const three = 3
	if len(list) != three {
		return Result{}, fmt.Errorf("take.lua answered %v", list)
	}
	tat, err := strconv.ParseInt(fmt.Sprint(list[1]), 10, 64)
	if err != nil {
		return Result{}, fmt.Errorf("take.lua answered %v", list)
	}
	early, err := strconv.ParseInt(fmt.Sprint(list[2]), 10, 64)
	if err != nil {
		return Result{}, fmt.Errorf("take.lua answered %v", list)
	}
	return l.policy.result(list[0] == int64(1), tat, now, early), nil
}

func (l *Limiter) takeLocal(key string, now int64) Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.local[key]; !ok && len(l.local) >= maxLocal {
		clear(l.local) // keys are known ones, so there are never that many
	}
	next, result := l.policy.take(l.local[key], now)
	l.local[key] = next
	return result
}

// Handler calls next within the limit of the request's key, and answers 429 beyond it. An empty key is
// not limited.
func (l *Limiter) Handler(key func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := key(r)
		if k == "" {
			next.ServeHTTP(w, r)
			return
		}
		result := l.Take(r.Context(), k)
		h := w.Header()
		h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", l.policy.Name, l.policy.Quota, seconds(l.policy.Window)))
		h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", l.policy.Name, result.Remaining, seconds(result.Reset)))
		if result.Allowed {
			next.ServeHTTP(w, r)
			return
		}
		l.refuse(w, result)
	})
}

// quotaProblem has the member that the draft adds.
type quotaProblem struct {
	api.Problem
	Violated []string `json:"violated-policies"`
}

func (l *Limiter) refuse(w http.ResponseWriter, r Result) {
	wait := max(seconds(r.RetryAfter), 1)
	p := quotaProblem{Violated: []string{l.policy.Name}, Problem: api.Problem{
		Type: TypeQuotaExceeded, Title: "Too many requests", Status: http.StatusTooManyRequests,
		Detail: fmt.Sprintf("The key may make %d requests in %s.", l.policy.Quota, l.policy.Window),
		Next:   fmt.Sprintf("Send the request again in %d s.", wait),
	}}
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may have gone
}
