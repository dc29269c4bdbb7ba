package crash

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// stages is how many rigs work at the same time: most of a chain's time is waiting.
const stages = 6

// packages are what is ordered.
var packages = map[string]*vmlinev1.Package{"small": rig.Small("web-1"), "full": rig.Full("web-1")}

// scene is the life of one VM, in which a service dies while it is made, and one while it is taken
// away.
type scene struct {
	pkg                string
	making, takingAway strike
	// first and last are set in the first scene that has its strike in the making, and in the taking
	// away.
	first, last bool
	// looks is what the finished machine has to look like.
	looks string
}

// record runs each package's chain undisturbed, and returns scenes for every call that a service
// makes, before and after.
func record(t *testing.T, o rig.Options, names ...string) []scene {
	t.Helper()
	s := newStage(t, o)
	var scenes []scene
	for _, pkg := range names {
		var making, takingAway map[strike]int
		var looks string
		for i := range 3 {
			s.perform(t, 1, func(s *stage) {
				ref := fmt.Sprintf("%s-%d", pkg, i)
				looks = s.makeVM(ref, packages[pkg])
				making = s.common(making)
				s.dress(ref)
				s.expect(strike{})
				s.removeVM(ref)
				takingAway = s.common(takingAway)
			})
		}
		m, a := strikes(making), strikes(takingAway)
		for i := range max(len(m), len(a)) {
			scenes = append(scenes, scene{pkg, m[i%len(m)], a[i%len(a)], i < len(m), i < len(a), looks})
		}
	}
	return scenes
}

// common is how often each call was made at least, in this run and in those before: under load a
// message may come a second time, which costs a call.
func (s *stage) common(before map[strike]int) map[strike]int {
	now := map[strike]int{}
	for _, f := range s.fates {
		for call, n := range f.counted() {
			key := strike{service: f.service, call: call}
			if before != nil {
				n = min(n, before[key])
			}
			now[key] = n
		}
	}
	return now
}

// strikes are a strike before and one after each of the calls.
func strikes(calls map[strike]int) []strike {
	var all []strike
	order := func(a, b strike) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.call, b.call))
	}
	for _, at := range slices.SortedFunc(maps.Keys(calls), order) {
		for at.nth = 1; at.nth <= calls[strike{service: at.service, call: at.call}]; at.nth++ {
			for _, at.after = range []bool{false, true} {
				all = append(all, at)
			}
		}
	}
	return all
}

// play runs one scene. unstruck is told of a strike that has found no such call yet.
func (s *stage) play(t *testing.T, ref string, row scene, instances int, unstruck func(*stage)) {
	s.perform(t, instances, func(s *stage) {
		act := func(name string, at strike, do func(*stage)) {
			t.Run(name+"/"+at.String(), func(t *testing.T) {
				view := s.view(t)
				view.expect(at)
				do(view)
				if !view.struck() {
					unstruck(view)
				}
			})
		}
		act("create", row.making, func(s *stage) {
			s.makeVM(ref, packages[row.pkg])
			s.checkLooks(ref, row.looks)
		})
		if t.Failed() {
			return
		}
		s.dress(ref)
		act("terminate", row.takingAway, func(s *stage) { s.removeVM(ref) })
	})
}

func TestKilledAtEveryCall(t *testing.T) {
	eachScene(t, rig.Options{}, record(t, rig.Options{}, "small", "full"), func(t *testing.T, s *stage, ref string, row scene) {
		// A call that nothing waits for, such as an acknowledgement, may come a little later.
		s.play(t, ref, row, 1, func(s *stage) { s.await("that call is made", s.struck) })
	})
}

// TestKilledAtEveryCallOfTwo has two instances of every service, every state tells its owner twice
// to act, and every second acknowledgement is lost. Which calls are made depends on who is first, so
// a strike may find none; most do.
func TestKilledAtEveryCallOfTwo(t *testing.T) {
	var unstruck, struck atomic.Int32
	eachScene(t, rig.Options{}, record(t, rig.Options{}, "full"), func(t *testing.T, s *stage, ref string, row scene) {
		defer s.twice(t)()
		struck.Add(2)
		s.play(t, ref, row, 2, func(*stage) { unstruck.Add(1) })
	})
	t.Logf("%d of %d strikes found no call", unstruck.Load(), struck.Load())
	if unstruck.Load() > struck.Load()/10 {
		t.Error("too many")
	}
}

// twice has every state of a VM told to its owner a second time, until stop is called.
func (s *stage) twice(t *testing.T) (stop func()) {
	t.Helper()
	for _, f := range s.fates {
		f.loseAcks()
	}
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		err := s.Bus.Tail(ctx, "*", func() { close(started) }, func(e bus.Entry) bool {
			if step, ok := chain.Next(e.VM); ok {
				_ = s.Bus.Retrigger(ctx, step.Owner, e.VM.GetRef(), e.Seq) // the first telling is enough
			}
			return true
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	return func() {
		cancel()
		watching.Wait()
	}
}

// eachScene plays the rows on several stages at once.
func eachScene(t *testing.T, o rig.Options, rows []scene, play func(*testing.T, *stage, string, scene)) {
	t.Helper()
	t.Logf("%d scenes, of which every %d. is played", len(rows), everyNth)
	next := make(chan int)
	var playing sync.WaitGroup
	for range stages {
		s := warmStage(t, o)
		playing.Go(func() {
			for i := range next {
				if !t.Run(fmt.Sprintf("%s/%d", rows[i].pkg, i), func(t *testing.T) { play(t, s, fmt.Sprintf("vm-%d", i), rows[i]) }) {
					s = warmStage(t, o) // what is left of this VM would fail all others
				}
			}
		})
	}
	for i := 0; i < len(rows); i += everyNth {
		next <- i
	}
	close(next)
	playing.Wait()
}

// warmStage is a stage on which Redis knows ipam's scripts.
func warmStage(t *testing.T, o rig.Options) *stage {
	t.Helper()
	s := newStage(t, o)
	s.perform(t, 1, func(s *stage) {
		s.makeVM("warm", packages["small"])
		s.removeVM("warm")
	})
	return s
}
