package rig

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const adopt = vmlinev1.Operation_KIND_ADOPT

// stranger puts a machine on the cluster that somebody else has made.
func (r *Rig) stranger(vmid int, change map[string]string) {
	r.t.Helper()
	config := map[string]string{
		"description": "Ann's shop\nask her first", "tags": "shop", "cores": "2", "sockets": "2", "memory": "3072", "cpu": "host,flags=+aes", "onboot": "1",
		"net0": "e1000,bridge=vmbr0,rate=5,firewall=1", "ciuser": "ann", "ipconfig0": "ip=10.64.7.7/16,gw=10.64.0.1,ip6=2001:db8:64::7/64,gw6=2001:db8:64::1", "nameserver": "192.0.2.53", "boot": "order=scsi0",
		"sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIBAWxLQfcWCGt6g8EJlOzqpoxC1XUvYNM3ZvDUAVKxqO%20ann", "searchdomain": "a.test",
	}
	maps.Copy(config, change)
	must(r.t, r.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: "pve2", Name: "shop", Storage: "shared1", DiskGB: 20, CloudInit: true, Running: true, Config: config}))
}

// TestAdopt binds refs to machines that somebody else has made. Nothing of them changes but mark and tag,
// and the VM's state says what they are.
func TestAdopt(t *testing.T) {
	r := New(t, Options{Now: hardly()})
	r.StartAll()
	r.stranger(4701, nil)
	c := r.Proxmox()
	must(t, c.SetFirewallOptions(t.Context(), "pve2", 4701, map[string]string{"enable": "1", "policy_in": "DROP", "ipfilter": "1"}))
	must(t, c.CreateIPSet(t.Context(), "pve2", 4701, "ipfilter-net0"))
	for _, entry := range []string{"10.64.7.7", "10.64.7.8", "2001:db8:64::7", "203.0.113.0/24"} {
		must(t, c.AddIPSetEntry(t.Context(), "pve2", 4701, "ipfilter-net0", entry))
	}
	before, _ := r.Sim.VM(4701)
	r.Sim.ResetCalls()
	reply := r.dryRun("w1-adopt", adopt, &vmlinev1.Package{Cluster: Cluster, Readiness: vmlinev1.Readiness_READINESS_RUNNING}, &vmlinev1.Params{Vmid: 4701})
	said := planned(reply, false)
	r.CheckReserved(0, 0)
	r.Sim.ResetCalls()
	r.SendWith("w1-adopt", adopt, &vmlinev1.Package{Cluster: Cluster, Readiness: vmlinev1.Readiness_READINESS_RUNNING}, &vmlinev1.Params{Vmid: 4701})
	vm := r.Await("w1-adopt", Ended(adopt))
	r.golden(t, "adopt")
	said = slices.DeleteFunc(said, func(line string) bool { return strings.Contains(line, "uid=") }) // another uid than the one that was planned with
	if done := slices.DeleteFunc(r.provisioned(false), func(line string) bool { return strings.Contains(line, "uid=") }); !slices.Equal(said, done) {
		t.Errorf("the dry run said %q and these are made: %q", said, done)
	}

	now, _ := r.Sim.VM(4701)
	want := maps.Clone(before.Config)
	want["description"] += "\n" + machine.Mark(vm)
	want["tags"] = "shop;vmline"
	if !maps.Equal(now.Config, want) || now.Status != "running" || len(now.Pending) > 0 {
		t.Errorf("the machine is %s with\n%q, want\n%q", now.Status, now.Config, want)
	}
	pkg := vm.GetPackage()
	if pkg.GetCores() != 4 || pkg.GetMemoryMib() != 3072 || pkg.GetName() != "shop" || pkg.GetCpuType() != "host" || !pkg.GetOnboot() || pkg.GetSystemDisk().GetSizeGb() != 20 ||
		pkg.GetSystemDisk().GetStorage() != "shared1" || pkg.GetNetwork().GetModel() != "e1000" || pkg.GetNetwork().GetRateMbps() != 5 || pkg.GetCloudInit().GetUser() != "ann" ||
		pkg.GetFirewall().GetPolicyIn() != "DROP" || !pkg.GetFirewall().GetIpFilter() || len(pkg.GetCloudInit().GetSshKeys()) != 1 {
		t.Errorf("the package is taken for %v", pkg)
	}
	card, err := pve.ParseNIC(before.Config["net0"])
	must(t, err)
	if vm.GetNode() != "pve2" || vm.GetVmid() != 4701 || vm.GetMac() != card.MAC || vm.GetVmgenid() != before.Config["vmgenid"] || vm.GetSystemDiskGb() != 20 || vm.GetWantedPower() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING {
		t.Errorf("the state is %v", vm)
	}
	var addresses []string
	for _, a := range vm.GetAddresses() {
		addresses = append(addresses, a.GetAddress())
	}
	slices.Sort(addresses)
	if !slices.Equal(addresses, []string{"10.64.7.7", "10.64.7.8", "2001:db8:64::7"}) {
		t.Errorf("it has the addresses %q", addresses)
	}
	r.CheckReserved(3, 1)
	// As adopted it is as its package says: a look finds no drift, and a change of nothing changes nothing.
	must(t, r.Bus.Tick(t.Context(), bus.TickDrift))
	r.Sim.ResetCalls()
	r.Send("w1-adopt", changePackage, changed(pkg, func(p *vmlinev1.Package) { p.Dns = &vmlinev1.Dns{Ttl: 77} }))
	vm = r.Await("w1-adopt", Ended(changePackage))
	for _, call := range r.Sim.Calls() {
		if call.Method != http.MethodGet {
			t.Errorf("%s %s %v changes a machine that is as its package says", call.Method, call.Path, call.Params)
		}
	}
	if len(vm.GetDrift()) > 0 {
		t.Errorf("it drifts: %v", vm.GetDrift())
	}
}

