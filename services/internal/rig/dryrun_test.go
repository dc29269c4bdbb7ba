package rig

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// dryRun is the provisioner's part of what a command would do.
func (r *Rig) dryRun(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package, params *vmlinev1.Params) *vmlinev1.PlanReply {
	r.t.Helper()
	owner := func(status vmlinev1.Status) chain.Service { step, _ := chain.StepTo(status); return step.Owner }
	foreseen, reply := r.foresee(ref, kind, pkg, params), &vmlinev1.PlanReply{}
	for _, step := range foreseen.Steps {
		if owner(step.GetStep()) == chain.Provisioner {
			reply.Steps = append(reply.Steps, step)
		}
	}
	for _, p := range foreseen.Problems {
		if owner(p.GetStep()) == chain.Provisioner {
			reply.Problem = p
		}
	}
	return reply
}

// foresee asks the services what a command would have them do.
func (r *Rig) foresee(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package, params *vmlinev1.Params) chain.Foreseen {
	r.t.Helper()
	last, err := r.Bus.Last(r.t.Context(), ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		r.t.Fatal(err)
	}
	cmd, err := Command(ref, kind, pkg, last.VM.GetOperation().GetId())
	must(r.t, err)
	cmd.Params = params
	begun := chain.Begin(last.VM, cmd, time.Now(), func() string { return "new" })
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		foreseen, err := chain.Foresee(begun, func(service chain.Service, vm *vmlinev1.VM) (*vmlinev1.PlanReply, error) {
			reply := &vmlinev1.PlanReply{}
			return reply, r.Bus.Ask(ctx, service, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: vm}, reply)
		})
		if !errors.Is(err, bus.ErrNobody) { // a service may just be starting
			must(r.t, err)
			return foreseen
		}
		select {
		case <-ctx.Done():
			r.t.Fatal(err)
		case <-tick.C:
		}
	}
}

// volumes are named otherwise by a clone than a plan can know.
var volumes = regexp.MustCompile(`(\w+:)[^ ,]*(vm-\w+-(?:disk-\d+|cloudinit))[^ ,]*`)

// clones have a MAC that a plan cannot know, unless they are made again.
var clonesMAC = regexp.MustCompile(`(virtio|e1000)=MAC`)

func planLine(method, path string, params map[string]string, made bool) string {
	line := method + " " + path
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if key == "digest" {
			continue // of a machine that is not there yet
		}
		value := params[key]
		if key == "cipassword" || key == "password" {
			value = "(hidden)"
		}
		line += " " + key + "=" + strings.ReplaceAll(value, "\n", `\n`)
	}
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.name)
	}
	line = volumes.ReplaceAllString(line, "$1$2")
	if made {
		line = clonesMAC.ReplaceAllString(line, "$1")
	}
	return line
}

// planned are the calls of a plan, in their order.
func planned(reply *vmlinev1.PlanReply, made bool) []string {
	var lines []string
	for _, step := range reply.GetSteps() {
		for _, c := range step.GetCalls() {
			lines = append(lines, planLine(c.GetMethod(), c.GetPath(), c.GetParams(), made))
		}
	}
	return lines
}

// provisioned are the calls since the last reset that change something and are the provisioner's.
func (r *Rig) provisioned(made bool) []string {
	var lines []string
	for _, c := range r.Sim.Calls() {
		others := strings.Contains(c.Path, "/status/") || strings.Contains(c.Path, "/snapshot/") || regexp.MustCompile(`/qemu/\d+$`).MatchString(c.Path)
		if c.Method != http.MethodGet && !others {
			lines = append(lines, planLine(c.Method, c.Path, c.Params, made))
		}
	}
	return lines
}

