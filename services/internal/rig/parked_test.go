package rig

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// settledAs says that the command's operation goes no further by itself.
func settledAs(id string) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool {
		return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != running
	}
}

// TestARetryStartsWhatItsStartHasLeftOff: a machine that fell right after its start is left off until a person
// retries; then it is started again, whatever the operation and wherever on its way it looks at the machine.
func TestARetryStartsWhatItsStartHasLeftOff(t *testing.T) {
	r := New(t, Options{Retry: bus.RetryPolicy{First: 5 * time.Millisecond, Cap: 100 * time.Millisecond, GiveUp: 500 * time.Millisecond}})
	r.Start(chain.IPAM, Edge{})
	r.Start(chain.Provisioner, Edge{})
	fall := &faller{sim: r.Sim, names: map[string]bool{}}
	r.Start(chain.Lifecycle, Edge{Proxmox: fall.over})
	const ref = "fallen-1"
	two := agentOf("tmpl")
	two.Network.Ipv4Count, two.Network.Addresses = 2, []string{"10.64.0.77"}
	one := proto.CloneOf(two)
	one.Network.Ipv4Count, one.Network.Addresses = 1, []string{"10.64.0.78"} // its guest is told of another, so it is stopped
	for _, tt := range []struct {
		kind vmlinev1.Operation_Kind
		pkg  *vmlinev1.Package
		// at is the status in which it is parked.
		at vmlinev1.Status
	}{
		{create, two, vmlinev1.Status_STATUS_STARTING},
		{changePackage, one, vmlinev1.Status_STATUS_IP_RELEASED},
		{vmlinev1.Operation_KIND_REINSTALL, nil, vmlinev1.Status_STATUS_STARTING},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			r := r.For(t)
			fall.arm("web")
			stuck := r.Await(ref, settledAs(r.Send(ref, tt.kind, tt.pkg)))
			if p := stuck.GetProblem(); !Parked(stuck) || stuck.GetStatus() != tt.at || !strings.Contains(p.GetCause(), "does not run after its start") ||
				p.GetNext() != "Find out on Proxmox why it is off; then retry, which starts it again." {
				t.Fatalf("it stands at %s, and a person reads %v", stuck.GetStatus(), p)
			}
			r.Sim.ResetCalls()
			vm := r.Await(ref, settledAs(r.Send(ref, vmlinev1.Operation_KIND_RETRY, nil)))
			machine, _ := r.Sim.VM(int(vm.GetVmid()))
			if vm.GetStatus() != readyStatus || machine.Status != "running" || vm.GetRemoteStatus() != remoteRunning {
				t.Errorf("it is %s and its machine %s: %v", vm.GetStatus(), machine.Status, vm.GetProblem())
			}
			if n := r.count(fmt.Sprintf("POST /qemu/%d/status/start", vm.GetVmid())); n != 1 {
				t.Errorf("it was started %d times", n)
			}
			r.CheckLog(ref)
			r.CheckWorld()
		})
	}
	r.CheckReserved(1, 1)
}

// arm lets the machines of a name stop right after their next start.
func (f *faller) arm(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[name] = true
}

