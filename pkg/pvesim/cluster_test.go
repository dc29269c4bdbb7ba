package pvesim

import (
	"testing"
	"time"
)

// handClock is a clock that a test moves by hand.
type handClock struct {
	now    time.Time
	timers []*handTimer
}

type handTimer struct {
	at      time.Time
	f       func()
	stopped bool
}

func (h *handClock) after(d time.Duration, f func()) func() {
	t := &handTimer{at: h.now.Add(d), f: f}
	h.timers = append(h.timers, t)
	return func() { t.stopped = true }
}

// move lets time pass, from one timer that is due to the next.
func (h *handClock) move(d time.Duration) {
	end := h.now.Add(d)
	for {
		var next *handTimer
		for _, t := range h.timers {
			if !t.stopped && !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			h.now = end
			return
		}
		h.now, next.stopped = next.at, true
		next.f()
	}
}

func TestTasksEndByTheClockThatIsPassedIn(t *testing.T) {
	clock := &handClock{now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	s := newSim(t, func(cfg *Config) {
		cfg.Now, cfg.After = func() time.Time { return clock.now }, clock.after
		cfg.Durations.Clone = 10 * time.Second
	})
	upid := s.begin("POST", clonePath, "newid=101&full=1")
	clock.move(9 * time.Second)
	if !s.task(upid).Running {
		t.Error("the task ended too early")
	}
	clock.move(time.Second)
	if task := s.task(upid); task.Running || task.ExitStatus != "OK" {
		t.Errorf("%+v", task)
	}
}

func TestSeedRepeatsIdentities(t *testing.T) {
	a, b, c := newSim(t), newSim(t), newSim(t, func(cfg *Config) { cfg.Seed = 7 })
	for _, s := range []*sim{a, b, c} {
		s.clone(101)
	}
	for _, k := range []string{"net0", "vmgenid"} {
		if a.conf(101, k) != b.conf(101, k) || a.conf(101, k) == c.conf(101, k) {
			t.Errorf("%s: %v %v %v", k, a.conf(101, k), b.conf(101, k), c.conf(101, k))
		}
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a template on a storage that does not exist was taken")
		}
	}()
	cfg := Default()
	cfg.Templates[0].Storage = "nowhere"
	New(cfg)
}
