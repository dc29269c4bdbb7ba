package withstand

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// fault is one way in which a call to Proxmox goes wrong.
type fault struct {
	name string
	pvesim.Fault
	// parks is what the problem must say where a person has to help; empty where the fault mends
	// itself by repetition.
	parks string
	// tasks says that only calls that start a task can go wrong like this.
	tasks bool
	// once says that it is no harder the third time.
	once bool
}

var faults = []fault{
	{name: "slow", Fault: pvesim.Fault{Kind: pvesim.Slow, Delay: 5 * time.Second}, once: true},
	{name: "busy", Fault: pvesim.Fault{Kind: pvesim.Refuse, Text: "cfs-lock 'storage-shared1' error: got lock request timeout"}, once: true},
	{
		name:  "forbidden",
		Fault: pvesim.Fault{Kind: pvesim.Refuse, Code: 403, Text: "Permission check failed (/vms/1, VM.Some)"},
		parks: "Permission check failed (/vms/1, VM.Some)",
	},
	{name: "596 but done", Fault: pvesim.Fault{Kind: pvesim.RefuseAfter}},
	{name: "dropped before", Fault: pvesim.Fault{Kind: pvesim.DropBefore}, once: true},
	{name: "dropped after", Fault: pvesim.Fault{Kind: pvesim.DropAfter}},
	{name: "node down", Fault: pvesim.Fault{Kind: pvesim.NodeDown}},
	{name: "lock timeout", Fault: pvesim.Fault{Kind: pvesim.LockTimeout}, tasks: true},
	{name: "task fails", Fault: pvesim.Fault{Kind: pvesim.TaskError, Text: "something went wrong on the node"}, tasks: true},
	{name: "task warns", Fault: pvesim.Fault{Kind: pvesim.TaskWarnings, Warnings: 2}, tasks: true}, // row 24
	{name: "storage full", Fault: pvesim.Fault{Kind: pvesim.StorageFull}, parks: "No space left on device", tasks: true},
}

// faulty is a kind of call. The path has %d where the VMID stands.
type faulty struct {
	name, method, path string
	// tasks says that the call starts a task, room that the task needs room on a storage.
	tasks, room bool
}

// creates are the calls of a creation that name the machine. The clone names the template, so every
// case has a template of its own, whose VMID is the machine's and 10000.
var creates = []faulty{
	{"clone", http.MethodPost, "/nodes/*/qemu/1%04d/clone", true, true},
	{"read the configuration", http.MethodGet, "/nodes/*/qemu/%d/config", false, false},
	{"configure", http.MethodPost, "/nodes/*/qemu/%d/config", true, true},
	{"resize", http.MethodPut, "/nodes/*/qemu/%d/resize", true, true},
	{"set firewall options", http.MethodPut, "/nodes/*/qemu/%d/firewall/options", false, false},
	{"make IP set", http.MethodPost, "/nodes/*/qemu/%d/firewall/ipset", false, false},
	{"add to IP set", http.MethodPost, "/nodes/*/qemu/%d/firewall/ipset/ipfilter-net0", false, false},
	{"read rules", http.MethodGet, "/nodes/*/qemu/%d/firewall/rules", false, false},
	{"add rule", http.MethodPost, "/nodes/*/qemu/%d/firewall/rules", false, false},
	{"start", http.MethodPost, "/nodes/*/qemu/%d/status/start", true, false},
	{"status", http.MethodGet, "/nodes/*/qemu/%d/status/current", false, false},
	{"ask the agent", http.MethodPost, "/nodes/*/qemu/%d/agent/ping", false, false},
}

// terminates are the calls of a termination that name the machine. Every machine has a snapshot and
// a backup then.
var terminates = []faulty{
	{"read the configuration", http.MethodGet, "/nodes/*/qemu/%d/config", false, false},
	{"delete backup", http.MethodDelete, "/nodes/*/storage/shared1/content/*/vzdump-qemu-%d-2026_01_02-03_04_05.vma.zst", true, false},
	{"delete snapshot", http.MethodDelete, "/nodes/*/qemu/%d/snapshot/before", true, false},
	{"status", http.MethodGet, "/nodes/*/qemu/%d/status/current", false, false},
	{"stop", http.MethodPost, "/nodes/*/qemu/%d/status/stop", true, false},
	{"destroy", http.MethodDelete, "/nodes/*/qemu/%d", true, false},
}

