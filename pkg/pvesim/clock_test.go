package pvesim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClockRunsWhatIsDueInOrder orders random timers, some stopped, some set by others.
func TestClockRunsWhatIsDueInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		c := NewClock(start)
		var ran []time.Time
		want := 0
		for i := range rapid.IntRange(0, 30).Draw(t, "timers") {
			d := time.Duration(rapid.IntRange(-1, 20).Draw(t, "d")) * time.Second
			stop := c.After(d, func() {
				ran = append(ran, c.Now())
				if i%3 == 0 {
					c.After(time.Second, func() { ran = append(ran, c.Now()) })
				}
			})
			switch {
			case rapid.Bool().Draw(t, "stopped"):
				stop()
				stop()
			case i%3 == 0:
				want += 2
			default:
				want++
			}
		}
		for range 11 {
			c.Advance(2 * time.Second)
		}
		if len(ran) != want || c.Waiting() != 0 || !slices.IsSortedFunc(ran, time.Time.Compare) {
			t.Fatalf("%d ran, want %d, %d wait: %v", len(ran), want, c.Waiting(), ran)
		}
		if got := c.Now().Sub(start); got != 22*time.Second {
			t.Fatalf("the clock moved by %v", got)
		}
	})
}

func ExampleClock() {
	clock := NewClock(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	cfg := Default()
	cfg.Now, cfg.After = clock.Now, clock.After
	cfg.Durations.Backup = time.Hour
	cluster := New(cfg)
	defer cluster.Close()
	clock.Advance(24 * time.Hour)
	fmt.Println(clock.Now().Format(time.DateOnly))
	// Output: 2026-11-25
}
