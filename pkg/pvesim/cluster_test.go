package pvesim

import (
	"testing"
	"time"
)

func TestTasksEndByTheClockThatIsPassedIn(t *testing.T) {
	clock := NewClock(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	s := newSim(t, func(cfg *Config) {
		cfg.Now, cfg.After = clock.Now, clock.After
		cfg.Durations.Clone = 10 * time.Second
	})
	upid := s.begin("POST", clonePath, "newid=101&full=1")
	clock.Advance(9 * time.Second)
	if !s.task(upid).Running {
		t.Error("the task ended too early")
	}
	clock.Advance(time.Second)
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