// TestWhatAParkedReinstallationIsToReplace: as long as the old machine stands, no command takes it away without
// seeing first that it can be made again, and none has it pass for the new one. A cancellation has it be what it
// was; another reinstallation goes on.
func TestWhatAParkedReinstallationIsToReplace(t *testing.T) {
	const reinstall = vmlinev1.Operation_KIND_REINSTALL
	r := New(t, Options{})
	r.StartAll()
	for i, then := range []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_CANCEL, reinstall, vmlinev1.Operation_KIND_RETRY} {
		t.Run(then.String(), func(t *testing.T) {
			r, ref := r.For(t), fmt.Sprintf("old-%d", i)
			r.Order(ref, Small("web"))
			first := r.Await(ref, Ended(create))
			before, _ := r.Sim.VM(int(first.GetVmid()))
			mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: http.MethodPost, Path: fmt.Sprintf("/nodes/*/qemu/%d/status/stop", first.GetVmid()), Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.PowerMgmt)"})
			stuck := r.Await(ref, settledAs(r.SendWith(ref, reinstall, nil, &vmlinev1.Params{SealedPassword: sealed(r, "Second-2")})))
			if !Parked(stuck) || stuck.GetStatus() != vmlinev1.Status_STATUS_PLANNED {
				t.Fatalf("it stands at %s: %v", stuck.GetStatus(), stuck.GetProblem())
			}
			for _, kind := range []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_REDEPLOY, vmlinev1.Operation_KIND_RESUME, vmlinev1.Operation_KIND_REMOVE} {
				id := r.SendWith(ref, kind, nil, &vmlinev1.Params{Status: vmlinev1.Status_STATUS_CLONE})
				if p := r.AwaitRefusal(id).GetProblem(); !strings.Contains(p.GetCause(), "the machine that it is to replace still stands") || !strings.Contains(p.GetNext(), "cancel it, which keeps the machine") {
					t.Errorf("%s: a person reads %v", kind, p)
				}
			}
			if now, _ := r.Sim.VM(before.VMID); now.Status != "running" || now.Config["vmgenid"] != before.Config["vmgenid"] {
				t.Errorf("the old machine is now %v", now)
			}
			mend()
			vm := r.Await(ref, settledAs(r.Send(ref, then, nil)))
			now, _ := r.Sim.VM(before.VMID)
			same := now.Config["vmgenid"] == before.Config["vmgenid"]
			if kept := then == vmlinev1.Operation_KIND_CANCEL; vm.GetStatus() != readyStatus || now.Status != "running" || same != kept || proto.Equal(vm.GetPackage(), first.GetPackage()) != kept {
				t.Errorf("it is %s, its machine %s, the old one: %t, with %v: %v", vm.GetStatus(), now.Status, same, vm.GetPackage(), vm.GetProblem())
			}
			if !equal(vm.GetAddresses(), first.GetAddresses()) || vm.GetMac() != first.GetMac() {
				t.Errorf("it had %v, %s and has %v, %s", first.GetAddresses(), first.GetMac(), vm.GetAddresses(), vm.GetMac())
			}
			r.CheckLog(ref)
			r.CheckWorld()
			r.CheckReserved(i+1, i+1)
		})
	}
}

// TestAMachineThatWasResumedPastItsTag is known by its mark alone, until a change of its package gives it the tag.
func TestAMachineThatWasResumedPastItsTag(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	const ref = "untagged-1"
	mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: http.MethodPost, Path: "/nodes/*/qemu/*/config", Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.Config.CPU)"})
	r.Order(ref, Small("web"))
	stuck := r.Await(ref, Parked)
	mend()
	r.Sim.SetRunning(int(stuck.GetVmid()), true)
	r.Await(ref, settledAs(r.SendWith(ref, vmlinev1.Operation_KIND_RESUME, nil, &vmlinev1.Params{Status: vmlinev1.Status_STATUS_STARTING})))
	r.Await(ref, Ended(vmlinev1.Operation_KIND_RESUME))
	if machine, _ := r.Sim.VM(int(stuck.GetVmid())); len(machine.Tags) > 0 {
		t.Fatalf("it has the tags %v", machine.Tags)
	}
	vm := r.Await(ref, settledAs(r.Send(ref, changePackage, with(func(p *vmlinev1.Package) { p.Cores = 2 }))))
	machine, _ := r.Sim.VM(int(vm.GetVmid()))
	if vm.GetOperation().GetState() != succeeded || machine.Config["cores"] != "2" || !slices.Contains(machine.Tags, "vmline") || vm.GetVmgenid() != machine.Config["vmgenid"] {
		t.Errorf("it ended %s with %v: %v", vm.GetOperation().GetState(), machine, vm.GetProblem())
	}
	r.Await(ref, settledAs(r.Terminate(ref)))
	r.CheckLog(ref)
	r.CheckReserved(0, 0)
}
