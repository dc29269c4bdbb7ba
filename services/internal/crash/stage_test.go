package crash

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE
)

// stage is a rig on which one VM after the other is made and taken away, while services die.
type stage struct {
	*rig.Rig
	t     testing.TB
	fates []*fate
	// strangers are the machines that are not ours, as they were at first.
	strangers []pvesim.VMState
	// names are what stands in DNS; nil without a dns service.
	names *names
}

// newStage builds a rig with machines of somebody else's on it.
func newStage(t testing.TB, o rig.Options) *stage {
	t.Helper()
	o.AckWait = cmp.Or(o.AckWait, time.Second) // so long a lost acknowledgement waits
	s := &stage{Rig: rig.New(t, o), t: t}
	for _, vmid := range []int{101, 103} {
		err := s.Sim.AddVM(pvesim.VMSpec{
			VMID: vmid, Node: "pve2", Name: fmt.Sprintf("stranger-%d", vmid), Storage: "shared1", DiskGB: 4, Running: true,
			Config: map[string]string{"tags": "vmline", "description": "somebody else's"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range services {
		s.fates = append(s.fates, newFate(service))
	}
	if o.Zones != nil {
		s.fates = append(s.fates, newFate(chain.DNS))
	}
	s.strangers = s.foreign()
	return s
}

func (s *stage) foreign() []pvesim.VMState {
	return slices.DeleteFunc(s.Sim.VMs(), func(vm pvesim.VMState) bool { return vm.VMID != 101 && vm.VMID != 103 && !vm.Template })
}

// view is the same stage for a subtest.
func (s *stage) view(t testing.TB) *stage {
	view := *s
	view.t, view.Rig = t, s.For(t)
	return &view
}

// perform runs do while so many instances of each service run, each started again when it dies.
func (s *stage) perform(t *testing.T, instances int, do func(*stage)) {
	t.Helper()
	view := s.view(t)
	for _, f := range s.fates {
		f.begin()
		for range instances {
			defer keep(view.Rig, f)()
		}
	}
	view.await("the services have started", func() bool {
		return !slices.ContainsFunc(s.fates, func(f *fate) bool { return !f.ready(instances) })
	})
	view.settle()
	view.expect(strike{})
	do(view)
	if !reflect.DeepEqual(s.foreign(), s.strangers) {
		t.Errorf("somebody else's machines are not as they were:\n%+v\nnow\n%+v", s.strangers, s.foreign())
	}
}

// struck says whether a service has died.
func (s *stage) struck() bool {
	return slices.ContainsFunc(s.fates, func(f *fate) bool { return f.hasStruck() })
}

// counted is how often a service has made a call.
func (s *stage) counted(service chain.Service, call string) int {
	return s.fates[slices.Index(services, service)].counted()[call]
}

// expect has every service count anew.
func (s *stage) expect(at strike) {
	for _, f := range s.fates {
		f.expect(at)
	}
}

// patience is how long a stage waits for what has to come. Only a test that fails uses it up.
const patience = time.Minute

func (s *stage) await(what string, is func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("it does not come about that %s", what)
		}
	}
}

// makeVM orders a VM and checks that there is one, with one set of addresses. It returns what the
// machine looks like, without what differs from one to the next.
func (s *stage) makeVM(ref string, pkg *vmlinev1.Package) string {
	s.t.Helper()
	s.Order(ref, pkg)
	vm := s.Await(ref, rig.Ended(create))
	s.CheckLog(ref)
	s.CheckWorld()
	s.CheckReserved(int(pkg.GetNetwork().GetIpv4Count()+pkg.GetNetwork().GetIpv6Count()), 1)
	return s.portrait(int(vm.GetVmid()))
}

// checkLooks waits for a finished machine to look so. Two workers of one step may both have added a firewall rule:
// the one that was overtaken takes its own away, perhaps a moment after the VM is ready. what is where that was.
func (s *stage) checkLooks(ref, want string, what ...any) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		looks := s.portraitOf(ref)
		if looks == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v the machine looks like\n%s\nnot like\n%s", what, looks, want)
		}
	}
}

// dress gives the machine a backup and a snapshot.
func (s *stage) dress(ref string) {
	s.t.Helper()
	last, err := s.Bus.Last(s.t.Context(), ref)
	if err == nil {
		_, err = s.Sim.AddBackup(pvesim.BackupSpec{VMID: int(last.VM.GetVmid()), Node: last.VM.GetNode(), Storage: "shared1", SizeBytes: 1 << 30})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.Sim.AddSnapshot(int(last.VM.GetVmid()), "before", "")
}

// removeVM terminates a VM and checks that nothing is left.
func (s *stage) removeVM(ref string) {
	s.t.Helper()
	s.Terminate(ref)
	s.checkGone(ref)
}

func (s *stage) checkGone(ref string) {
	s.t.Helper()
	vm := s.Await(ref, rig.Ended(terminate))
	s.CheckLog(ref)
	s.CheckWorld()
	s.CheckReserved(0, 0)
	s.checkNothingOf(int(vm.GetVmid()))
}

// checkNothingOf fails the test if anything of a VMID is left on Proxmox.
func (s *stage) checkNothingOf(vmid int) {
	s.t.Helper()
	if vm, is := s.Sim.VM(vmid); is {
		s.t.Errorf("VM %d is left: %+v", vmid, vm)
	}
	for _, v := range s.Sim.Volumes() {
		if v.VMID == vmid {
			s.t.Errorf("volume %s is left", v.VolID)
		}
	}
	for _, f := range s.Sim.Firewalls() {
		if f.VMID == vmid {
			s.t.Errorf("the firewall of VM %d is left: %+v", vmid, f)
		}
	}
}

// individual is what differs between two machines of one package.
var individual = regexp.MustCompile(`(?i)10\.64\.\d+\.\d+|2001:db8:64::[0-9a-f]+|([0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9a-f-]{36}|ctime=\d+|\d{4}(_\d\d){2}-\d\d(_\d\d){2}|\buid=\S+|\bref=\S+|\bpve\d\b`)

// portrait is all that Proxmox has of a VM.
func (s *stage) portrait(vmid int) string {
	var lines []string
	if vm, is := s.Sim.VM(vmid); is {
		lines = append(lines, vm.Status, vm.Lock, fmt.Sprint(vm.Tags, vm.Pending, vm.Snapshots))
		for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
			lines = append(lines, key+": "+vm.Config[key])
		}
	}
	for _, v := range s.Sim.Volumes() {
		if v.VMID == vmid {
			lines = append(lines, fmt.Sprint(v.VolID, " ", v.SizeBytes))
		}
	}
	for _, f := range s.Sim.Firewalls() {
		if f.VMID == vmid {
			lines = append(lines, fmt.Sprint(f.Options, f.Rules, f.IPSets, f.Aliases))
		}
	}
	slices.Sort(lines)
	own := strings.NewReplacer(fmt.Sprintf(":%d/", vmid), ":VMID/", fmt.Sprintf("/%d/", vmid), "/VMID/", fmt.Sprintf("vm-%d-", vmid), "vm-VMID-")
	return own.Replace(individual.ReplaceAllString(strings.Join(lines, "\n"), "~"))
}
