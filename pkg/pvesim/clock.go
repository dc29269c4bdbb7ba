package pvesim

import (
	"container/heap"
	"sync"
	"time"
)

// Clock is a clock that stands still until it is told to move, for Config.Now and Config.After. A day of
// a cluster takes then no longer than its work. The zero value is not usable.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers timers
	count  int
}

// NewClock makes a clock that shows a time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After runs f when the clock has moved by d, unless stop is called first. Functions for the same time
// run in the order in which they came.
func (c *Clock) After(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	t := &timer{at: c.now.Add(max(0, d)), number: c.count, f: f}
	heap.Push(&c.timers, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.place >= 0 {
			heap.Remove(&c.timers, t.place)
		}
	}
}

// Advance moves the clock and runs, one after the other and in this goroutine, what becomes due
// meanwhile, each at its time.
func (c *Clock) Advance(d time.Duration) {
	end := c.Now().Add(d)
	for {
		f := c.due(end)
		if f == nil {
			return
		}
		f()
	}
}

// due moves the clock to the next timer and takes it, or to the end when none comes before.
func (c *Clock) due(end time.Time) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 || c.timers[0].at.After(end) {
		c.now = end
		return nil
	}
	t := heap.Pop(&c.timers).(*timer)
	c.now = t.at
	return t.f
}

// Waiting is how many functions are still to be run.
func (c *Clock) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

type timer struct {
	at     time.Time
	number int // of its coming
	place  int // in the heap; -1 when taken out
	f      func()
}

// timers is a heap, the next one first.
type timers []*timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].number < h[j].number
	}
	return h[i].at.Before(h[j].at)
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for container/heap.
func (h *timers) Push(x any) {
	t := x.(*timer)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop is for container/heap.
func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	t.place = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
