package rig

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestACancelledChangeIsUndone: a change of package that waits for a person half way is taken back: limits,
// card and addresses are what they were; a disk that has grown stays, which is said.
func TestACancelledChangeIsUndone(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	pkg := Full("web")
	r.Order("w1-7", pkg)
	first := r.Await("w1-7", Ended(create))
	before, _ := r.Sim.VM(int(first.GetVmid()))
	mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: http.MethodPost, Path: "/nodes/*/qemu/*/firewall/rules", Code: 403, Text: "Permission check failed (/vms, VM.Config.Network)"})
	r.Send("w1-7", changePackage, changed(pkg, func(p *vmlinev1.Package) {
		p.Cores, p.SystemDisk.ReadMbps, p.SystemDisk.SizeGb, p.Network.RateMbps, p.Network.Ipv4Count = 2, 0, 55, 1, 3
		p.Firewall.Rules = append(p.Firewall.Rules, &vmlinev1.FirewallRule{Direction: "in", Action: "DROP", Protocol: "udp"})
	}))
	r.Await("w1-7", Parked)
	mend()
	id := r.Send("w1-7", vmlinev1.Operation_KIND_CANCEL, nil)
	vm := r.Await("w1-7", func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
	})
	if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED || vm.GetStatus() != vmlinev1.Status_STATUS_READY || !proto.Equal(vm.GetPackage(), first.GetPackage()) {
		t.Fatalf("the cancellation ended %v: %v, %v", vm.GetOperation().GetState(), vm.GetProblem(), vm.GetOperation().GetProblem())
	}
	now, _ := r.Sim.VM(int(vm.GetVmid()))
	for key, value := range before.Config {
		if key == "scsi0" {
			value = strings.Replace(value, "size=40G", "size=55G", 1)
		}
		if sorted(now.Config[key]) != sorted(value) {
			t.Errorf("%s was %q and is %q", key, value, now.Config[key])
		}
	}
	if now.Status != "running" || len(now.Pending) > 0 || !equal(vm.GetAddresses(), first.GetAddresses()) || !strings.Contains(strings.Join(vm.GetWarnings(), "\n"), "55 GB") {
		t.Errorf("it is %s with %v pending, %v, warned of %q", now.Status, now.Pending, vm.GetAddresses(), vm.GetWarnings())
	}
	r.CheckReserved(3, 1)
}

// TestWhatACancelledChangeHadSetIsTakenAway: also what the package before does not speak of, and a cancellation
// that was parked itself, and repeated, comes to the same. A firewall rule stays, which is said.
func TestWhatACancelledChangeHadSetIsTakenAway(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	pkg := Small("web")
	pkg.CloudInit.SealedPassword = sealed(r, "First-1")
	r.Order("w1-8", pkg)
	first := r.Await("w1-8", Ended(create))
	before, _ := r.Sim.VM(int(first.GetVmid()))
	refuse := func(method, path string) func() {
		return r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: method, Path: path, Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.Other)"})
	}
	mend := refuse(http.MethodPost, "/nodes/*/qemu/*/status/start")
	r.Send("w1-8", changePackage, changed(pkg, func(p *vmlinev1.Package) {
		full := Full("web")
		p.Cores, p.MemoryMib, p.CloudInit, p.Firewall, p.Network = 2, 2048, full.GetCloudInit(), full.GetFirewall(), full.GetNetwork()
		p.CloudInit.User, p.CloudInit.SealedPassword = "ann", sealed(r, "Second-2")
	}))
	r.Await("w1-8", Parked)
	mend()
	var vm *vmlinev1.VM
	for i, kind := range []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_CANCEL, vmlinev1.Operation_KIND_RETRY, vmlinev1.Operation_KIND_CANCEL} {
		mend := func() {}
		if i < 2 {
			mend = refuse(http.MethodGet, "/nodes/*/qemu/*/config")
		}
		id := r.Send("w1-8", kind, nil)
		vm = r.Await("w1-8", func(vm *vmlinev1.VM) bool {
			return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		mend()
		if i < 2 && !Parked(vm) {
			t.Fatalf("%v ended %v", kind, vm.GetOperation().GetState())
		}
	}
	if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED || !proto.Equal(vm.GetPackage(), first.GetPackage()) || !equal(vm.GetAddresses(), first.GetAddresses()) {
		t.Fatalf("the cancellation leaves %v", vm)
	}
	r.checkAsBefore(before)
	if said := strings.Join(vm.GetWarnings(), "\n"); !strings.Contains(said, "the package has this firewall rule no more; where it was added, it stays") {
		t.Errorf("a person is told %q", said)
	}
	r.CheckReserved(1, 1)
}

// TestAChangeOverAHalfDoneOne takes away what only the half-done one had set, whose password holds no more
// either; so does the cancellation of such a change.
func TestAChangeOverAHalfDoneOne(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	for ref, last := range map[string]vmlinev1.Operation_Kind{"w1-9": changePackage, "w1-10": vmlinev1.Operation_KIND_CANCEL} {
		t.Run(last.String(), func(t *testing.T) {
			r, pkg := r.For(t), Small("web")
			pkg.CloudInit.SealedPassword = sealed(r, "First-1")
			r.Order(ref, pkg)
			first := r.Await(ref, Ended(create))
			before, _ := r.Sim.VM(int(first.GetVmid()))
			mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: http.MethodPost, Path: "/nodes/*/qemu/*/status/start", Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.Other)"})
			given := changed(pkg, func(p *vmlinev1.Package) {
				full := Full("web")
				p.Cores, p.CloudInit, p.Firewall, p.Network = 2, full.GetCloudInit(), full.GetFirewall(), full.GetNetwork()
				p.CloudInit.User, p.CloudInit.SealedPassword = "ann", sealed(r, "Second-2")
			})
			for _, pkg := range []*vmlinev1.Package{given, changed(pkg, func(p *vmlinev1.Package) { p.Cores = 3 })} {
				id := r.Send(ref, changePackage, pkg)
				r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id && Parked(vm) })
			}
			mend()
			id := r.Send(ref, last, changed(pkg, func(*vmlinev1.Package) {}))
			vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
			})
			if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED || !proto.Equal(vm.GetPackage(), first.GetPackage()) || !equal(vm.GetAddresses(), first.GetAddresses()) {
				t.Fatalf("it ends as %v", vm)
			}
			r.checkAsBefore(before)
		})
	}
}

