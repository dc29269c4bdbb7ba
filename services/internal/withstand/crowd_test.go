package withstand

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// crowd is how many orders come at once.
const crowd = 200

// TestRows2And8And16Crowd: 200 orders that wait when the services come up, two of each service, a pool with
// exactly 200 addresses, and foreign machines that stand on free VMIDs from the start or take them
// right before the clone that was to have them.
func TestRows2And8And16Crowd(t *testing.T) {
	t.Parallel()
	pool := &vmlinev1.Pool{
		Name: "v4", Cluster: rig.Cluster, Bridge: "vmbr0", Prefix: "10.64.0.0/24", Gateway: "10.64.0.1",
		First: "10.64.0.20", Last: "10.64.0.219",
	}
	r := rig.New(t, rig.Options{Pools: []*vmlinev1.Pool{pool}})
	foreign := &foreigners{t: t, sim: r.Sim}
	for _, vmid := range []int{100, 103, 150} {
		foreign.arrive(vmid)
	}
	orders := refs("crowd", crowd)
	for i, ref := range orders {
		r.Order(ref, rig.Small("c"+strconv.Itoa(i)))
	}
	clones := 0
	ahead := &between{before: func(_ int, c call) {
		if !c.is(http.MethodPost, "/clone") {
			return
		}
		if clones++; clones%25 == 0 {
			foreign.arrive(newID(c.req))
		}
	}}
	startAll(r, 2, ahead.proxmoxEdge())
	awaitAll(r, orders, create)
	r.CheckWorld()
	r.CheckReserved(crowd, crowd+foreign.intruders())
	if n := len(r.Ours()); n != crowd {
		t.Errorf("%d machines", n)
	}
	foreign.check()

	r.Order("crowd-late", rig.Small("late"))
	vm := r.Await("crowd-late", rig.Parked)
	if !strings.Contains(vm.GetProblem().GetCause(), "pool v4 (10.64.0.0/24) has 0 of 200 free") {
		t.Errorf("order 201: %v", vm.GetProblem())
	}
	r.Terminate("crowd-late")
	for _, ref := range orders {
		r.Terminate(ref)
	}
	awaitAll(r, append(orders, "crowd-late"), terminate)
	r.CheckWorld()
	r.CheckReserved(0, foreign.intruders())
	foreign.check()
}

// TestRow2ForeignMachinesAllTheWay has somebody else's machine take every VMID of an order, four times.
func TestRow2ForeignMachinesAllTheWay(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	foreign := &foreigners{t: t, sim: r.Sim}
	tried := map[int]bool{}
	ahead := &between{before: func(_ int, c call) {
		if !c.is(http.MethodPost, "/clone") {
			return
		}
		vmid := newID(c.req)
		if tried[vmid] {
			t.Errorf("VMID %d is tried again", vmid)
		}
		if tried[vmid] = true; len(tried) <= 4 {
			foreign.arrive(vmid)
		}
	}}
	startAll(r, 1, ahead.proxmoxEdge())
	r.Order("late-5101", rig.Small("late"))
	r.Await("late-5101", rig.Ended(create))
	r.CheckWorld()
	if len(tried) != 5 {
		t.Errorf("VMIDs tried: %v", tried)
	}
	foreign.unchanged()
}

// foreigners are machines that are not ours, as they were when they came.
type foreigners struct {
	t    *testing.T
	sim  *pvesim.Cluster
	came []pvesim.VMState
}

func (f *foreigners) arrive(vmid int) {
	if _, exists := f.sim.VM(vmid); exists || vmid == 0 {
		return // the clone is a repetition, and its machine is there
	}
	if err := f.come(vmid); err != nil {
		f.t.Errorf("add a foreign machine: %v", err)
	}
}

// come adds one, unless another machine was faster.
func (f *foreigners) come(vmid int) error {
	spec := pvesim.VMSpec{
		VMID: vmid, Node: fmt.Sprintf("pve%d", 1+vmid%3), Name: "foreign-" + strconv.Itoa(vmid),
		Storage: "shared1", DiskGB: 3, Running: vmid%2 == 0, Config: map[string]string{"description": "somebody else's", "tags": "theirs"},
	}
	if err := f.sim.AddVM(spec); err != nil {
		return err
	}
	state, _ := f.sim.VM(vmid)
	f.came = append(f.came, state)
	return nil
}

// leave takes one away again, as a person does who is told that it is in our way. It reports whether it was one.
func (f *foreigners) leave(vmid int) bool {
	before := len(f.came)
	f.came = slices.DeleteFunc(f.came, func(vm pvesim.VMState) bool { return vm.VMID == vmid })
	return len(f.came) < before && f.sim.Remove(vmid)
}

// intruders are those that took a VMID which this system had reserved.
func (f *foreigners) intruders() int { return len(f.came) - 3 }

func (f *foreigners) check() {
	f.t.Helper()
	if f.intruders() < 3 {
		f.t.Errorf("only %d foreign machines came in the middle", f.intruders())
	}
	f.unchanged()
}

// unchanged fails the test unless every foreign machine is as it came.
func (f *foreigners) unchanged() {
	f.t.Helper()
	for _, before := range f.came {
		after, _ := f.sim.VM(before.VMID)
		if !reflect.DeepEqual(before, after) {
			f.t.Errorf("foreign machine changed:\n%+v\n%+v", before, after)
		}
	}
	for _, v := range f.sim.Volumes() {
		for _, vm := range f.came {
			if v.VMID == vm.VMID && v.SizeBytes != 3<<30 {
				f.t.Errorf("volume of a foreign machine: %+v", v)
			}
		}
	}
}

// newID reads the VMID that a clone is to have.
func newID(req *http.Request) int {
	vmid, _ := strconv.Atoi(bodyOf(req)["newid"])
	return vmid
}
