package chain

import (
	"slices"
	"strings"
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// The kinds and states that the tests name most.
const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE
	reinstall = vmlinev1.Operation_KIND_REINSTALL
	suspend   = vmlinev1.Operation_KIND_SUSPEND
	unsuspend = vmlinev1.Operation_KIND_UNSUSPEND
	change    = vmlinev1.Operation_KIND_CHANGE_PACKAGE
	inHand    = vmlinev1.Operation_STATE_RUNNING
	parked    = vmlinev1.Operation_STATE_PARKED
	done      = vmlinev1.Operation_STATE_SUCCEEDED
	ready     = vmlinev1.Status_STATUS_READY
)

// standing is a VM with package "a" on which an operation stands as given.
func stands(kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, status vmlinev1.Status) *vmlinev1.VM {
	return &vmlinev1.VM{
		Status: status, PackageDigest: []byte("a"), Vmid: 100, RemoteStatus: running,
		Operation: &vmlinev1.Operation{Id: "op", Kind: kind, State: state, Before: &vmlinev1.Before{Status: ready}},
	}
}

// built is a VM whose operation has parked on a way at a status.
func built(kind vmlinev1.Operation_Kind, route []vmlinev1.Status, status vmlinev1.Status) *vmlinev1.VM {
	vm := stands(kind, parked, status)
	reach(vm, route, slices.Index(route, status)+1)
	return vm
}

func with(vm *vmlinev1.VM, change func(*vmlinev1.VM)) *vmlinev1.VM { change(vm); return vm }

func isStopped(vm *vmlinev1.VM) { vm.RemoteStatus = stopped }
func destroys(vm *vmlinev1.VM)  { vm.Task = &vmlinev1.Task{Purpose: PurposeDestroy} }
func isQueued(vm *vmlinev1.VM)  { behindIt(suspend)(vm) }

// behindIt has a command of the kind in the VM's queue.
func behindIt(kind vmlinev1.Operation_Kind) func(*vmlinev1.VM) {
	return func(vm *vmlinev1.VM) { vm.Queued = &vmlinev1.Queued{Id: "q", Kind: kind} }
}
func isNowhere(vm *vmlinev1.VM)  { vm.Vmid = 0 }
func wasRemoved(vm *vmlinev1.VM) { vm.Operation.Before.Status = vmlinev1.Status_STATUS_REMOVED }

