// Package overtake is for tests: it lets two pieces of work overtake each other in every way with three
// switches between them.
package overtake

import (
	"fmt"
	"sync"
	"testing"
)

// Work is one of the two. Each of its calls to the world outside passes through Call.
type Work struct {
	mu    sync.Mutex
	at    int
	stop  func()
	calls []string
}

// Call makes one call of the work, after a stop if it is the one before which the work stops.
func (w *Work) Call(name string, do func() error) error {
	w.mu.Lock()
	w.calls = append(w.calls, name)
	stop := w.stop
	mine := len(w.calls) == w.at
	w.mu.Unlock()
	if mine {
		stop()
	}
	return do()
}

// before has the work, whose calls are counted anew unless it is under way, stop before a call.
func (w *Work) before(call int, anew bool, stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.stop = call, stop
	if anew {
		w.calls = nil
	}
}

func (w *Work) made() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// Scene is one race, and what must be so after it.
type Scene struct {
	// Slow is the work that comes to its end last, Fast the other. What they return is Check's to judge.
	Slow, Fast func() error
	Check      func(t *testing.T, slow, fast error)
}

// EveryWay plays the race in every way: slow stops before its call i, fast comes to its own call j, slow goes on
// to its call k, fast comes to its end, and then slow. play makes a scene of its own for each, with a name that no
// other has. It stops at the first that fails, and returns how many were played.
func EveryWay(t *testing.T, slow, fast *Work, play func(name string) Scene) (scenes int) {
	t.Helper()
	for i, more := 1, true; more; i++ {
		for j, further := 1, true; further; j += stride {
			for k := i + 1; ; k += stride {
				s := play(fmt.Sprintf("race-%d-%d-%d", i, j, k))
				slowEnd, fastEnd := run(slow, fast, s, i, j, k)
				s.Check(t, slowEnd, fastEnd)
				scenes++
				made := slow.made()
				if t.Failed() {
					t.Fatalf("slow stopped before its call %d, fast before its %d, slow before its %d; in the end: %v, %v\nslow %v\nfast %v",
						i, j, k, slowEnd, fastEnd, made, fast.made())
				}
				more, further = len(made) >= i, len(fast.made()) >= j
				if len(made) < k {
					break
				}
			}
		}
	}
	if len(slow.made()) == 0 || len(fast.made()) == 0 {
		t.Error("a work made no call, so nothing was overtaken")
	}
	return scenes
}

// run plays one scene and returns how each work ended.
func run(slow, fast *Work, s Scene, i, j, k int) (slowEnd, fastEnd error) {
	var (
		stands = make(chan struct{}) // fast stands before its call j, or has ended
		goOn   = make(chan struct{}) // it may go on
		ended  = make(chan struct{})
	)
	stand := sync.OnceFunc(func() { close(stands) })
	let := sync.OnceFunc(func() { close(goOn) })
	fast.before(j, true, func() { stand(); <-goOn })
	begin := sync.OnceFunc(func() {
		go func() {
			defer close(ended)
			fastEnd = s.Fast()
			stand()
		}()
		<-stands
		slow.before(k, false, func() { let(); <-ended })
	})
	slow.before(i, true, begin)
	slowEnd = s.Slow()
	begin() // where slow has no call i
	let()   // where it has no call k
	<-ended
	return slowEnd, fastEnd
}
