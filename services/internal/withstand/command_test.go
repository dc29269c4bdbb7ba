package withstand

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// round is a command that many machines get at once, each with another fault in another of its calls.
type round struct {
	kind vmlinev1.Operation_Kind
	// name tells two rounds of one kind apart; "" means the kind's.
	name  string
	calls []faulty // all that the command makes and that name the machine
	// known says that another table has the calls of this command.
	known bool
	// stage brings the machines into a status in which the command is admitted.
	stage func(y *yard, all []trial)
	// before makes the machine one that the command has something to do with.
	before func(y *yard, vmid int)
	// mends takes the command's parked operation up, by turns with a retry; unspecified means the command itself.
	mends vmlinev1.Operation_Kind
	// pkg changes the package that the command carries; nil for a command without.
	pkg    func(*vmlinev1.Package)
	params func(y *yard, c trial, vm *vmlinev1.VM) *vmlinev1.Params
	// all machines get the command, also those without a fault: the next round may want more of them.
	all bool
	// check looks at what the shape does not show.
	check func(y *yard, what string, vm *vmlinev1.VM)
}

func (p round) String() string { return cmp.Or(p.name, chain.KindName(p.kind)) }

// TestRows12And24FaultsOfEveryCommand: every fault in every call of every command on a machine that stands.
// The machine ends as the same command makes one undisturbed, or a person is asked with the right cause,
// and the repeated command ends so. The calls are all that an undisturbed machine is seen to cost.
func TestRows12And24FaultsOfEveryCommand(t *testing.T) {
	t.Parallel()
	y := newYard(t, rounds)
	for _, m := range y.machines {
		y.Order(m.ref, m.pkg())
	}
	for _, m := range y.machines {
		m.finish(t, y.Rig, create, nil)
	}
	y.playAll()
}

// playAll plays every round and takes all machines away. Nothing is left of them, and nobody else's machine
// was touched.
func (y *yard) playAll() {
	t := y.t
	foreign := &foreigners{t: t, sim: y.Sim}
	foreign.arrive(5001)
	foreign.arrive(5002)
	total := 0
	for _, c := range y.rounds {
		y.play(c)
		total += len(c.trials)
		y.onlyTheirs()
		foreign.unchanged()
	}
	t.Logf("%d trials", total)
	y.clear(y.machines)
	foreign.unchanged()
	y.CheckReserved(0, 0)
	for _, v := range y.Sim.Volumes() {
		if v.VMID >= calmVMID && v.VMID < 5000 && !strings.Contains(v.VolID, "base-") {
			t.Errorf("left behind: %+v", v)
		}
	}
	if len(y.Sim.Firewalls()) > 0 {
		t.Errorf("firewalls left behind: %v", y.Sim.Firewalls())
	}
}

const (
	calmVMID  = 2999 // of the machine that meets no fault
	firstVMID = 3000
)

// parking are the machines that keep disks which nobody uses, one on each node.
var parking = []int{5901, 5902, 5903}

// yard is where the machines stand.
type yard struct {
	*rig.Rig
	t        *testing.T
	rounds   []played
	machines []trial // the calm one first
}

// played is a round with its trials.
type played struct {
	round
	trials []trial
}

// newYard has a machine's ref and template for each trial of the longest of the rounds.
func newYard(t *testing.T, rounds []round) *yard {
	t.Helper()
	cfg := lapse()
	cfg.Durations = pvesim.Durations{
		Clone: time.Second, Config: time.Second, Resize: time.Second, Start: time.Second, Stop: time.Second, Destroy: time.Second,
		Shutdown: time.Second, Reboot: time.Second, Migrate: time.Second, Move: time.Second, SnapshotDelete: time.Second,
	}
	y := &yard{Rig: rig.New(t, rig.Options{Sim: cfg, Parking: parking}), t: t}
	most := 0
	for i, r := range rounds {
		y.rounds = append(y.rounds, played{r, thin(trials("standing", r.calls, firstVMID), i)})
		most = max(most, len(y.rounds[i].trials))
	}
	for vmid := calmVMID; vmid < firstVMID+most; vmid++ {
		y.machines = append(y.machines, trial{vmid: vmid, ref: fmt.Sprintf("standing-%d", 20000+vmid)})
	}
	y.furnish()
	startAll(y.Rig, 1, rig.Edge{})
	return y
}

