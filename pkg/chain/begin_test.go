package chain

import (
	"slices"
	"strings"
	"testing"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// half is a VM on which an operation came as far as a status.
func half(kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, origin, status vmlinev1.Status) *vmlinev1.VM {
	vm := stands(kind, state, status)
	vm.Operation.Before.Status = origin
	vm.Package = &vmlinev1.Package{Cluster: "dc1", Template: "debian", Cores: 1}
	vm.Operation.Before.Package = vm.Package
	for _, s := range routeOf[kind].Statuses {
		if s == Same {
			s = origin
		}
		vm.Operation.Route = append(vm.Operation.Route, s)
	}
	for _, s := range vm.GetOperation().GetRoute() {
		vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: s})
		if s == status {
			break
		}
	}
	return vm
}

func wantedOn(vm *vmlinev1.VM)  { vm.Operation.Before.WantedPower = running }
func wantedOff(vm *vmlinev1.VM) { vm.Operation.Before.WantedPower = stopped }

// TestWays shows the route of each command that depends on the VM, and what work it does.
func TestWays(t *testing.T) {
	network := vmlinev1.Status_STATUS_SET_NETWORK
	suspended := vmlinev1.Status_STATUS_SUSPENDED
	readyVM := half(create, done, NoVM, ready)
	for _, tt := range []struct {
		name   string
		vm     *vmlinev1.VM
		kind   vmlinev1.Operation_Kind
		status vmlinev1.Status
		goal   vmlinev1.Operation_Kind
		want   string
	}{
		{"button on a ready machine", readyVM, vmlinev1.Operation_KIND_SET_NETWORK, 0, vmlinev1.Operation_KIND_SET_NETWORK, "ready set_network ready"},
		{
			"button in a broken chain", half(create, parked, NoVM, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH), vmlinev1.Operation_KIND_SET_NETWORK, 0, create,
			"set_additional_disk_bandwidth set_network set_firewall set_cloudinit starting ready",
		},
		{"DNS of a suspended machine", half(suspend, done, ready, suspended), vmlinev1.Operation_KIND_SET_DNS_RECORDS, 0, vmlinev1.Operation_KIND_SET_DNS_RECORDS, "suspended set_dns_records suspended"},
		{"suspend once more when parked half way", half(suspend, parked, ready, vmlinev1.Status_STATUS_STOPPED), suspend, 0, suspend, "ready stopped suspended"},
		{"retry of a suspension", half(suspend, parked, ready, vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_RETRY, 0, suspend, "stopped suspended"},
		{"retry of a create", half(create, parked, NoVM, network), vmlinev1.Operation_KIND_RETRY, 0, create, "set_network set_firewall set_cloudinit starting ready"},
		{"retry of a termination", half(terminate, parked, ready, vmlinev1.Status_STATUS_REMOVED), vmlinev1.Operation_KIND_RETRY, 0, terminate, "removed vmid_released terminated"},
		{"retry of a create that its start has left off", half(create, parked, NoVM, vmlinev1.Status_STATUS_STARTING), vmlinev1.Operation_KIND_RETRY, 0, create, "starting starting ready"},
		{"retry of a change that its start has left off", half(change, parked, ready, vmlinev1.Status_STATUS_IP_RELEASED), vmlinev1.Operation_KIND_RETRY, 0, change, "ip_released starting ready"},
		{"retry of a reboot that has left it off", half(vmlinev1.Operation_KIND_REBOOT, parked, ready, vmlinev1.Status_STATUS_REBOOTED), vmlinev1.Operation_KIND_RETRY, 0, vmlinev1.Operation_KIND_REBOOT, "rebooted starting ready"},
		{"retry of a start that was refused", half(vmlinev1.Operation_KIND_START, parked, ready, ready), vmlinev1.Operation_KIND_RETRY, 0, vmlinev1.Operation_KIND_START, "ready starting ready"},
		{
			"resume of what was to be told of other addresses", built(create, readdress(building), vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_RESUME, vmlinev1.Status_STATUS_SET_NETWORK, create,
			"set_network stopped set_firewall set_cloudinit starting ip_released ready",
		},
		{
			"resume of what was to be told of other addresses, earlier", built(create, readdress(building), vmlinev1.Status_STATUS_SET_IP), vmlinev1.Operation_KIND_RESUME, vmlinev1.Status_STATUS_CLONE, create,
			"clone migrated stopped " + strings.ReplaceAll(names(between(vmlinev1.Status_STATUS_SET_CPU_RAM, vmlinev1.Status_STATUS_STARTING)), ",", "") + " ip_released ready",
		},
		{
			"button for what was to be told of other addresses", with(built(create, readdress(building), vmlinev1.Status_STATUS_SET_FIREWALL), isStopped), vmlinev1.Operation_KIND_SET_CLOUDINIT, 0, create,
			"set_firewall stopped set_cloudinit starting ip_released ready",
		},
		{"resume of what was told of other addresses", built(create, readdress(building), vmlinev1.Status_STATUS_IP_RELEASED), vmlinev1.Operation_KIND_RESUME, vmlinev1.Status_STATUS_STARTING, create, "starting ready"},
		{"resume", half(create, parked, NoVM, network), vmlinev1.Operation_KIND_RESUME, vmlinev1.Status_STATUS_SET_CLOUDINIT, create, "set_cloudinit starting ready"},
		{"cancel of a create", half(create, inHand, NoVM, network), vmlinev1.Operation_KIND_CANCEL, 0, terminate, "terminate removed vmid_released terminated"},
		{"cancel of a suspension", half(suspend, inHand, ready, vmlinev1.Status_STATUS_STOPPED), vmlinev1.Operation_KIND_CANCEL, 0, unsuspend, "stopped starting ready"},
		{"cancel of an unsuspension", half(unsuspend, inHand, suspended, vmlinev1.Status_STATUS_STARTING), vmlinev1.Operation_KIND_CANCEL, 0, suspend, "starting stopped suspended"},
		{"cancel of a reinstallation in time", half(vmlinev1.Operation_KIND_REINSTALL, inHand, ready, vmlinev1.Status_STATUS_REINSTALL), vmlinev1.Operation_KIND_CANCEL, 0, vmlinev1.Operation_KIND_START, "reinstall starting ready"},
		{"cancel of a stop", with(half(vmlinev1.Operation_KIND_STOP, inHand, ready, ready), wantedOn), vmlinev1.Operation_KIND_CANCEL, 0, vmlinev1.Operation_KIND_START, "ready starting ready"},
		{"cancel of a reboot", with(half(vmlinev1.Operation_KIND_REBOOT, inHand, ready, ready), wantedOn), vmlinev1.Operation_KIND_CANCEL, 0, vmlinev1.Operation_KIND_START, "ready starting ready"},
		{"cancel of a start", with(half(vmlinev1.Operation_KIND_START, parked, ready, vmlinev1.Status_STATUS_STARTING), wantedOff), vmlinev1.Operation_KIND_CANCEL, 0, vmlinev1.Operation_KIND_STOP, "starting stopped ready"},
		{"cancel of a button", half(vmlinev1.Operation_KIND_SET_NETWORK, inHand, ready, ready), vmlinev1.Operation_KIND_CANCEL, 0, vmlinev1.Operation_KIND_CANCEL, "ready"},
		{"reset of the status", half(create, parked, NoVM, network), vmlinev1.Operation_KIND_RESET_STATUS, ready, vmlinev1.Operation_KIND_RESET_STATUS, "ready"},
	} {
		cmd := &vmlinev1.Command{Id: "new", Kind: tt.kind, Params: &vmlinev1.Params{Status: tt.status, Reason: "a test"}}
		if d := Admit(tt.vm, cmd); d.Verdict != Admitted {
			t.Errorf("%s: %s, %s", tt.name, d.Verdict, d.Reason)
			continue
		}
		vm := Begin(tt.vm, cmd, time.Unix(0, 0), nil)
		op := vm.GetOperation()
		if got := strings.ReplaceAll(names(op.GetRoute()), ",", ""); got != tt.want || Goal(op) != tt.goal {
			t.Errorf("%s: %s for the goal %s, want %s for %s", tt.name, got, KindName(Goal(op)), tt.want, KindName(tt.goal))
		}
		if vm.GetStatus() != op.GetRoute()[0] || (op.GetState() == done) != (len(op.GetRoute()) == 1) {
			t.Errorf("%s: begins as %v", tt.name, vm)
		}
	}
}

// TestACreateOverAMachineOfAnotherNetwork stops the machine and gives back what it no longer uses, once it does not.
func TestACreateOverAMachineOfAnotherNetwork(t *testing.T) {
	first := &vmlinev1.Package{Cluster: "dc1", Template: "debian", Network: &vmlinev1.Network{Ipv4Count: 2}}
	for _, tt := range []struct {
		name string
		way  []vmlinev1.Status
		vmid uint32
		ipv4 uint32
		want bool
	}{
		{"the same", building, 100, 2, false},
		{"another", building, 100, 1, true},
		{"another, and nothing was begun", building, 0, 1, false},
		{"the same again, before it was told", readdress(building), 100, 2, true},
	} {
		vm := built(create, tt.way, vmlinev1.Status_STATUS_SET_NETWORK)
		vm.Package, vm.Vmid = first, tt.vmid
		next := &vmlinev1.Package{Cluster: "dc1", Template: "debian", Cores: 4, Network: &vmlinev1.Network{Ipv4Count: tt.ipv4}}
		route := Begin(vm, &vmlinev1.Command{Id: "new", Kind: create, Package: next}, time.Unix(0, 0), nil).GetOperation().GetRoute()
		off, released := slices.Index(route, vmlinev1.Status_STATUS_STOPPED), slices.Index(route, vmlinev1.Status_STATUS_IP_RELEASED)
		if (off >= 0) != tt.want || (released >= 0) != tt.want || off > slices.Index(route, vmlinev1.Status_STATUS_SET_CPU_RAM) || released > slices.Index(route, ready) {
			t.Errorf("%s: %s", tt.name, names(route))
		}
	}
}

// TestACancellationSentTwice: the second leads where the first does, and does not undo it.
func TestACancellationSentTwice(t *testing.T) {
	cancel := &vmlinev1.Command{Id: "first", Kind: vmlinev1.Operation_KIND_CANCEL}
	for _, tt := range []struct {
		kind        vmlinev1.Operation_Kind
		origin, now vmlinev1.Status
		goal        vmlinev1.Operation_Kind
		want        string
	}{
		{suspend, ready, vmlinev1.Status_STATUS_STOPPED, unsuspend, "stopped, starting, ready"},
		{unsuspend, vmlinev1.Status_STATUS_SUSPENDED, vmlinev1.Status_STATUS_STARTING, suspend, "starting, stopped, suspended"},
	} {
		for _, state := range []vmlinev1.Operation_State{parked, inHand} {
			vm := half(tt.kind, parked, tt.origin, tt.now)
			for _, id := range []string{"first", "second"} {
				cancel.Id = id
				if d := Admit(vm, cancel); d.Verdict != Admitted {
					t.Fatalf("%s: %s, %s", id, d.Verdict, d.Reason)
				}
				vm = Begin(vm, cancel, time.Unix(0, 0), nil)
				if op := vm.GetOperation(); names(op.GetRoute()) != tt.want || Goal(op) != tt.goal || op.GetBefore().GetStatus() != tt.origin {
					t.Errorf("%s: %s for %s", id, names(op.GetRoute()), KindName(Goal(op)))
				}
				vm.Operation.State = state
			}
		}
	}
}

// TestWorkThatIsTakenUpKeepsItsResult: what a removal has told a person before it was parked stands at its end.
func TestWorkThatIsTakenUpKeepsItsResult(t *testing.T) {
	remove := vmlinev1.Operation_KIND_REMOVE
	for _, tt := range []struct {
		kind, next vmlinev1.Operation_Kind
		state      vmlinev1.Operation_State
		want       string
	}{
		{remove, vmlinev1.Operation_KIND_RETRY, parked, "told"},
		{remove, remove, parked, "told"},
		{remove, terminate, parked, ""},
		{remove, terminate, done, ""},
		{change, change, parked, "told"},
		{change, vmlinev1.Operation_KIND_CANCEL, parked, ""},
		{change, change, done, ""},
	} {
		vm := half(tt.kind, tt.state, ready, ready)
		vm.Operation.Result = &vmlinev1.Result{Note: "told"}
		next := Begin(vm, &vmlinev1.Command{Id: "next", Kind: tt.next}, time.Unix(0, 0), nil)
		if got := next.GetOperation().GetResult().GetNote(); got != tt.want {
			t.Errorf("%s after %s: the result says %q, want %q", KindName(tt.next), KindName(tt.kind), got, tt.want)
		}
		takesUp := tt.state == parked && tt.next != terminate
		if id := next.GetOperation().GetTakesUp(); (id == vm.GetOperation().GetId()) != takesUp || (id == "") == takesUp {
			t.Errorf("%s after %s takes up %q", KindName(tt.next), KindName(tt.kind), id)
		}
	}
}

func TestCancelOfAChangeWantsThePackageOfBefore(t *testing.T) {
	vm := half(create, done, NoVM, ready)
	changed := Begin(vm, &vmlinev1.Command{
		Id: "change", Kind: change, Package: &vmlinev1.Package{Cluster: "dc1", Template: "other", Cores: 8}, PackageDigest: []byte("b"),
	}, time.Unix(0, 0), nil)
	if p := changed.GetPackage(); p.GetCores() != 8 || p.GetTemplate() != "debian" {
		t.Errorf("the change wants %v; what the machine was made of stays", p)
	}
	back := Begin(changed, &vmlinev1.Command{Id: "back", Kind: vmlinev1.Operation_KIND_CANCEL}, time.Unix(0, 0), nil)
	if back.GetPackage().GetCores() != 1 || string(back.GetPackageDigest()) != "a" || Goal(back.GetOperation()) != change {
		t.Errorf("the cancellation wants %v", back)
	}
	if back.GetOperation().GetBefore().GetStatus() != ready {
		t.Errorf("the VM was %v before", back.GetOperation().GetBefore())
	}
}

func TestAReinstallationForgetsTheTemplateAndKeepsTheRest(t *testing.T) {
	vm := half(create, done, NoVM, ready)
	vm.Uid, vm.TemplateVmid, vm.TemplateNode, vm.Mac = "u", 9000, "pve1", "BC:24:11:00:00:01"
	vm.Addresses = []*vmlinev1.Address{{Address: "192.0.2.7"}}
	vm.WantedPower = stopped
	anew := Begin(vm, &vmlinev1.Command{
		Id: "anew", Kind: vmlinev1.Operation_KIND_REINSTALL, Params: &vmlinev1.Params{Template: "ubuntu", SealedPassword: []byte("sealed")},
	}, time.Unix(0, 0), nil)
	if anew.GetTemplateVmid() != 0 || anew.GetPackage().GetTemplate() != "ubuntu" || string(anew.GetPackage().GetCloudInit().GetSealedPassword()) != "sealed" {
		t.Errorf("it is made of %v", anew)
	}
	if anew.GetUid() != "u" || anew.GetVmid() != 100 || anew.GetMac() != vm.GetMac() || len(anew.GetAddresses()) != 1 || anew.GetWantedPower() != running {
		t.Errorf("it has not kept what is its own: %v", anew)
	}
	if vm.GetPackage().GetTemplate() != "debian" {
		t.Error("the state that it was built from has changed")
	}
}

func TestCancelOfAReinstallationKnowsTheMachineAgain(t *testing.T) {
	vm := half(create, done, NoVM, ready)
	vm.TemplateVmid, vm.TemplateNode = 9000, "pve1"
	anew := Begin(vm, &vmlinev1.Command{
		Id: "anew", Kind: vmlinev1.Operation_KIND_REINSTALL, Params: &vmlinev1.Params{Template: "ubuntu", SealedPassword: []byte("sealed")},
	}, time.Unix(0, 0), nil)
	back := Begin(anew, &vmlinev1.Command{Id: "back", Kind: vmlinev1.Operation_KIND_CANCEL}, time.Unix(0, 0), nil)
	if p := back.GetPackage(); p.GetTemplate() != "debian" || p.GetCloudInit() != nil || back.GetTemplateVmid() != 9000 || back.GetTemplateNode() != "pve1" {
		t.Errorf("the cancellation leaves %v", back)
	}
}

func TestANewOrderForATerminatedRefIsANewVM(t *testing.T) {
	vm := half(terminate, done, ready, vmlinev1.Status_STATUS_TERMINATED)
	vm.Uid, vm.Mac = "old", "BC:24:11:00:00:01"
	next := Begin(vm, &vmlinev1.Command{Id: "new", Ref: "w1-1", Kind: create, Package: &vmlinev1.Package{Cluster: "dc1"}}, time.Unix(0, 0), func() string { return "fresh" })
	if next.GetUid() != "fresh" || next.GetVmid() != 0 || next.GetMac() != "" || next.GetWantedPower() != running {
		t.Errorf("it begins as %v", next)
	}
}

// TestALaterWishReplacesWhatIsQueued: a suspension that is taken up again is not undone by what was queued before.
func TestALaterWishReplacesWhatIsQueued(t *testing.T) {
	for kind, kept := range map[vmlinev1.Operation_Kind]bool{suspend: false, vmlinev1.Operation_KIND_RETRY: true} {
		last := with(stands(suspend, parked, ready), behindIt(unsuspend))
		vm := Begin(last, &vmlinev1.Command{Id: "again", Ref: last.GetRef(), Kind: kind}, time.Now(), nil)
		if (vm.GetQueued() != nil) != kept {
			t.Errorf("after %s %v is queued", KindName(kind), vm.GetQueued())
		}
	}
}
