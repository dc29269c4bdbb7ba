package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The load of the benchmark.
const (
	loadRate     = 2000 // requests a second
	loadDuration = 5 * time.Second
	loadVMs      = 500
)

// mixed is one request of the mix: mostly looks, as billing systems make them, and a fifth of orders.
func mixed(i int) (method, path, body string) {
	ref := fmt.Sprintf("w1-%d", i%loadVMs)
	switch i % 10 {
	case 0:
		return "PUT", "/v1/services/" + ref, smallJSON
	case 1:
		return "POST", "/v1/services/" + ref + "/actions", `{"type":"terminate"}`
	case 2:
		return "GET", "/v1/services?limit=20&q=w1-1", ""
	case 3:
		return "GET", fmt.Sprintf("/v1/events?limit=20&after=%d", i%100), ""
	case 4:
		return "GET", "/v1/commands", ""
	default:
		return "GET", "/v1/services/" + ref, ""
	}
}

// BenchmarkMixedLoad sends 2,000 mixed requests a second, whether the answers keep up or not, and reports
// how long they took. Every answer is one that the mix expects, or 429.
func BenchmarkMixedLoad(b *testing.B) {
	f := start(b)
	f.lifecycle()
	for b.Loop() {
		took, failed, turnedAway := f.load()
		slices.Sort(took)
		at := func(share float64) float64 {
			return float64(took[int(float64(len(took)-1)*share)].Microseconds()) / 1000
		}
		b.ReportMetric(at(0.5), "p50-ms")
		b.ReportMetric(at(0.99), "p99-ms")
		b.ReportMetric(float64(len(took))/loadDuration.Seconds(), "requests/s")
		b.ReportMetric(100*float64(turnedAway)/float64(len(took)), "429-%")
		if failed > 0 {
			b.Errorf("%d answers were errors", failed)
		}
	}
}

// load runs the mix once and returns how long each answer took, how many were errors, and how many 429.
func (f *fixture) load() (took []time.Duration, failed, turnedAway int64) {
	var (
		all          sync.WaitGroup
		errors, away atomic.Int64
	)
	total := int(loadRate * loadDuration.Seconds())
	took = make([]time.Duration, total)
	began := time.Now()
	for i := range total {
		due := began.Add(time.Duration(i) * time.Second / loadRate)
		if early := time.Until(due); early > 0 {
			<-time.After(early)
		}
		all.Go(func() {
			method, path, body := mixed(i)
			resp, answer := f.call(method, path, body, "Idempotency-Key", newText())
			took[i] = time.Since(due) // from when it was due: a server that stands still is not let off
			if resp.StatusCode == http.StatusTooManyRequests {
				away.Add(1)
				return
			}
			expected := resp.StatusCode < 300 || resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusNotFound
			if !expected && errors.Add(1) == 1 {
				f.Logf("the first: %s %s: %d %s", method, path, resp.StatusCode, answer)
			}
		})
	}
	all.Wait()
	return took, errors.Load(), away.Load()
}