// furnish adds a template for each machine, and the machines that keep disks.
func (y *yard) furnish() {
	for _, m := range y.machines {
		must(y.t, y.Sim.AddVM(pvesim.VMSpec{
			VMID: 10000 + m.vmid, Node: "pve1", Name: fmt.Sprintf("tmpl-%d", m.vmid), Storage: "shared1", DiskGB: 2, Format: "qcow2", CloudInit: true, Template: true,
			Config: map[string]string{"agent": "1", "boot": "order=scsi0", "net0": "virtio,bridge=vmbr0"},
		}))
	}
	for i, vmid := range parking {
		must(y.t, y.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: fmt.Sprintf("pve%d", i+1), Name: "parking"}))
	}
}

// thin keeps every nth trial, others in each round, and gives them the machines in their order.
func thin(all []trial, turn int) []trial {
	var kept []trial
	for i, c := range all {
		if (i+turn)%everyNth != 0 {
			continue
		}
		c.vmid = firstVMID + len(kept)
		c.ref = fmt.Sprintf("standing-%d", 20000+c.vmid)
		kept = append(kept, c)
	}
	return kept
}

// play has every machine of a round carry the command out and compares what comes out of it.
func (y *yard) play(p played) {
	everybody := append([]trial{y.machines[0]}, p.trials...)
	if p.all {
		everybody = append(everybody, y.machines[len(everybody):]...)
	}
	if p.stage != nil {
		p.stage(y, everybody)
	}
	if p.before != nil {
		for _, c := range everybody {
			p.before(y, c.vmid)
		}
	}
	y.Sim.ResetCalls()
	var mend []func()
	for _, c := range p.trials {
		mend = append(mend, c.order(y.Sim))
	}
	ids := map[string]string{}
	for _, c := range everybody {
		ids[c.ref] = y.send(p.round, c, p.kind)
	}
	var want []string
	for _, c := range everybody {
		vm := y.carry(p.round, c, ids[c.ref])
		if c.vmid == calmVMID {
			want = shape(y.Rig, vm)
			y.listed(p.round)
		}
		if c.faulty.name == "" && c.vmid != calmVMID {
			continue // it meets no fault, and may not have met all rounds before
		}
		what := p.String() + ", " + c.String()
		sameShape(y.t, what, shape(y.Rig, vm), want)
		if p.check != nil {
			p.check(y, what, vm)
		}
	}
	for _, f := range mend {
		f() // some faults are of a call that its machine did not make again
	}
	y.t.Logf("%s: %d trials", p, len(p.trials))
}

// send sends a round's command, or the one that takes it up again, and returns its id.
func (y *yard) send(p round, c trial, kind vmlinev1.Operation_Kind) string {
	y.t.Helper()
	var (
		pkg    *vmlinev1.Package
		params *vmlinev1.Params
	)
	switch {
	case p.pkg != nil && kind == p.kind:
		pkg = c.pkg()
		p.pkg(pkg)
	case kind == create:
		pkg = c.pkg()
	}
	if p.params != nil && kind == p.kind {
		last, err := y.Bus.Last(y.t.Context(), c.ref)
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			y.t.Fatal(err)
		}
		params = p.params(y, c, last.VM)
	}
	return y.SendWith(c.ref, kind, pkg, params)
}

