package withstand

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

var (
	walkSeed  = flag.Uint64("walk.seed", 0, "seed of the first random walk; 0 walks the seeds of the suite")
	walkCount = flag.Uint64("walk.walks", 1, "number of random walks, with seeds that follow each other")
	walkSteps = flag.Int("walk.steps", 60, "moves of one random walk")
)

// walkSeeds are those of the suite. With each goes another choice of commands, faults and acts.
var walkSeeds = []uint64{1, 2, 3, 4}

// TestWalk has four VMs get commands at random, while calls go wrong, services stop, Redis forgets and people
// act on Proxmox. When all is quiet again every operation has ended or said why not, and the world is
// what the VMs' states say. The seed gives the choices; what comes first of what goes on at once it does not.
func TestWalk(t *testing.T) {
	t.Parallel()
	seeds := walkSeeds
	if *walkSeed != 0 {
		seeds = nil
		for i := range *walkCount {
			seeds = append(seeds, *walkSeed+i)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWalk(t, seed)
			for range *walkSteps {
				w.step()
			}
			w.rest()
			w.checkStanding()
			w.finish()
			w.checkNothingLeft()
		})
	}
}

// walk is one random walk.
type walk struct {
	*rig.Rig
	t     *testing.T
	rnd   *rand.Rand
	refs  []string
	sent  []*vmlinev1.Command
	crew  []*hand
	story []string
	// mend takes back what was spoiled: faults, locks.
	mend    []func()
	foreign *foreigners
	// byHand are the refs whose machine or status a person has changed: it need not be as the last command left it.
	byHand map[string]bool
	// ahead is how far the services' clock is ahead, in nanoseconds.
	ahead atomic.Int64
	// strangers is how many machines were made for adoptions.
	strangers int
}

// hand is one instance of a service; stop is nil while it does not run.
type hand struct {
	service chain.Service
	stop    func()
}

// newWalk has two of each service, foreign machines among the VMIDs, and few addresses.
func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	w := &walk{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), refs: refs("walk", 4), byHand: map[string]bool{}}
	w.Rig = rig.New(t, w.options())
	w.foreign = &foreigners{t: t, sim: w.Sim}
	for _, vmid := range []int{100, 103} {
		w.foreign.arrive(vmid)
	}
	for i, vmid := range parking {
		must(t, w.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: fmt.Sprintf("pve%d", i+1), Name: "parking"}))
	}
	for _, service := range slices.Concat(everyService, everyService, []chain.Service{chain.DNS}) {
		w.crew = append(w.crew, &hand{service: service})
	}
	w.startServices()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("-walk.seed=%d -walk.steps=%d:\n%s", seed, *walkSteps, strings.Join(w.story, "\n"))
		}
	})
	return w
}

// options are of a world in which tasks take a moment, and whose services soon ask a person.
func (w *walk) options() rig.Options {
	cfg := lapse()
	cfg.Durations = pvesim.Durations{
		Clone: 2 * time.Second, Config: time.Second, Resize: time.Second, Start: time.Second, Stop: time.Second, Destroy: time.Second,
		Shutdown: time.Second, Reboot: time.Second, Migrate: 2 * time.Second, Move: time.Second, SnapshotDelete: time.Second,
	}
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9401, Node: "pve1", Name: "local", Storage: "local"})
	return rig.Options{
		Sim: cfg, Parking: parking,
		Now:   func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
		Retry: bus.RetryPolicy{First: 5 * time.Millisecond, Cap: 100 * time.Millisecond, GiveUp: 2 * time.Second},
		Pools: []*vmlinev1.Pool{
			{Name: "v4", Cluster: rig.Cluster, Bridge: "vmbr0", Prefix: "10.64.0.0/28", Gateway: "10.64.0.1"},
			{Name: "v6", Cluster: rig.Cluster, Bridge: "vmbr0", Prefix: "2001:db8:64::/64", Gateway: "2001:db8:64::1"},
			{Name: "vlan", Cluster: rig.Cluster, Bridge: "vmbr0", Vlan: 7, Prefix: "10.65.0.0/28", Gateway: "10.65.0.1"},
		},
	}
}

// startServices starts those that do not run.
func (w *walk) startServices() {
	for _, h := range w.crew {
		if h.stop == nil {
			h.stop = w.Start(h.service, rig.Edge{})
		}
	}
}

// tell keeps what was done, for a walk that fails.
func (w *walk) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%3d %s ", len(w.story), time.Now().Format("05.000"))+fmt.Sprintf(format, args...))
}

// one of several, at random.
func one[T any](w *walk, of ...T) T { return of[w.rnd.IntN(len(of))] }

// odds is true in one of n cases.
func (w *walk) odds(n int) bool { return w.rnd.IntN(n) == 0 }

// step makes one move, each as often as its weight says.
func (w *walk) step() {
	at := 0
	for _, m := range moves {
		at += m.weight
	}
	at = w.rnd.IntN(at)
	for _, m := range moves {
		if at -= m.weight; at < 0 {
			m.do(w)
			return
		}
	}
}
