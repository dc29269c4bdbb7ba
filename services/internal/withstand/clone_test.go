package withstand

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/provisioner"
)

// TestRow3TwentyClonesOfOneTemplate: the storage's lock is not had three times in ten, and two provisioners
// together never have more clones on the storage than its limit.
func TestRow3TwentyClonesOfOneTemplate(t *testing.T) {
	t.Parallel()
	const limit = 3
	cfg := pvesim.Default()
	cfg.Durations.Clone = 20 * time.Millisecond
	r := rig.New(t, rig.Options{Sim: &cfg, Rules: provisioner.Rules{TasksPerStorage: limit}})
	for i := range 6 {
		// The first fault that matches hides a call from the others, so each counts only calls that went well.
		r.Sim.AddFault(pvesim.Fault{
			Kind: pvesim.TaskError, Method: http.MethodPost, Path: "/nodes/*/qemu/9000/clone", Skip: 7 * i, Times: 3,
			Text: "clone failed: cfs-lock 'storage-shared1' error: got lock request timeout",
		})
	}
	startAll(r, 2, rig.Edge{})
	twenty := refs("lock", 20)
	for _, ref := range twenty {
		r.Order(ref, rig.Small(ref))
	}
	awaitAll(r, twenty, create)
	r.CheckWorld()
	r.CheckReserved(20, 20)
	if n := ended(r, "qmclone", "lock request timeout"); n < 6 {
		t.Errorf("only %d clones failed", n)
	}
	if most := mostAtOnce(r, "qmclone"); most > limit {
		t.Errorf("%d clones at once", most)
	}
}

// ended is how many tasks of a type ended with a text in their exit status.
func ended(r *rig.Rig, typ, text string) int {
	n := 0
	for _, task := range r.Sim.Tasks() {
		if task.Type == typ && !task.Running && strings.Contains(task.ExitStatus, text) {
			n++
		}
	}
	return n
}

// doing says that a task of that purpose is in flight.
func doing(purpose string) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool { return vm.GetTask().GetPurpose() == purpose }
}

// asked is how many requests of a method there were whose path ends like that.
func asked(r *rig.Rig, method, end string) int {
	n := 0
	for _, c := range r.Sim.Calls() {
		if c.Method == method && strings.HasSuffix(c.Path, end) {
			n++
		}
	}
	return n
}

// TestRows4And5LongTasks: a clone that takes 40 minutes is waited for and not repeated; a stop that takes a
// minute is waited for before anything is destroyed, and the end is confirmed by Proxmox.
func TestRows4And5LongTasks(t *testing.T) {
	t.Parallel()
	cfg, clock := slowly(pvesim.Durations{Clone: 40 * time.Minute, Stop: time.Minute})
	r := rig.New(t, rig.Options{Sim: cfg})
	startAll(r, 2, rig.Edge{})
	r.Order("long-6001", rig.Small("long"))
	r.Await("long-6001", doing(machine.PurposeClone))
	clock.pass(39 * time.Minute)
	last, err := r.Bus.Last(t.Context(), "long-6001")
	must(t, err)
	if last.VM.GetStatus() != vmlinev1.Status_STATUS_SET_IP || last.VM.GetProblem() != nil {
		t.Errorf("after 39 minutes: %v", last.VM)
	}
	clock.pass(2 * time.Minute)
	vm := r.Await("long-6001", rig.Ended(create))
	r.CheckLog("long-6001")
	r.CheckWorld()
	if n := asked(r, http.MethodPost, "/clone"); n != 1 {
		t.Errorf("the clone was ordered %d times", n)
	}

	self := fmt.Sprintf("/qemu/%d", vm.GetVmid())
	r.Terminate("long-6001")
	r.Await("long-6001", doing(machine.PurposeStop))
	clock.pass(59 * time.Second)
	if n := asked(r, http.MethodDelete, self); n != 0 {
		t.Error("destroyed while it is being stopped")
	}
	r.CheckReserved(1, 1)
	clock.pass(time.Minute)
	r.Await("long-6001", rig.Ended(terminate))
	r.CheckLog("long-6001")
	r.CheckWorld()
	r.CheckReserved(0, 0)
	if calls := r.Sim.Calls(); !strings.Contains(calls[len(calls)-1].Path, ":qmdestroy:") || asked(r, http.MethodDelete, self) != 1 || asked(r, http.MethodPost, "/status/stop") != 1 {
		t.Errorf("the last call was %+v", calls[len(calls)-1])
	}
}

// TestRow14TemplatesOnLocalStorages: the template on the named node is taken, else that of the node with the
// most room, never one on a node that is down; where there is none the machine is cloned elsewhere and
// migrated. The storage of pve1 is the fullest: it has two templates.
func TestRow14TemplatesOnLocalStorages(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	for i, node := range []string{"pve1", "pve2", "pve3"} {
		cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9201 + i, Node: node, Name: "everywhere", Storage: "local"})
	}
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9301, Node: "pve1", Name: "one", Storage: "local"})
	r := rig.New(t, rig.Options{Sim: &cfg})
	startAll(r, 1, rig.Edge{})
	for i, c := range []struct {
		template, node, down string
		from                 uint32
		lives                string
		migrations           int
	}{
		{"everywhere", "pve3", "", 9203, "pve3", 0},
		{"everywhere", "", "", 9202, "pve2", 0},
		{"one", "", "", 9301, "pve1", 0},
		{"one", "pve2", "", 9301, "pve2", 1},
		{"everywhere", "", "pve2", 9203, "pve3", 0},
	} {
		r.Sim.ResetCalls()
		if c.down != "" {
			// The list of resources still shows the node; nothing is asked of it.
			r.Sim.SetNodeOnline(c.down, false)
			r.Start("provisioner", rig.Edge{}) // it has no list
		}
		ref, pkg := fmt.Sprintf("local-%d", 6101+i), rig.Small("local")
		pkg.Template, pkg.Node = c.template, c.node
		r.Order(ref, pkg)
		vm := r.Await(ref, rig.Ended(create))
		r.CheckLog(ref)
		if vm.GetTemplateVmid() != c.from || vm.GetNode() != c.lives || asked(r, http.MethodPost, "/migrate") != c.migrations {
			t.Errorf("%+v: from %d, on %s, %d migrations", c, vm.GetTemplateVmid(), vm.GetNode(), asked(r, http.MethodPost, "/migrate"))
		}
	}
	r.CheckWorld()
}

// TestOrderWhileTheTemplatesNodeIsDown: what cannot be seen is not missing. The order is tried again,
// shown with its cause, until the node is back.
func TestOrderWhileTheTemplatesNodeIsDown(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	r.Sim.SetNodeOnline("pve1", false)
	startAll(r, 1, rig.Edge{})
	r.Order("down-6401", rig.Small("down"))
	vm := r.Await("down-6401", troubled)
	if cause := vm.GetProblem().GetCause(); !strings.Contains(cause, `the cluster shows no template "tmpl", nor what machine 9000 on node pve1 is`) {
		t.Errorf("%s", cause)
	}
	r.Sim.SetNodeOnline("pve1", true)
	r.Await("down-6401", rig.Ended(create))
	r.CheckLog("down-6401")
	r.CheckWorld()
}