// TestAdoptRefuses what is somebody else's, and leaves it and the VM's ref as they were.
func TestAdoptRefuses(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	r.Order("w1-7", Small("web"))
	ours := r.Await("w1-7", Ended(create))
	r.stranger(4710, map[string]string{"description": "vmline ref=x-9 uid=other"})
	r.stranger(4711, nil)
	r.Sim.SetLock(4711, "backup")
	r.stranger(4712, nil)
	bucket, err := r.Bus.Bucket(t.Context(), bus.BucketVMID)
	must(t, err)
	must(t, bucket.Create(t.Context(), Cluster+".4712", &vmlinev1.VMIDReservation{Ref: "x-1", Uid: "u"}))
	for i, tt := range []struct {
		vmid uint32
		want string
	}{
		{4710, "belongs to another VM"}, {4711, "locked (backup)"}, {4712, "reserved for the VM x-1"},
		{9000, "is a template"}, {4799, "shows no machine"}, {ours.GetVmid(), "belongs to another VM"},
	} {
		ref := "w1-no" + string(rune('a'+i))
		r.Sim.ResetCalls()
		id := r.SendWith(ref, adopt, &vmlinev1.Package{Cluster: Cluster}, &vmlinev1.Params{Vmid: tt.vmid})
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool {
			return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		p := vm.GetOperation().GetProblem()
		if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_REFUSED || !strings.Contains(p.GetCause(), tt.want) || p.GetNext() == "" {
			t.Errorf("%d: %v, %v, %v", tt.vmid, vm.GetOperation().GetState(), p, vm.GetProblem())
		}
		for _, call := range r.Sim.Calls() {
			if call.Method != http.MethodGet {
				t.Errorf("%d: %s %s", tt.vmid, call.Method, call.Path)
			}
		}
	}
	if now := r.Await("w1-7", Ended(create)); !proto.Equal(now, ours) {
		t.Error("the VM whose machine was asked for has changed")
	}
	r.CheckReserved(1, 2)
}

// TestACancelledAdoptionReturnsTheMachine: it is as it was before, and nothing of it stays reserved. The other
// VM's address, for which the adoption waited, stays the other's.
func TestACancelledAdoptionReturnsTheMachine(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	r.Order("w1-owner", Small("web"))
	owner := r.Await("w1-owner", Ended(create))
	const vmid, ref = 4720, "w1-back"
	r.stranger(vmid, map[string]string{"ipconfig0": "ip=" + owner.GetAddresses()[0].GetAddress() + "/16,ip6=2001:db8:64::7/64"})
	before, _ := r.Sim.VM(vmid)
	r.SendWith(ref, adopt, &vmlinev1.Package{Cluster: Cluster}, &vmlinev1.Params{Vmid: vmid})
	if next := r.Await(ref, Parked).GetProblem().GetNext(); !strings.Contains(next, "cancel") {
		t.Errorf("a person reads %q", next)
	}
	said := planned(r.dryRun(ref, vmlinev1.Operation_KIND_CANCEL, nil, nil), false)
	r.Sim.ResetCalls()
	r.Send(ref, vmlinev1.Operation_KIND_CANCEL, nil)
	if vm := r.Await(ref, Ended(vmlinev1.Operation_KIND_CANCEL)); vm.GetStatus() != vmlinev1.Status_STATUS_TERMINATED || vm.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED {
		t.Errorf("it ends in status %s, and the machine is said to be %s", chain.Name(vm.GetStatus()), vm.GetRemoteStatus())
	}
	if done := r.provisioned(false); len(done) != 1 || !slices.Equal(said, done) {
		t.Errorf("the dry run said %q and these are made: %q", said, done)
	}
	if now, _ := r.Sim.VM(vmid); now.Status != before.Status || !maps.Equal(now.Config, before.Config) {
		t.Errorf("it was %s with\n%q, and is %s with\n%q", before.Status, before.Config, now.Status, now.Config)
	}
	r.CheckReserved(1, 1)
	r.CheckLog(ref)
}

// TestHardwareDrift: what a person changes on a machine is reported with its words, once, and no more when
// it is changed back; a rollback is taken note of.
func TestHardwareDrift(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	r.Order("w1-7", Full("web"))
	vm := r.Await("w1-7", Ended(create))
	first := vm
	r.Sim.AddSnapshot(int(vm.GetVmid()), "before", "")
	off(r, vm)
	byHand("cores", "1")(r, vm)
	r.stranger(4700, nil) // nobody's business
	tick := func() { must(t, r.Bus.Tick(t.Context(), bus.TickDrift)) }
	tick()
	vm = r.Await("w1-7", func(vm *vmlinev1.VM) bool { return len(vm.GetDrift()) > 0 })
	d := vm.GetDrift()[0]
	if d.GetKind() != vmlinev1.Drift_KIND_HARDWARE || d.GetDetail() != "cores is 1, the package says 4" || vm.GetEvent() != vmlinev1.Event_EVENT_OBSERVED || vm.GetStatus() != vmlinev1.Status_STATUS_READY {
		t.Errorf("%v is recorded as %v", d, vm.GetEvent())
	}
	entries := len(r.log("w1-7"))
	tick()
	r.rollback(vm, "before")
	r.Await("w1-7", func(vm *vmlinev1.VM) bool {
		tick()
		return len(vm.GetDrift()) == 0 && vm.GetVmgenid() != first.GetVmgenid()
	})
	for _, vm := range r.log("w1-7")[entries:] {
		if len(vm.GetDrift()) > 0 && proto.Equal(vm.GetDrift()[0], d) && vm.GetVmgenid() == first.GetVmgenid() {
			t.Error("what had not changed was written again")
		}
	}
	vm = r.Await("w1-7", Ended(create))
	if len(vm.GetWarnings()) != 1 || !strings.Contains(vm.GetWarnings()[0], "rolled back") {
		t.Errorf("the warnings are %q", vm.GetWarnings())
	}
	r.Terminate("w1-7")
	r.Await("w1-7", Ended(terminate))
}

// TestAnotherMAC: a network card that somebody has given another address is told, once.
func TestAnotherMAC(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	r.Order("w1-mac", Small("web"))
	vm := r.Await("w1-mac", Ended(create))
	const other = "BC:24:11:00:00:01"
	byHand("net0", "virtio="+other+",bridge=vmbr0")(r, vm)
	tick := func() { must(t, r.Bus.Tick(t.Context(), bus.TickDrift)) }
	tick()
	vm = r.Await("w1-mac", func(now *vmlinev1.VM) bool { return now.GetMac() == other })
	tick()
	byHand("cores", "2")(r, vm)
	vm = r.Await("w1-mac", func(vm *vmlinev1.VM) bool { tick(); return len(vm.GetDrift()) > 0 })
	if w := vm.GetWarnings(); len(w) != 1 || !strings.Contains(w[0], "another MAC: "+other) {
		t.Errorf("the warnings are %q", w)
	}
}

// TestACancelledChangeSpeaksOfNoAddresses that it has not changed.
func TestACancelledChangeSpeaksOfNoAddresses(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	pkg := Small("web")
	r.Order("w1-note", pkg)
	vm := r.Await("w1-note", Ended(create))
	r.Sim.SetLock(int(vm.GetVmid()), "backup")
	r.Send("w1-note", changePackage, changed(pkg, func(p *vmlinev1.Package) { p.Cores = 2 }))
	r.Await("w1-note", retrying("locked"))
	id := r.Send("w1-note", vmlinev1.Operation_KIND_CANCEL, nil)
	r.Await("w1-note", func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id })
	r.Sim.SetLock(int(vm.GetVmid()), "")
	vm = r.Await("w1-note", Ended(vmlinev1.Operation_KIND_CANCEL))
	if note := vm.GetOperation().GetResult().GetNote(); note != "" || vm.GetRemoteStatus() != vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING {
		t.Errorf("the billing system notes %q of a machine that is %s", note, vm.GetRemoteStatus())
	}
}
