package withstand

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/provisioner"
)

// mostAtOnce is how many tasks of a type ran at the same time, at the worst moment.
func mostAtOnce(r *rig.Rig, typ string) (most int) {
	tasks := slices.DeleteFunc(r.Sim.Tasks(), func(t pvesim.TaskState) bool { return t.Type != typ })
	for _, t := range tasks {
		n := 0
		for _, other := range tasks {
			if !other.Started.After(t.Started) && (other.Running || other.Ended.After(t.Started)) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// waits says that a VM waits for its turn and shows it.
func waits(vm *vmlinev1.VM) bool {
	return strings.HasPrefix(vm.GetProblem().GetCause(), "waits for its turn: ")
}

// TestTurnsAreFairAndSeen: one clone at a time. A customer with five orders does not hold up the one order
// of another; all that wait say what for, and how many are before them, and none counts it as a failure.
func TestTurnsAreFairAndSeen(t *testing.T) {
	t.Parallel()
	const task = time.Minute
	cfg, clock := slowly(pvesim.Durations{Clone: task})
	r := rig.New(t, rig.Options{Sim: cfg, Rules: provisioner.Rules{TasksPerStorage: 1}})
	startAll(r, 2, rig.Edge{})
	order := func(ref, customer string) {
		pkg := rig.Small(ref)
		pkg.Customer = customer
		r.Order(ref, pkg)
	}
	many := refs("many", 5)
	order(many[0], "a")
	r.Await(many[0], doing(machine.PurposeClone))
	for _, ref := range many[1:] {
		order(ref, "a")
		r.Await(ref, waits)
	}
	order("few-7001", "b")
	vm := r.Await("few-7001", waits)
	// Customer b has had no turn yet, customer a has one now.
	if p := vm.GetProblem(); p.GetCause() != "waits for its turn: 1 of 1 heavy tasks run on storage shared1; 0 wait before it" || p.GetNext() != "Nothing to do." || vm.GetRetry().GetAttempts() != 0 {
		t.Errorf("%v, %v", p, vm.GetRetry())
	}
	all := append(slices.Clone(many), "few-7001")
	for n := range all {
		eventually(t, "the next clone", func() bool { return len(cloneTasks(r)) > n })
		clock.pass(task)
	}
	awaitAll(r, all, create)
	r.CheckWorld()
	if most := mostAtOnce(r, "qmclone"); most != 1 {
		t.Errorf("%d clones at once", most)
	}
	few := r.Await("few-7001", rig.Ended(create))
	tasks := cloneTasks(r)
	if place := slices.IndexFunc(tasks, func(c int) bool { return c == int(few.GetVmid()) }); place != 1 {
		t.Errorf("the order of the other customer had turn %d, want the second", place+1)
	}
}

// cloneTasks are the VMIDs that were cloned, in their order.
func cloneTasks(r *rig.Rig) (vmids []int) {
	for _, c := range r.Sim.Calls() {
		if c.Method == http.MethodPost && strings.HasSuffix(c.Path, "/clone") && c.Code == http.StatusOK {
			vmids = append(vmids, number(c.Params["newid"]))
		}
	}
	return vmids
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // 0 for no number
	return n
}

// TestALimitOutlivesItsHolder: the provisioner that ordered a clone dies and learns nothing any more. The
// one that goes on holds the lease, so nobody else's clone begins beside it.
func TestALimitOutlivesItsHolder(t *testing.T) {
	t.Parallel()
	const task = time.Hour
	cfg, clock := slowly(pvesim.Durations{Clone: task})
	r := rig.New(t, rig.Options{Sim: cfg, Rules: provisioner.Rules{TasksPerStorage: 1}})
	r.Start(chain.IPAM, rig.Edge{})
	r.Start(chain.Lifecycle, rig.Edge{})
	var dead atomic.Bool
	died := errors.New("it has died")
	stop := r.Start(chain.Provisioner, rig.Edge{Bus: func(ctx context.Context, _ string, do func(context.Context) error) error {
		if dead.Load() {
			return died
		}
		return do(ctx)
	}})
	r.Order("held-7101", rig.Small("held"))
	r.Await("held-7101", doing(machine.PurposeClone))
	dead.Store(true)
	stop()
	r.Start(chain.Provisioner, rig.Edge{})
	r.Order("next-7102", rig.Small("next"))
	vm := r.Await("next-7102", waits)
	if cause := vm.GetProblem().GetCause(); !strings.Contains(cause, "1 of 1 heavy tasks run on storage shared1") {
		t.Errorf("%s", cause)
	}
	if n := asked(r, http.MethodPost, "/clone"); n != 1 {
		t.Errorf("%d clones were ordered", n)
	}
	clock.pass(task)
	r.Await("held-7101", rig.Ended(create))
	eventually(t, "the second clone", func() bool { return len(cloneTasks(r)) == 2 })
	clock.pass(task)
	awaitAll(r, []string{"held-7101", "next-7102"}, create)
	r.CheckWorld()
	if most := mostAtOnce(r, "qmclone"); most != 1 {
		t.Errorf("%d clones at once", most)
	}
}

// TestNodesHaveTheirOwnLimit: two provisioners clone one local template and migrate to three nodes. No node
// and no storage has more than its share, and Redis forgets everything in the middle.
func TestNodesHaveTheirOwnLimit(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Durations = pvesim.Durations{Clone: 30 * time.Millisecond, Migrate: 50 * time.Millisecond}
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9301, Node: "pve1", Name: "local", Storage: "local"})
	const limit = 2
	r := rig.New(t, rig.Options{Sim: &cfg, Rules: provisioner.Rules{TasksPerNode: limit}})
	startAll(r, 2, rig.Edge{})
	all := refs("limit", 12)
	for i, ref := range all {
		pkg := rig.Small(ref)
		pkg.Template, pkg.Node = "local", []string{"pve2", "pve3"}[i%2]
		r.Order(ref, pkg)
	}
	r.Await(all[0], rig.Ended(create))
	must(t, r.Redis.FlushAll(t.Context()).Err())
	awaitAll(r, all, create)
	r.CheckWorld()
	// Every clone and every migration begins on pve1; the task is listed there.
	for _, typ := range []string{"qmclone", "qmigrate"} {
		if most := mostAtOnce(r, typ); most > limit {
			t.Errorf("%d tasks %s at once", most, typ)
		}
	}
}