// TestADryRunSaysWhatIsDone: the calls of a plan are those that the command makes then, and none is made
// by the plan itself.
func TestADryRunSaysWhatIsDone(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	for _, full := range []bool{false, true} {
		ref, pkg := "w1-dry", Small("web")
		if full {
			ref, pkg = "w1-dry-full", Full("web")
		}
		pkg.FirstVmid = firstVMID
		r.Sim.ResetCalls()
		reply := r.dryRun(ref, create, pkg, nil)
		if calls := r.provisioned(true); len(calls) > 0 || reply.GetProblem() != nil {
			t.Fatalf("the plan itself made %q, and says %v", calls, reply.GetProblem())
		}
		r.CheckReserved(0, 0)
		if !strings.Contains(strings.Join(reply.GetSteps()[0].GetNotes(), "\n"), "would go to node pve") {
			t.Errorf("it notes %q", reply.GetSteps()[0].GetNotes())
		}
		r.Sim.ResetCalls()
		r.Order(ref, pkg)
		r.Await(ref, Ended(create))
		if got, want := planned(reply, true), r.provisioned(true); !slices.Equal(got, want) {
			t.Errorf("planned\n%s\ndone\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		r.Terminate(ref)
		r.Await(ref, Ended(terminate))
	}
}

// TestADryRunRefuses what the command would be refused for.
func TestADryRunRefuses(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	pkg := Small("web")
	r.Order("w1-no", pkg)
	vm := r.Await("w1-no", Ended(create))
	smaller := changed(pkg, func(p *vmlinev1.Package) { p.SystemDisk.SizeGb = 5 })
	if p := r.dryRun("w1-no", changePackage, smaller, nil).GetProblem(); !strings.Contains(p.GetCause(), "cannot shrink") || p.GetNext() == "" {
		t.Errorf("a smaller disk: %v", p)
	}
	if p := r.dryRun("w1-new", create, changed(pkg, func(p *vmlinev1.Package) { p.Template = "none" }), nil).GetProblem(); p.GetCause() == "" {
		t.Error("a template that does not exist is planned with")
	}
	if p := r.dryRun("w1-new", vmlinev1.Operation_KIND_ADOPT, &vmlinev1.Package{Cluster: Cluster}, &vmlinev1.Params{Vmid: vm.GetVmid()}).GetProblem(); !strings.Contains(p.GetCause(), machine.Mark(vm)) {
		t.Errorf("somebody else's machine: %v", p)
	}
}

// TestADryRunOfAChangeSaysWhatIsLeft: of a change that a running machine takes live, no stop and no start is
// on the way that the plan gives.
func TestADryRunOfAChangeSaysWhatIsLeft(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	pkg := Small("web")
	r.Order("w1-left", pkg)
	r.Await("w1-left", Ended(create))
	for _, tt := range []struct {
		name   string
		change func(*vmlinev1.Package)
		stops  bool
	}{
		{"live", func(p *vmlinev1.Package) { p.SystemDisk.SizeGb = 20 }, false},
		{"stopped", func(p *vmlinev1.Package) { p.Cores = 2 }, true},
	} {
		var route []vmlinev1.Status
		for _, step := range r.foresee("w1-left", changePackage, changed(pkg, tt.change), nil).Steps {
			route = append(route, step.GetStep())
		}
		if stops := slices.Contains(route, vmlinev1.Status_STATUS_STOPPED); len(route) == 0 || stops != tt.stops {
			t.Errorf("%s: the way is %v", tt.name, names(route))
		}
	}
}

// TestADryRunOfWhatIsHalfMade: a corrected order finds the machine that the first one has made, and plans no
// other.
func TestADryRunOfWhatIsHalfMade(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	wrong, ref := Full("web"), "w1-half"
	wrong.CpuType = "pentium9" // which only Proxmox knows to be none
	r.Order(ref, wrong)
	r.Await(ref, Parked)
	right := changed(wrong, func(p *vmlinev1.Package) { p.CpuType = "host" })
	reply := r.dryRun(ref, create, right, nil)
	r.Sim.ResetCalls()
	r.Order(ref, right)
	r.Await(ref, Ended(create))
	done := slices.DeleteFunc(r.provisioned(false), func(line string) bool {
		return strings.Contains(line, "/clone ") // refused by Proxmox: that is how the step finds the machine
	})
	if said := planned(reply, false); !slices.Equal(said, done) {
		t.Errorf("planned\n%s\ndone\n%s", strings.Join(said, "\n"), strings.Join(done, "\n"))
	}
}

// TestADryRunStartsWhereTheMachineIsMade: not where the old one was.
func TestADryRunStartsWhereTheMachineIsMade(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	ref, pkg := "w1-start", Full("web")
	r.Order(ref, pkg)
	node := r.Await(ref, Ended(create)).GetNode()
	r.Sim.SetMaintenance(node, true)
	var clone, start string
	for _, step := range r.foresee(ref, vmlinev1.Operation_KIND_REINSTALL, nil, nil).Steps {
		for _, call := range step.GetCalls() {
			switch step.GetStep() {
			case vmlinev1.Status_STATUS_SET_CPU_RAM:
				clone, _, _ = strings.Cut(call.GetPath(), "/qemu/")
			case vmlinev1.Status_STATUS_STARTING:
				start, _, _ = strings.Cut(call.GetPath(), "/qemu/")
			}
		}
	}
	if clone == "" || clone == "/nodes/"+node || start != clone {
		t.Errorf("it was on %s, is made anew on %s and started on %s", node, clone, start)
	}
}