// trial is one fault in one kind of call, so many times.
type trial struct {
	faulty
	fault
	times int
	vmid  int
	ref   string
	// template is empty for the case's own.
	template string
}

func (c trial) String() string {
	return fmt.Sprintf("%s: %s %d times", c.faulty.name, c.fault.name, c.times)
}

// trials is every fault with every kind of call that it can happen to, once and three times.
func trials(prefix string, calls []faulty, firstVMID int) []trial {
	var all []trial
	for _, call := range calls {
		for _, f := range faults {
			if f.tasks && !call.tasks || f.Kind == pvesim.StorageFull && !call.room {
				continue
			}
			for _, times := range []int{1, 3} {
				if f.once && times > 1 {
					continue
				}
				vmid := firstVMID + len(all)
				all = append(all, trial{faulty: call, fault: f, times: times, vmid: vmid, ref: fmt.Sprintf("%s-%d", prefix, 20000+vmid)})
			}
		}
	}
	return all
}

// order adds the fault to the cluster until remove.
func (c trial) order(sim *pvesim.Cluster) (remove func()) {
	f := c.Fault
	f.Method, f.Times, f.Path = c.method, c.times, c.path
	if strings.Contains(c.path, "%") {
		f.Path = fmt.Sprintf(c.path, c.vmid)
	}
	return sim.AddFault(f)
}

// finish repeats the command as often as the fault parks it, and returns the VM at the end.
func (c trial) finish(t *testing.T, r *rig.Rig, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package) *vmlinev1.VM {
	t.Helper()
	vm := r.Await(c.ref, settled(kind))
	for parked := 1; rig.Parked(vm); parked++ {
		p := vm.GetProblem()
		if c.parks == "" || parked > c.times || !strings.Contains(p.GetCause(), c.parks) || p.GetKept() == "" || p.GetNext() == "" {
			t.Errorf("%s: parked with %v", c, p)
			return vm
		}
		vm = again(r, c.ref, kind, pkg)
	}
	r.CheckLog(c.ref)
	return vm
}

// TestRows12And24Faults: every fault in every kind of call. The machine ends as the same order makes
// it undisturbed, with no second disk, rule, set or snapshot, or a person is asked with the right
// cause, and the repeated order ends so. Afterwards terminations meet the same faults.
func TestRows12And24Faults(t *testing.T) {
	t.Parallel()
	cfg := lapse()
	cfg.Durations = pvesim.Durations{Clone: time.Second, Config: time.Second, Resize: time.Second, Start: time.Second, Stop: time.Second, Destroy: time.Second}
	r := rig.New(t, rig.Options{Sim: cfg})
	startAll(r, 1, rig.Edge{})
	foreign := &foreigners{t: t, sim: r.Sim}
	foreign.arrive(5001)

	creations := trials("create", creates, 3000)
	calm := trial{ref: "calm-1", vmid: 2999}
	all := append(slices.Clone(creations), calm)
	for _, c := range all {
		must(t, r.Sim.AddVM(pvesim.VMSpec{
			VMID: 10000 + c.vmid, Node: "pve1", Name: fmt.Sprintf("tmpl-%d", c.vmid), Storage: "shared1", DiskGB: 2, CloudInit: true, Template: true,
			Config: map[string]string{"agent": "1", "boot": "order=scsi0", "net0": "virtio,bridge=vmbr0"},
		}))
	}
	for _, c := range creations {
		c.order(r.Sim)
	}
	for _, c := range all {
		r.Order(c.ref, c.pkg())
	}
	want := shape(r, calm.finish(t, r, create, nil))
	for _, c := range creations {
		vm := c.finish(t, r, create, c.pkg())
		sameShape(t, c.String(), shape(r, vm), want)
		c.checkWarned(t, vm)
	}
	r.CheckWorld()
	r.CheckReserved(3*len(all), len(all))

	for _, c := range all {
		r.Sim.AddSnapshot(c.vmid, "before", "")
		state, _ := r.Sim.VM(c.vmid)
		_, err := r.Sim.AddBackup(pvesim.BackupSpec{VMID: c.vmid, Node: state.Node, Storage: "shared1", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), SizeBytes: 1})
		must(t, err)
	}
	endings := trials("create", terminates, 3000)
	if len(endings) > len(creations) {
		t.Fatalf("%d machines for %d terminations", len(creations), len(endings))
	}
	for _, c := range endings {
		c.order(r.Sim)
	}
	for _, c := range all {
		r.Terminate(c.ref)
	}
	for _, c := range endings {
		c.finish(t, r, terminate, nil)
	}
	for _, c := range all[len(endings):] {
		r.Await(c.ref, rig.Ended(terminate))
	}
	r.CheckWorld()
	r.CheckReserved(0, 0)
	for _, v := range r.Sim.Volumes() {
		if v.VMID >= 2999 && v.VMID < 5000 {
			t.Errorf("left behind: %+v", v)
		}
	}
	if len(r.Sim.Firewalls()) > 0 {
		t.Errorf("firewalls left behind: %v", r.Sim.Firewalls())
	}
	foreign.unchanged()
}

