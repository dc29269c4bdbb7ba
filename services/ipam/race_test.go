package ipam

import (
	"errors"
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/overtake"
)

// race is two instances whose work overtakes each other.
type race struct {
	late, last *overtake.Work
	// observer is an instance that nothing stops.
	observer *service
}

// scene is one race: the work of the slow instance and of the fast one, and what must be so after both.
type scene struct {
	slow, fast func() error
	check      func(t *testing.T)
}

// newRace makes the two instances, slow and fast, and the observer.
func newRace(t *testing.T, w *world) (r race, slow, fast *service) {
	r = race{late: &overtake.Work{}, last: &overtake.Work{}}
	slow, fast = w.instance(t, &fate{work: r.late}), w.instance(t, &fate{work: r.last})
	r.observer = w.instance(t, nil)
	for _, s := range []*service{slow, fast} { // their first calls to Redis are of the connection
		if err := s.index.open(t.Context(), s.pools[0]); err != nil {
			t.Fatal(err)
		}
	}
	return r, slow, fast
}

// everyWay plays the race in every way, each with a ref of its own.
func (r race) everyWay(t *testing.T, play func(ref string) scene) {
	t.Helper()
	overtake.EveryWay(t, r.late, r.last, func(ref string) overtake.Scene {
		s := play(ref)
		return overtake.Scene{Slow: s.slow, Fast: s.fast, Check: func(t *testing.T, slow, fast error) {
			for _, err := range []error{slow, fast} {
				if err != nil && !errors.Is(err, bus.ErrSuperseded) {
					t.Error(err)
				}
			}
			s.check(t)
		}}
	})
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
