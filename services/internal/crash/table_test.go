package crash

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// stages is how many rigs work at the same time: most of a chain's time is waiting.
const stages = 6

// options of the rigs: what a stopped process had fetched and not begun waits for AckWait.
var options = rig.Options{AckWait: 300 * time.Millisecond}

// packages are what is ordered.
var packages = map[string]func(string) *vmlinev1.Package{"small": rig.Small, "full": rig.Full}

// scene is one row of the table: a package, the operation in which a service dies, and where.
type scene struct {
	pkg string
	in  vmlinev1.Operation_Kind
	at  strike
	// looks is what the finished machine has to look like.
	looks string
}

func (s scene) String() string {
	return fmt.Sprintf("%s/%s/%s", chain.KindName(s.in), s.pkg, s.at)
}

// record runs each package's chain once undisturbed, and returns a scene for every call that a
// service made, before and after.
func record(t *testing.T) []scene {
	t.Helper()
	s := newStage(t, options)
	var scenes []scene
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		// The first time, Redis learns ipam's scripts.
		for _, ref := range []string{"first-" + pkg, "second-" + pkg} {
			scenes = slices.DeleteFunc(scenes, func(s scene) bool { return s.pkg == pkg })
			s.perform(t, 1, strike{}, func(s *stage) {
				looks := s.makeVM(ref, packages[pkg]("web-1"))
				scenes = append(scenes, s.scenes(pkg, create, looks)...)
				s.dress(ref)
				s.expect(strike{})
				s.removeVM(ref)
				scenes = append(scenes, s.scenes(pkg, terminate, looks)...)
			})
		}
	}
	return scenes
}

// scenes are the calls counted since the operation began, as rows.
func (s *stage) scenes(pkg string, in vmlinev1.Operation_Kind, looks string) []scene {
	var rows []scene
	for _, f := range s.fates {
		calls := f.counted()
		for _, call := range slices.Sorted(maps.Keys(calls)) {
			for nth := range calls[call] {
				for _, after := range []bool{false, true} {
					rows = append(rows, scene{pkg, in, strike{f.service, call, nth + 1, after}, looks})
				}
			}
		}
	}
	return rows
}

// play runs one scene: the VM is made and taken away, and meanwhile a service dies.
func (s *stage) play(t *testing.T, ref string, row scene, instances int) {
	t.Helper()
	in := map[vmlinev1.Operation_Kind]strike{row.in: row.at}
	s.perform(t, instances, in[create], func(s *stage) {
		if looks := s.makeVM(ref, packages[row.pkg]("web-1")); looks != row.looks {
			t.Errorf("the machine looks like\n%s\nnot like\n%s", looks, row.looks)
		}
		s.dress(ref)
		if row.in == terminate {
			s.expect(row.at)
		}
		s.removeVM(ref)
	})
}

// struck says whether the scene's service has died.
func (s *stage) struck() bool {
	return slices.ContainsFunc(s.fates, func(f *fate) bool { return f.hasStruck() })
}

func TestKilledAtEveryCall(t *testing.T) {
	rows := record(t)
	t.Logf("%d scenes", len(rows))
	eachScene(t, rows, func(t *testing.T, s *stage, ref string, row scene) {
		s.play(t, ref, row, 1)
		if !s.struck() {
			t.Error("that call was not made")
		}
	})
}

// eachScene plays the rows on several stages at once.
func eachScene(t *testing.T, rows []scene, play func(*testing.T, *stage, string, scene)) {
	t.Helper()
	next := make(chan int)
	var playing sync.WaitGroup
	for range stages {
		s := newStage(t, options)
		s.perform(t, 1, strike{}, func(s *stage) { // Redis learns ipam's scripts
			s.makeVM("warm", rig.Small("warm"))
			s.removeVM("warm")
		})
		playing.Go(func() {
			for i := range next {
				t.Run(rows[i].String(), func(t *testing.T) { play(t, s, fmt.Sprintf("vm-%d", i), rows[i]) })
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	playing.Wait()
}