// checkWarned sees that a task's warnings have come to the VM, and that there are no others.
func (c trial) checkWarned(t *testing.T, vm *vmlinev1.VM) {
	t.Helper()
	warned, warns := len(vm.GetWarnings()) > 0, c.Kind == pvesim.TaskWarnings
	if warns && c.faulty.name == "configure" {
		return // one that ends within its call answers without them; how long it takes is up to the machine
	}
	if warned != warns {
		t.Errorf("%s: warnings %q", c, vm.GetWarnings())
	}
}

func (c trial) pkg() *vmlinev1.Package {
	pkg := rig.Full(fmt.Sprintf("f-%d", c.vmid))
	pkg.FirstVmid, pkg.Readiness = uint32(c.vmid), vmlinev1.Readiness_READINESS_AGENT
	pkg.Template = cmp.Or(c.template, fmt.Sprintf("tmpl-%d", c.vmid))
	return pkg
}

// TestRow7FaultsOfSharedCalls: every fault in the calls that name no machine, one after the other. No
// machine counts as gone because of them.
func TestRow7FaultsOfSharedCalls(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{Sim: lapse()})
	r.Start(chain.IPAM, rig.Edge{})
	stopFirst := r.Start(chain.Lifecycle, rig.Edge{})
	creations, endings := trials("shared", sharedCreates, 3000), trials("shared", sharedTerminates, 3000)
	for _, c := range creations {
		stop := r.Start(chain.Provisioner, rig.Edge{}) // a new one has no list of resources
		c.template = "tmpl"
		remove := c.order(r.Sim)
		r.Order(c.ref, c.pkg())
		c.finish(t, r, create, c.pkg())
		remove()
		stop()
	}
	r.Start(chain.Provisioner, rig.Edge{})
	for _, c := range endings[len(creations):] {
		c.template = "tmpl"
		r.Order(c.ref, c.pkg())
	}
	for _, c := range endings {
		r.Await(c.ref, rig.Ended(create))
	}
	r.CheckWorld()
	stopFirst()
	for i, c := range endings {
		stop := r.Start(chain.Lifecycle, rig.Edge{}) // a new one has no list of storages
		if c.faulty.name == vmidFree {
			r.Sim.Remove(c.vmid) // only of a machine that is not there Proxmox is asked whether it is anywhere
		}
		remove := c.order(r.Sim)
		r.Terminate(c.ref)
		c.finish(t, r, terminate, nil)
		remove()
		stop()
		r.CheckReserved(3*(len(endings)-i-1), len(endings)-i-1)
	}
	r.CheckWorld()
}

var (
	sharedCreates = []faulty{
		{"resources", http.MethodGet, "/cluster/resources", false, false},
		{"maintenance", http.MethodGet, "/cluster/ha/status/current", false, false},
		{"bridges", http.MethodGet, "/nodes/*/network", false, false},
		{"task", http.MethodGet, "/nodes/*/tasks/*/status", false, false},
	}
	sharedTerminates = []faulty{
		{"task", http.MethodGet, "/nodes/*/tasks/*/status", false, false},
		{"storages", http.MethodGet, "/nodes/*/storage", false, false},
		{"backups", http.MethodGet, "/nodes/*/storage/*/content", false, false},
		{vmidFree, http.MethodGet, "/cluster/nextid", false, false},
	}
)

// vmidFree is the question whether any guest has a VMID.
const vmidFree = "nextid"