// carry waits for the end of the command and does what a person would: it sends a refused command again,
// and has a parked one taken up, by turns with a retry and by the command that mends it.
func (y *yard) carry(p round, c trial, id string) *vmlinev1.VM {
	y.t.Helper()
	for again := 0; ; again++ {
		op := y.ended(c, id)
		vm := y.last(c.ref)
		if op == vmlinev1.Operation_STATE_SUCCEEDED {
			y.CheckLog(c.ref)
			return vm
		}
		problem := vm.GetProblem()
		if op == vmlinev1.Operation_STATE_REFUSED {
			problem = vm.GetOperation().GetProblem()
		}
		if c.parks == "" || again == c.times || !strings.Contains(problem.GetCause(), c.parks) || problem.GetKept() == "" || problem.GetNext() == "" {
			y.t.Fatalf("%s, %s: %v with %v", p, c, op, problem)
		}
		kind := cmp.Or(p.mends, p.kind)
		if op == vmlinev1.Operation_STATE_PARKED && again%2 == 0 {
			kind = vmlinev1.Operation_KIND_RETRY
		}
		id = y.send(p, c, kind)
	}
}

// ended waits until an operation goes no further by itself.
func (y *yard) ended(c trial, id string) vmlinev1.Operation_State {
	y.t.Helper()
	going := []vmlinev1.Operation_State{vmlinev1.Operation_STATE_UNSPECIFIED, vmlinev1.Operation_STATE_RUNNING}
	return y.Await(c.ref, func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() == id && !slices.Contains(going, vm.GetOperation().GetState())
	}).GetOperation().GetState()
}

func (y *yard) last(ref string) *vmlinev1.VM {
	y.t.Helper()
	last, err := y.Bus.Last(y.t.Context(), ref)
	must(y.t, err)
	return last.VM
}

// listed compares the calls of a round with those that the calm machine has cost: the table has them all, and
// a round without calls makes none.
func (y *yard) listed(p round) {
	y.t.Helper()
	if p.known {
		return
	}
	seen := map[string]bool{}
	for _, c := range y.Sim.Calls() {
		ofTemplate := strings.Contains(c.Path, fmt.Sprintf("/qemu/%d/", 10000+calmVMID)) && c.Method != http.MethodGet
		if ofTemplate || strings.Contains(c.Path+"/", fmt.Sprintf("/qemu/%d/", calmVMID)) {
			seen[c.Method+" "+c.Path] = true
		}
	}
	for _, call := range p.calls {
		pattern := call.method + " " + strings.ReplaceAll(fmt.Sprintf(call.path, calmVMID), "*", "[^/]+")
		found := false
		for made := range seen {
			if regexp.MustCompile("^" + pattern + "$").MatchString(made) {
				delete(seen, made)
				found = true
			}
		}
		if !found {
			y.t.Errorf("%s: no call %q (%s)", p, call.name, pattern)
		}
	}
	for made := range seen {
		y.t.Errorf("%s: the table has no call %s", p, made)
	}
}

// by is a call of a person on the machine, as with Proxmox's own web interface.
func (y *yard) by(vmid int, method, path string, params ...string) {
	y.t.Helper()
	state, _ := y.Sim.VM(vmid)
	target := fmt.Sprintf("https://pve.invalid:8006/api2/json/nodes/%s/qemu/%d%s?%s", state.Node, vmid, path, strings.Join(params, "&"))
	req, err := http.NewRequestWithContext(y.t.Context(), method, target, http.NoBody)
	must(y.t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+rig.TokenID+"="+rig.TokenSecret)
	res, err := y.Sim.RoundTrip(req)
	must(y.t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		y.t.Fatalf("%s %s %v: %s", method, path, params, res.Status)
	}
}

// sealed is a new password, on its way to the provisioner.
func (y *yard) sealed(password string) []byte { return sealedFor(y.t, y.Rig, password) }

func sealedFor(t *testing.T, r *rig.Rig, password string) []byte {
	t.Helper()
	s, err := r.Opener.Sealer().Seal([]byte(password))
	must(t, err)
	return s
}

// elsewhere is another node than the machine's.
func elsewhere(vm *vmlinev1.VM) string {
	return map[string]string{"pve1": "pve2", "pve2": "pve3", "pve3": "pve1"}[vm.GetNode()]
}
