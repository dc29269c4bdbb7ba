package crash

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/internal/rig"
)

// parking are the machines that keep disks which nobody uses, one on each node.
var parking = map[string]int{"pve1": 9801, "pve2": 9802, "pve3": 9803}

// withParking is a rig on which machines with unused disks can be removed.
func withParking() rig.Options {
	return rig.Options{Parking: []int{9801, 9802, 9803}}
}

// newPlayhouse is a stage with parking machines.
func newPlayhouse(t *testing.T) *stage {
	s := newStage(t, withParking())
	for node, vmid := range parking {
		if err := s.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: node, Name: "parking"}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// script is what an act does undisturbed: where it can be struck, and what the machine looks like then.
type script struct {
	strikes []strike
	looks   string
}

// rehearse plays a play undisturbed and returns the script of each act. A call counts as often as it was
// made in each rehearsal.
func (p play) rehearse(t *testing.T, s *stage) []script {
	t.Helper()
	scripts := make([]script, len(p.acts))
	calls := make([]map[strike]int, len(p.acts))
	for n := range 2 {
		s.perform(t, 1, func(s *stage) {
			p.run(s, fmt.Sprintf("%s-%d", p.name, n), func(s *stage, i int, ref string) {
				s.expect(strike{})
				p.acts[i].perform(s, ref)
				calls[i] = s.common(calls[i])
				scripts[i].looks = s.portraitOf(ref)
			})
		})
	}
	for i := range scripts {
		scripts[i].strikes = strikes(calls[i])
		if p.acts[i].known {
			scripts[i].strikes = slices.DeleteFunc(scripts[i].strikes, func(at strike) bool { return at.nth > 1 })
		}
	}
	return scripts
}

// run plays the acts on one VM, from its order to its end. do performs one.
func (p play) run(s *stage, ref string, do func(s *stage, i int, ref string)) {
	s.expect(strike{})
	if p.order != nil {
		s.makeVM(ref, p.order)
	}
	for i, a := range p.acts {
		s.expect(strike{})
		if a.stage != nil {
			a.stage(s, ref)
		}
		do(s, i, ref)
	}
	s.expect(strike{})
	if s.now(ref).GetStatus() != terminated {
		s.removeVM(ref)
	}
}

// portraitOf is all that Proxmox has of a VM's machine.
func (s *stage) portraitOf(ref string) string { return s.portrait(int(s.now(ref).GetVmid())) }

// TestEveryCommandKilledAtEveryCall has the service die right before and right after every call that any
// command makes. Each scene is a whole play, in which every act has another strike of its own.
func TestEveryCommandKilledAtEveryCall(t *testing.T) {
	for _, p := range plays() {
		t.Run(p.name, func(t *testing.T) {
			scripts := p.rehearse(t, newPlayhouse(t))
			scenes := 0
			for i, a := range scripts {
				scenes = max(scenes, len(a.strikes))
				t.Logf("%s: %d strikes", p.acts[i], len(a.strikes))
			}
			var tally tally
			p.stage(t, scenes, func(s *stage, n int) {
				p.run(s, fmt.Sprintf("%s-%d", p.name, 100+n), func(s *stage, i int, ref string) {
					p.scene(s, i, ref, scripts[i], n, &tally)
				})
			})
			tally.check(t)
		})
	}
}

// stage plays scenes on several stages at once.
func (p play) stage(t *testing.T, scenes int, scene func(s *stage, n int)) {
	next := make(chan int)
	var playing sync.WaitGroup
	for range stages {
		s := newPlayhouse(t)
		playing.Go(func() {
			for n := range next {
				if !t.Run(fmt.Sprint(n), func(t *testing.T) { s.perform(t, 1, func(s *stage) { scene(s, n) }) }) {
					s = newPlayhouse(t) // what is left of this VM would fail all others
				}
			}
		})
	}
	for n := 0; n < scenes; n += everyNthPlay {
		next <- n
	}
	close(next)
	playing.Wait()
}

// tally counts strikes, and those that found no such call.
type tally struct{ struck, missed atomic.Int32 }

func (c *tally) check(t *testing.T) {
	t.Helper()
	t.Logf("%d strikes, of which %d found no call", c.struck.Load(), c.missed.Load())
	if c.missed.Load() > c.struck.Load()/10 {
		t.Error("too many strikes found no call")
	}
}

// scene performs one act with its nth strike, if it has so many.
func (p play) scene(s *stage, i int, ref string, script script, n int, count *tally) {
	s.t.Helper()
	if n >= len(script.strikes) {
		p.acts[i].perform(s, ref)
		return
	}
	at := script.strikes[n]
	s.expect(at)
	count.struck.Add(1)
	p.acts[i].perform(s, ref)
	if !s.struck() {
		count.missed.Add(1)
	}
	if looks := s.portraitOf(ref); looks != script.looks {
		s.t.Errorf("%s, %s: the machine looks like\n%s\nnot like\n%s", p.acts[i], at, looks, script.looks)
	}
}