// checkAsBefore compares a machine that had no firewall with what it was, to its password.
func (r *Rig) checkAsBefore(before pvesim.VMState) {
	r.t.Helper()
	now, _ := r.Sim.VM(before.VMID)
	keys := maps.Clone(before.Config)
	maps.Copy(keys, now.Config)
	for key := range keys {
		if sorted(now.Config[key]) != sorted(before.Config[key]) {
			r.t.Errorf("%s was %q and is %q", key, before.Config[key], now.Config[key])
		}
	}
	if now.Status != "running" || now.Passwords["admin"] != before.Passwords["admin"] {
		r.t.Errorf("it is %s with the passwords %v, which were %v", now.Status, now.Passwords, before.Passwords)
	}
	for _, f := range r.Sim.Firewalls() {
		if f.VMID == now.VMID && (f.Options["enable"] != "0" || len(f.IPSets) > 0) {
			r.t.Errorf("the firewall is %+v", f)
		}
	}
}

func sorted(options string) string {
	parts := strings.Split(options, ",")
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// TestAPasswordThatCannotBeSetAtOnce is said to hold from the next boot on, and stays for a machine that is
// built again.
func TestAPasswordThatCannotBeSetAtOnce(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	for i, tt := range []struct {
		name  string
		stage func(vm *vmlinev1.VM)
		pkg   func(*vmlinev1.Package)
		want  string
	}{
		{name: "an agent that is silent", stage: func(vm *vmlinev1.VM) { r.Sim.SetGuest(int(vm.GetVmid()), pvesim.Guest{NoAgent: true}) }, want: "QEMU guest agent is not running"},
		{name: "no account", pkg: func(p *vmlinev1.Package) { p.CloudInit.User = "" }, want: "names no account"},
		{name: "a token without the right", stage: func(*vmlinev1.VM) {
			t.Cleanup(r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/nodes/*/qemu/*/agent/set-user-password", Code: 403, Text: "Permission check failed (/vms, VM.GuestAgent.Unrestricted)"}))
		}, want: "VM.GuestAgent.Unrestricted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, ref, pkg := r.For(t), "w1-"+string(rune('a'+i)), Small("web")
			if tt.pkg != nil {
				tt.pkg(pkg)
			}
			r.Order(ref, pkg)
			vm := r.Await(ref, Ended(create))
			if tt.stage != nil {
				tt.stage(vm)
			}
			box := sealed(r, "Secret-12345")
			r.SendWith(ref, changePassword, nil, &vmlinev1.Params{SealedPassword: box})
			vm = r.Await(ref, Ended(changePassword))
			note := vm.GetOperation().GetResult().GetNote()
			if !strings.Contains(note, "next boot") || !strings.Contains(note, tt.want) || strings.Contains(note, "Secret") {
				t.Errorf("it is noted: %q", note)
			}
			if !slices.Equal(vm.GetPackage().GetCloudInit().GetSealedPassword(), box) {
				t.Error("the package has not got the password")
			}
		})
	}
}
