package crash

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// parking are the machines that keep disks which nobody uses, one on each node.
var parking = map[string]int{"pve1": 9801, "pve2": 9802, "pve3": 9803}

// withParking is a rig on which machines with unused disks can be removed.
func withParking() rig.Options {
	return rig.Options{Parking: []int{9801, 9802, 9803}}
}

// newPlayhouse is a stage with parking machines, and with a name server if the play has one.
func (p play) newPlayhouse(t *testing.T) *stage {
	o := withParking()
	var n *names
	if p.named {
		n = newNames(t)
		o.Zones, o.AckWait = n.zones(), 300*time.Millisecond // each lost acknowledgement costs that
	}
	s := newStage(t, o)
	s.names = n
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
				s.settle()
				calls[i] = s.common(calls[i])
				scripts[i].looks = s.portraitOf(ref)
			})
		})
	}
	for i := range scripts {
		scripts[i].strikes = strikes(calls[i])
		scripts[i].strikes = slices.DeleteFunc(scripts[i].strikes, p.acts[i].omits)
	}
	return scripts
}

// omits says whether a strike is left out, because others show the same.
func (a act) omits(at strike) bool {
	return a.known && at.nth > 1 || a.follows && at.service != chain.DNS || at.call == "vm.next" && at.nth > 2
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
	s.settle()
	s.names.clear(s.t)
}

// portraitOf is all that Proxmox has of a VM's machine.
func (s *stage) portraitOf(ref string) string { return s.portrait(int(s.now(ref).GetVmid())) }

// TestEveryCommandKilledAtEveryCall has the service die right before and right after every call that any
// command makes. Each scene is a whole play, in which every act has another strike of its own.
func TestEveryCommandKilledAtEveryCall(t *testing.T) {
	for _, p := range plays() {
		t.Run(p.name, func(t *testing.T) {
			scripts := p.rehearse(t, p.newPlayhouse(t))
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
		s := p.newPlayhouse(t)
		playing.Go(func() {
			for n := range next {
				if !t.Run(fmt.Sprint(n), func(t *testing.T) { s.perform(t, 1, func(s *stage) { scene(s, n) }) }) {
					s = p.newPlayhouse(t) // what is left of this VM would fail all others
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

// TestPlaysHaveEveryCommand keeps the table whole.
func TestPlaysHaveEveryCommand(t *testing.T) {
	played := map[vmlinev1.Operation_Kind]bool{vmlinev1.Operation_KIND_UNSPECIFIED: true}
	for _, p := range plays() {
		for _, a := range p.acts {
			played[a.kind] = true
		}
	}
	for number, name := range vmlinev1.Operation_Kind_name {
		if !played[vmlinev1.Operation_Kind(number)] {
			t.Errorf("no play has %s", name)
		}
	}
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
	p.acts[i].struck(s, ref, script.strikes[n], count)
	s.checkLooks(ref, script.looks, p.acts[i], script.strikes[n])
}

// struck performs the act with a strike.
func (a act) struck(s *stage, ref string, at strike, count *tally) {
	s.t.Helper()
	s.expect(at)
	count.struck.Add(1)
	a.perform(s, ref)
	s.settle()
	if !s.struck() { // a call that nothing waits for, such as an acknowledgement, may come a little later
		s.AwaitRest(bus.StreamVM, string(chain.IPAM), string(chain.Provisioner), string(chain.Lifecycle))
		s.AwaitRest(bus.StreamCMD, "lifecycle-cmd")
	}
	if !s.struck() {
		count.missed.Add(1)
	}
}
