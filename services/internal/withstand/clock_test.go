package withstand

import (
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
)

// clock is the cluster's time, moved by hand.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer
}

type timer struct {
	at time.Time
	f  func()
}

// slowly is the default cluster on a clock that stands still.
func slowly(d pvesim.Durations) (*pvesim.Config, *clock) {
	c := &clock{now: time.Now()}
	cfg := pvesim.Default()
	cfg.Now, cfg.After, cfg.Durations = c.read, c.after, d
	return &cfg, c
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) after(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(x *timer) bool { return x == t })
	}
}

// pass lets time go by, from timer to timer.
func (c *clock) pass(d time.Duration) {
	end := c.read().Add(d)
	for {
		t := c.due(end)
		if t == nil {
			return
		}
		t.f()
	}
}

// due takes the first timer until end and moves the clock there, or to the end.
func (c *clock) due(end time.Time) *timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first *timer
	for _, t := range c.timers {
		if !t.at.After(end) && (first == nil || t.at.Before(first.at)) {
			first = t
		}
	}
	if first == nil {
		c.now = end
		return nil
	}
	c.now = first.at
	c.timers = slices.DeleteFunc(c.timers, func(x *timer) bool { return x == first })
	return first
}
