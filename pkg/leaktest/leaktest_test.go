package leaktest

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { Main(m) }

// ends is a run of tests that leaves a goroutine behind, for a while or until it is told to end.
type ends struct {
	after time.Duration
	told  chan struct{}
	code  int
}

func (e ends) Run() int {
	go func() {
		select {
		case <-time.After(e.after):
		case <-e.told:
		}
	}()
	return e.code
}

func TestRun(t *testing.T) {
	cases := map[string]struct {
		tests       ends
		least, most time.Duration
	}{
		"a goroutine that ends late is waited for": {ends{after: 3 * time.Second}, 3 * time.Second, 5 * time.Second},
		"one that leaks is given up":               {ends{after: time.Hour}, patience, patience + time.Second},
		"after a failure nothing is waited for":    {ends{after: time.Hour, code: 1}, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.tests.told = make(chan struct{})
				defer close(c.tests.told)
				start := time.Now()
				if code := (patient{c.tests, []goleak.Option{goleak.IgnoreCurrent()}}).Run(); code != c.tests.code {
					t.Errorf("code %d, want %d", code, c.tests.code)
				}
				if took := time.Since(start); took < c.least || took > c.most {
					t.Errorf("it waited %v, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}
