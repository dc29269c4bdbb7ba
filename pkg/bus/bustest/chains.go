// Package bustest measures chains of messages: many at once, each from its first message to its last.
// It has the least that such a chain must do, so that the real one can be held against it in the same
// run. It is imported by benchmarks only.
package bustest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// patience is how long one round of chains may take.
const patience = time.Minute

// Chains measures how long each of many chains takes.
type Chains struct {
	// Where says where a chain stands that did not end; nil says nothing.
	Where func(ref string) string

	mu      sync.Mutex
	started map[string]time.Time
	took    []time.Duration
	done    chan struct{}
}

// Figures of a measurement.
type Figures struct {
	// Rate is in chains a second.
	Rate     float64
	P50, P99 time.Duration
}

// Report gives the figures to the benchmark, for chains of so many steps.
func (f Figures) Report(b *testing.B, steps int) {
	b.ReportMetric(f.Rate, "chains/s")
	b.ReportMetric(f.Rate*float64(steps), "steps/s")
	b.ReportMetric(Milliseconds(f.P50), "p50-ms")
	b.ReportMetric(Milliseconds(f.P99), "p99-ms")
}

// Milliseconds is the unit in which metrics show times.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Measure has begin start n chains at once, in b.Loop. begin runs in a goroutine for each.
func (c *Chains) Measure(b *testing.B, n int, begin func(ref string)) Figures {
	b.Helper()
	for round := 0; b.Loop(); round++ {
		c.Round(b, fmt.Sprintf("b-%d", round), n, begin)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.took)
	return Figures{
		Rate: float64(len(c.took)) / b.Elapsed().Seconds(),
		P50:  c.took[len(c.took)/2], P99: c.took[len(c.took)*99/100],
	}
}

// Round starts n chains at once and waits for their ends.
func (c *Chains) Round(b *testing.B, name string, n int, begin func(ref string)) {
	b.Helper()
	refs := make([]string, n)
	for i := range refs {
		refs[i] = fmt.Sprintf("%s-%d", name, i)
	}
	c.RoundOf(b, refs, begin)
}

// RoundOf starts these chains at once and waits for their ends.
func (c *Chains) RoundOf(b *testing.B, refs []string, begin func(ref string)) {
	b.Helper()
	done := make(chan struct{})
	c.mu.Lock()
	c.started, c.done = map[string]time.Time{}, done
	for _, ref := range refs {
		c.started[ref] = time.Now()
	}
	c.mu.Unlock()
	for _, ref := range refs {
		go begin(ref)
	}
	select {
	case <-done:
	case <-time.After(patience):
		c.mu.Lock()
		defer c.mu.Unlock()
		stuck := slices.Sorted(maps.Keys(c.started))
		where := ""
		if c.Where != nil {
			where = c.Where(stuck[0])
		}
		b.Fatalf("%d of %d chains did not end; the first is %s: %s", len(stuck), len(refs), stuck[0], where)
	}
}

// Forget forgets what was measured so far, a warm-up for example.
func (c *Chains) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = nil
}

// End notes that a chain has ended. A ref that nobody waits for is passed over.
func (c *Chains) End(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.started[ref]
	if !ok {
		return
	}
	delete(c.started, ref)
	c.took = append(c.took, time.Since(at))
	if len(c.started) == 0 {
		close(c.done)
	}
}
