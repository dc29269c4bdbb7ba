package ipam

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
)

// race is two instances whose work overtakes each other.
type race struct {
	late, last *fate
	// observer is an instance that nothing stops.
	observer *service
}

// scene is one race: the work of the late instance, that of the one that comes to its end first, and what
// must be so after both.
type scene struct {
	slow, fast func() error
	check      func(t *testing.T)
}

// newRace makes the two instances, slow and fast, and the observer.
func newRace(t *testing.T, w *world) (r race, slow, fast *service) {
	r = race{late: &fate{}, last: &fate{}}
	slow, fast = w.instance(t, r.late), w.instance(t, r.last)
	r.observer = w.instance(t, nil)
	for _, s := range []*service{slow, fast} { // their first calls to Redis are of the connection
		if err := s.index.open(t.Context(), s.pools[0]); err != nil {
			t.Fatal(err)
		}
	}
	return r, slow, fast
}

// everyWay plays the race in every way with three switches: the slow one stops before its call i, the fast
// one comes to its own call j, the slow one goes on to its call k, the fast one comes to its end, and then the
// slow one. Each is played with a ref of its own.
func (r race) everyWay(t *testing.T, play func(ref string) scene) {
	t.Helper()
	scenes := 0
	for i, more := 1, true; more; i++ {
		for j, further := 1, true; further; j += stride {
			for k := i + 1; ; k += stride {
				s := play(fmt.Sprintf("vm-%d-%d-%d", i, j, k))
				r.run(t, s, i, j, k)
				s.check(t)
				scenes++
				more, further = len(r.late.names) >= i, len(r.last.names) >= j
				if t.Failed() {
					t.Fatalf("the slow one stopped before call %d, the fast one before its %d, the slow one before its %d\nslow %v\nfast %v", i, j, k, r.late.names, r.last.names)
				}
				if len(r.late.names) < k {
					break
				}
			}
		}
	}
	if t.Logf("%d scenes", scenes); scenes*stride < 50 {
		t.Errorf("only %d scenes were played", scenes)
	}
}

func (r race) run(t *testing.T, s scene, i, j, k int) {
	t.Helper()
	var (
		stopped = make(chan struct{}) // the fast one stands before its call j, or has ended
		goOn    = make(chan struct{}) // it may go on
		ended   = make(chan error, 1)
		stood   bool
	)
	r.last.rise(j, false)
	r.last.strike = func() error { stood = true; close(stopped); <-goOn; return nil }
	begin := func() error {
		go func() {
			err := s.fast()
			if !stood {
				close(stopped)
			}
			ended <- err
		}()
		<-stopped
		r.late.mu.Lock()
		r.late.at = k
		r.late.mu.Unlock()
		r.late.strike = func() error { close(goOn); ended <- <-ended; return nil }
		return nil
	}
	r.late.rise(i, false)
	r.late.strike = begin
	if err := s.slow(); err != nil && !errors.Is(err, bus.ErrSuperseded) {
		t.Errorf("the slow one: %v", err)
	}
	if len(r.late.names) < i {
		_ = begin() // it does not fail
	}
	if len(r.late.names) < k {
		close(goOn)
	}
	if err := <-ended; err != nil && !errors.Is(err, bus.ErrSuperseded) {
		t.Errorf("the fast one: %v", err)
	}
}

// indexes looks whether the index has these addresses of the first pool for o, and no others.
func (s *service) indexes(t *testing.T, o owner, want ...string) {
	t.Helper()
	numbers, err := s.index.has(t.Context(), s.pools[0], o)
	var got []string
	for _, n := range numbers {
		got = append(got, choice{s.pools[0], n}.key())
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the index has %v for %s, want %v (%v)", got, o, want, err)
	}
}