func TestAdmit(t *testing.T) {
	network := vmlinev1.Status_STATUS_SET_NETWORK
	at := func(s vmlinev1.Status) *vmlinev1.Params { return &vmlinev1.Params{Status: s, Reason: "mended by hand"} }
	for _, tt := range []struct {
		name   string
		vm     *vmlinev1.VM
		kind   vmlinev1.Operation_Kind
		digest string
		params *vmlinev1.Params
		want   Verdict
		reason string
	}{
		{"create of a new ref", nil, create, "a", nil, Admitted, ""},
		{"create repeated while running", stands(create, inHand, network), create, "a", nil, Joined, ""},
		{"other package while running", stands(create, inHand, network), create, "b", nil, Refused, "operation op (create) is in progress, last step set_network"},
		{"create repeated when parked", stands(create, parked, network), create, "a", nil, Admitted, ""},
		{"mended package when parked", stands(create, parked, network), create, "b", nil, Admitted, ""},
		{"create repeated when ready", stands(create, done, ready), create, "a", nil, Joined, ""},
		{"other package when ready", stands(create, done, ready), create, "b", nil, Refused, "exists with another package"},
		{"create after termination", stands(terminate, done, vmlinev1.Status_STATUS_TERMINATED), create, "a", nil, Admitted, ""},
		{"create during termination", stands(terminate, inHand, vmlinev1.Status_STATUS_REMOVED), create, "a", nil, Refused, "in progress, last step removed"},
		{"create over a parked termination", stands(terminate, parked, vmlinev1.Status_STATUS_TERMINATE), create, "a", nil, Refused, "waits for a person"},
		{"terminate of nothing", nil, terminate, "", nil, Refused, "no such VM"},
		{"terminate a ready VM", stands(create, done, ready), terminate, "", nil, Admitted, ""},
		{"terminate during create", stands(create, inHand, network), terminate, "", nil, Admitted, ""},
		{"terminate a parked create", stands(create, parked, network), terminate, "", nil, Admitted, ""},
		{"terminate a suspended VM", stands(suspend, done, vmlinev1.Status_STATUS_SUSPENDED), terminate, "", nil, Admitted, ""},
		{"terminate while a reinstallation destroys", with(stands(reinstall, inHand, vmlinev1.Status_STATUS_REINSTALL), destroys), terminate, "", nil, Queued, ""},
		{"suspend behind a queued termination", with(with(stands(reinstall, inHand, vmlinev1.Status_STATUS_REINSTALL), destroys), behindIt(terminate)), suspend, "", nil, Refused, "is queued"},
		{"terminate behind a queued suspend", with(with(stands(reinstall, inHand, vmlinev1.Status_STATUS_REINSTALL), destroys), behindIt(suspend)), terminate, "", nil, Queued, ""},
		{"remove over a parked change", with(stands(change, parked, network), isStopped), vmlinev1.Operation_KIND_REMOVE, "", nil, Refused, "waits for a person"},
		{"terminate repeated", stands(terminate, inHand, vmlinev1.Status_STATUS_TERMINATE), terminate, "", nil, Joined, ""},
		{"terminate repeated while it destroys", with(stands(terminate, inHand, vmlinev1.Status_STATUS_TERMINATE), destroys), terminate, "", nil, Joined, ""},
		{"terminate repeated when parked", stands(terminate, parked, vmlinev1.Status_STATUS_TERMINATE), terminate, "", nil, Admitted, ""},
		{"terminate when gone", stands(terminate, done, vmlinev1.Status_STATUS_TERMINATED), terminate, "", nil, Joined, ""},
		{"suspend a ready VM", stands(create, done, ready), suspend, "", nil, Admitted, ""},
		{"suspend during create", stands(create, inHand, network), suspend, "", nil, Queued, ""},
		{"suspend while one is queued", with(stands(create, inHand, network), isQueued), suspend, "", nil, Joined, ""},
		{"unsuspend while a suspend is queued", with(stands(create, inHand, network), isQueued), unsuspend, "", nil, Queued, ""},
		{"suspend over a parked create, one is queued", with(stands(create, parked, network), isQueued), suspend, "", nil, Joined, ""},
		{"suspend over a parked create", stands(create, parked, network), suspend, "", nil, Queued, ""},
		{"suspend during termination", stands(terminate, inHand, vmlinev1.Status_STATUS_TERMINATE), suspend, "", nil, Refused, "in progress"},
		{"suspend twice", stands(suspend, done, vmlinev1.Status_STATUS_SUSPENDED), suspend, "", nil, Joined, ""},
		{"suspend while it is suspended and the contrary is queued", with(stands(suspend, inHand, ready), behindIt(unsuspend)), suspend, "", nil, Queued, ""},
		{"suspend while it is suspended and one is queued", with(stands(suspend, inHand, ready), behindIt(suspend)), suspend, "", nil, Joined, ""},
		{"unsuspend while it is suspended", stands(suspend, inHand, ready), unsuspend, "", nil, Queued, ""},
		{"start a suspended VM", stands(suspend, done, vmlinev1.Status_STATUS_SUSPENDED), vmlinev1.Operation_KIND_START, "", nil, Refused, "not allowed in status suspended"},
		{"reboot a suspended VM", stands(suspend, done, vmlinev1.Status_STATUS_SUSPENDED), vmlinev1.Operation_KIND_REBOOT, "", nil, Refused, "not allowed in status suspended"},
		{"change to the same package", stands(create, done, ready), change, "a", nil, Joined, ""},
		{"change to another package", stands(create, done, ready), change, "b", nil, Admitted, ""},
		{"change a suspended VM", stands(suspend, done, vmlinev1.Status_STATUS_SUSPENDED), change, "b", nil, Refused, "not allowed in status suspended"},
		{"change again when parked", stands(change, parked, vmlinev1.Status_STATUS_STOPPED), change, "c", nil, Admitted, ""},
		{"** on a running machine", stands(create, done, ready), vmlinev1.Operation_KIND_SET_CPU_RAM, "", nil, Refused, "needs the machine stopped (**)"},
		{"** on a stopped machine", with(stands(create, done, ready), isStopped), vmlinev1.Operation_KIND_SET_CPU_RAM, "", nil, Admitted, ""},
		{"* on a running machine", stands(create, done, ready), vmlinev1.Operation_KIND_SET_NETWORK, "", nil, Admitted, ""},
		{"a step after the one before it", stands(create, parked, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH), vmlinev1.Operation_KIND_SET_NETWORK, "", nil, Admitted, ""},
		{"a step out of its order", stands(create, parked, vmlinev1.Status_STATUS_CREATION), vmlinev1.Operation_KIND_SET_NETWORK, "", nil, Refused, "waits for a person after creation"},
		{"a step in a parked change", stands(change, parked, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH), vmlinev1.Operation_KIND_SET_NETWORK, "", nil, Refused, "waits for a person"},
		{"clone of a ready machine", stands(create, done, ready), vmlinev1.Operation_KIND_CLONE, "", nil, Refused, "reinstall builds it anew"},
		{"remove a running machine", stands(create, done, ready), vmlinev1.Operation_KIND_REMOVE, "", nil, Refused, "needs the machine stopped"},
		{"redeploy a ready machine", stands(create, done, ready), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Refused, "not allowed in status ready"},
		{"redeploy a parked create", stands(create, parked, network), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Admitted, ""},
		{"redeploy in a parked change", stands(change, parked, network), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Refused, "waits for a person"},
		{"redeploy a create parked before it is told of other addresses", built(create, readdress(building), vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Admitted, ""},
		{"redeploy a create parked after its addresses were given back", built(create, readdress(building), vmlinev1.Status_STATUS_IP_RELEASED), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Admitted, ""},
		{"resume a create parked before it is told of other addresses", built(create, readdress(building), vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_RESUME, "", at(network), Admitted, ""},
		{"resume it past what tells it", built(create, readdress(building), vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_RESUME, "", at(vmlinev1.Status_STATUS_SET_CLOUDINIT), Refused, "after set_firewall at the latest"},
		{"the next step of a create parked before it is told of other addresses", with(built(create, readdress(building), vmlinev1.Status_STATUS_STOPPED), isStopped), vmlinev1.Operation_KIND_SET_CPU_RAM, "", nil, Admitted, ""},
		{"remove over a create whose machine is off and not ready", with(built(create, readdress(building), vmlinev1.Status_STATUS_IP_RELEASED), isStopped), vmlinev1.Operation_KIND_REMOVE, "", nil, Admitted, ""},
		{"redeploy in a parked suspension", stands(suspend, parked, vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Refused, "waits for a person after stopped"},
		{"resume in a parked change", stands(change, parked, vmlinev1.Status_STATUS_IP_RELEASED), vmlinev1.Operation_KIND_RESUME, "", at(network), Refused, "waits for a person after ip_released"},
		{"redeploy what a reinstallation is to replace", stands(reinstall, parked, vmlinev1.Status_STATUS_REINSTALL), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Refused, "the machine that it is to replace still stands"},
		{"resume over what a reinstallation is to replace", stands(reinstall, parked, vmlinev1.Status_STATUS_PLANNED), vmlinev1.Operation_KIND_RESUME, "", at(network), Refused, "the machine that it is to replace still stands"},
		{"remove what a reinstallation is to replace", with(stands(reinstall, parked, vmlinev1.Status_STATUS_PLANNED), isStopped), vmlinev1.Operation_KIND_REMOVE, "", nil, Refused, "the machine that it is to replace still stands"},
		{"another reinstallation over one that is parked before it removes", stands(reinstall, parked, vmlinev1.Status_STATUS_PLANNED), reinstall, "", &vmlinev1.Params{Template: "other"}, Admitted, ""},
		{"cancel a reinstallation that is parked before it removes", stands(reinstall, parked, vmlinev1.Status_STATUS_PLANNED), vmlinev1.Operation_KIND_CANCEL, "", nil, Admitted, ""},
		{"redeploy over a parked reinstallation that has nothing to replace", with(stands(reinstall, parked, vmlinev1.Status_STATUS_PLANNED), wasRemoved), vmlinev1.Operation_KIND_REDEPLOY, "", nil, Admitted, ""},
		{"retry of nothing", stands(create, done, ready), vmlinev1.Operation_KIND_RETRY, "", nil, Refused, "not allowed in status ready"},
		{"retry", stands(change, parked, network), vmlinev1.Operation_KIND_RETRY, "", nil, Admitted, ""},
		{"resume", stands(create, parked, network), vmlinev1.Operation_KIND_RESUME, "", at(vmlinev1.Status_STATUS_SET_FIREWALL), Admitted, ""},
		{"resume after what is no part of the chain", stands(create, parked, network), vmlinev1.Operation_KIND_RESUME, "", at(vmlinev1.Status_STATUS_SUSPENDED), Refused, "cannot be taken up after suspended"},
		{"resume without a machine", with(stands(create, parked, vmlinev1.Status_STATUS_SET_IP), isNowhere), vmlinev1.Operation_KIND_RESUME, "", at(network), Refused, "no machine was made yet"},
		{"resume without a status", stands(create, parked, network), vmlinev1.Operation_KIND_RESUME, "", nil, Refused, "resume needs the parameter status"},
		{"cancel a create", stands(create, inHand, network), vmlinev1.Operation_KIND_CANCEL, "", nil, Admitted, ""},
		{"cancel a termination", stands(terminate, inHand, vmlinev1.Status_STATUS_TERMINATE), vmlinev1.Operation_KIND_CANCEL, "", nil, Refused, "in progress"},
		{"cancel a parked termination", stands(terminate, parked, vmlinev1.Status_STATUS_TERMINATE), vmlinev1.Operation_KIND_CANCEL, "", nil, Refused, "waits for a person"},
		{"cancel a reinstallation of what is gone", with(stands(reinstall, parked, vmlinev1.Status_STATUS_REMOVED), wasRemoved), vmlinev1.Operation_KIND_CANCEL, "", nil, Refused, "cannot be made again"},
		{"cancel an adoption that has its mark", stands(vmlinev1.Operation_KIND_ADOPT, parked, vmlinev1.Status_STATUS_ADOPTED), vmlinev1.Operation_KIND_CANCEL, "", nil, Admitted, ""},
		{"reset the status", stands(create, parked, network), vmlinev1.Operation_KIND_RESET_STATUS, "", at(ready), Admitted, ""},
		{"reset the status of nothing", with(stands(create, parked, network), isNowhere), vmlinev1.Operation_KIND_RESET_STATUS, "", at(ready), Refused, "no machine was made yet"},
		{"reset the status to an end", stands(create, parked, network), vmlinev1.Operation_KIND_RESET_STATUS, "", at(vmlinev1.Status_STATUS_TERMINATED), Refused, "cannot be set to terminated"},
		{"reset the status without a reason", stands(create, parked, network), vmlinev1.Operation_KIND_RESET_STATUS, "", &vmlinev1.Params{Status: ready}, Refused, "needs the parameter reason"},
		{"adopt for a ref that has a VM", stands(create, done, ready), vmlinev1.Operation_KIND_ADOPT, "b", &vmlinev1.Params{Vmid: 7}, Refused, "not allowed in status ready"},
		{"unknown kind", nil, vmlinev1.Operation_KIND_UNSPECIFIED, "", nil, Refused, "no operation of kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Admit(tt.vm, &vmlinev1.Command{Kind: tt.kind, PackageDigest: []byte(tt.digest), Params: tt.params})
			if got.Verdict != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Fatalf("got %s %q, want %s %q", got.Verdict, got.Reason, tt.want, tt.reason)
			}
			if got.Verdict == Refused && got.Next == "" {
				t.Error("a refusal that does not say what to do next")
			}
		})
	}
}

// TestLocksDoNotCount: the steps wait for Proxmox's locks, admission does not ask for them.
func TestLocksDoNotCount(t *testing.T) {
	for _, s := range admissionScenes() {
		if s.vm == nil {
			continue
		}
		for _, r := range routes {
			free := Admit(s.vm, sample(r)).Verdict
			locked := Admit(with(s.vm, func(vm *vmlinev1.VM) { vm.RemoteLock = "backup" }), sample(r)).Verdict
			s.vm.RemoteLock = ""
			if free != locked {
				t.Errorf("%s, %s: %s while free, %s while locked", s.name, r.Verb(), free, locked)
			}
		}
	}
}

// TestNothingDestroysWhatACustomerUses: in ready and suspended, while something other than building goes on, and
// while a reinstallation has not taken the old machine away, only these commands lead to a removal; VMRemove
// does in ready alone.
func TestNothingDestroysWhatACustomerUses(t *testing.T) {
	may := []vmlinev1.Operation_Kind{terminate, reinstall, vmlinev1.Operation_KIND_RETRY}
	for _, s := range admissionScenes() {
		op := s.vm.GetOperation()
		atRest := op.GetState() == done && (s.vm.GetStatus() == ready || s.vm.GetStatus() == vmlinev1.Status_STATUS_SUSPENDED)
		if s.vm == nil || !atRest && (op.GetState() == done || builds(Goal(op)) && !replaces(s.vm) || Goal(op) == terminate) {
			continue
		}
		for _, r := range routes {
			removes := r.Kind == vmlinev1.Operation_KIND_REMOVE && (atRest || Goal(op) == r.Kind)
			if Admit(s.vm, sample(r)).Verdict != Admitted || slices.Contains(may, r.Kind) || removes {
				continue
			}
			if way, err := r.wayOf(s.vm, sample(r)); err == nil && slices.Contains(way.statuses, vmlinev1.Status_STATUS_REMOVED) {
				t.Errorf("%s: %s would remove the machine", s.name, r.Verb())
			}
		}
	}
}

func TestQueuedCommandsBeginWhenNothingIsInTheirWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		vm   *vmlinev1.VM
		due  bool
	}{
		{"suspend while it is made", with(stands(create, inHand, ready), behindIt(suspend)), false},
		{"suspend while its making is parked", with(stands(create, parked, vmlinev1.Status_STATUS_CLONE), behindIt(suspend)), false},
		{"suspend once it is ready", with(stands(create, done, ready), behindIt(suspend)), true},
		{"terminate while the destruction runs", with(with(stands(vmlinev1.Operation_KIND_REMOVE, inHand, ready), destroys), behindIt(terminate)), false},
		{"terminate once the destruction has ended", with(stands(vmlinev1.Operation_KIND_REMOVE, inHand, ready), behindIt(terminate)), true},
		{"nothing queued", stands(create, done, ready), false},
	} {
		if got := QueueDue(tt.vm); got != tt.due {
			t.Errorf("%s: due %v, want %v", tt.name, got, tt.due)
		}
	}
}

func TestPossibleCommandsAreThoseThatAreAdmitted(t *testing.T) {
	for _, s := range admissionScenes() {
		for _, kind := range Possible(s.vm) {
			d := Admit(s.vm, sample(routeOf[kind]))
			if d.Verdict != Admitted && d.Verdict != Queued {
				// A parameter may be wrong for the state, such as a status without a machine.
				t.Errorf("%s: %s is offered and %s: %s", s.name, KindName(kind), d.Verdict, d.Reason)
			}
		}
	}
}
