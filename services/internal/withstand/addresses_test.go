package withstand

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

const changePackage = vmlinev1.Operation_KIND_CHANGE_PACKAGE

// addressed is a VM's addresses, as the state lists them.
func addressed(vm *vmlinev1.VM) string {
	var texts []string
	for _, a := range vm.GetAddresses() {
		text := a.GetAddress()
		if a.GetLeaving() {
			text = "-" + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// TestRows9And10AddressesOfALiveMachine: chosen addresses are given where they are free and refused where they are
// not; addresses come and go on a machine that runs, which is stopped only where its guest was told of an
// address that goes. Nothing of a change is left pending for cloud-init.
func TestRows9And10AddressesOfALiveMachine(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{Pools: []*vmlinev1.Pool{
		{Name: "v4", Cluster: rig.Cluster, Bridge: "vmbr0", Prefix: "10.64.0.0/24", Gateway: "10.64.0.1"},
		{Name: "vlan", Cluster: rig.Cluster, Bridge: "vmbr0", Vlan: 7, Prefix: "10.65.0.0/24", Gateway: "10.65.0.1"},
	}})
	startAll(r, 1, rig.Edge{})
	r.Order("neighbour-5901", rig.Small("neighbour"))
	r.Await("neighbour-5901", rig.Ended(create)) // has 10.64.0.2
	pkg := rig.Small("live")
	pkg.Network.Addresses = []string{"10.64.0.77"}
	pkg.Firewall = &vmlinev1.Firewall{Enabled: true, PolicyIn: "ACCEPT", IpFilter: true}
	const ref = "live-5902"
	r.Order(ref, pkg)
	vm := r.Await(ref, rig.Ended(create))
	if addressed(vm) != "10.64.0.77" {
		t.Fatalf("chosen 10.64.0.77, got %s", addressed(vm))
	}
	for _, tt := range []struct {
		name     string
		network  func(*vmlinev1.Network)
		has      string
		released string
		ipconfig string
		stops    bool
		refused  string
	}{
		{name: "two more", network: func(n *vmlinev1.Network) { n.Ipv4Count = 3 }, has: "10.64.0.77 10.64.0.3 10.64.0.4", ipconfig: "ip=10.64.0.77/24,gw=10.64.0.1"},
		{name: "one less", network: func(n *vmlinev1.Network) { n.Ipv4Count = 2 }, has: "10.64.0.77 10.64.0.3", released: "10.64.0.4", ipconfig: "ip=10.64.0.77/24,gw=10.64.0.1"},
		{name: "one that a neighbour has", network: func(n *vmlinev1.Network) { n.Ipv4Count, n.Addresses = 2, []string{"10.64.0.2"} },
			has: "10.64.0.77 10.64.0.3", refused: "The chosen address 10.64.0.2 of pool v4 belongs to VM neighbour-5901"},
		{name: "more than the pool has", network: func(n *vmlinev1.Network) { n.Ipv4Count = 256 }, has: "10.64.0.77 10.64.0.3", refused: "more IPv4 address(es)"},
		{name: "another first one", network: func(n *vmlinev1.Network) { n.Ipv4Count, n.Addresses = 1, []string{"10.64.0.3"} },
			has: "10.64.0.3", released: "10.64.0.77", ipconfig: "ip=10.64.0.3/24,gw=10.64.0.1", stops: true},
		{name: "another network", network: func(n *vmlinev1.Network) { n.Vlan, n.Addresses = 7, nil },
			has: "10.65.0.2", released: "10.64.0.3", ipconfig: "ip=10.65.0.2/24,gw=10.65.0.1", stops: true},
	} {
		changed := proto.CloneOf(vm.GetPackage())
		tt.network(changed.Network)
		r.Sim.ResetCalls()
		id := r.Send(ref, changePackage, changed)
		vm = r.Await(ref, func(vm *vmlinev1.VM) bool {
			op := vm.GetOperation()
			return op.GetId() == id && op.GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		if addressed(vm) != tt.has || vm.GetStatus() != vmlinev1.Status_STATUS_READY {
			t.Errorf("%s: has %s in status %s, want %s; %v", tt.name, addressed(vm), chain.Name(vm.GetStatus()), tt.has, vm.GetProblem())
		}
		op := vm.GetOperation()
		if got := op.GetProblem().GetCause(); !strings.Contains(got, tt.refused) || (got == "") != (tt.refused == "") {
			t.Errorf("%s: refused because %q, want %q", tt.name, got, tt.refused)
		}
		if got := op.GetResult().GetNote(); tt.released != "" && !strings.Contains(got, "released "+tt.released) {
			t.Errorf("%s: the note is %q", tt.name, got)
		}
		state, _ := r.Sim.VM(int(vm.GetVmid()))
		if len(state.Pending) > 0 {
			t.Errorf("%s: pending %v", tt.name, state.Pending)
		}
		if tt.ipconfig != "" && state.Config["ipconfig0"] != tt.ipconfig {
			t.Errorf("%s: the guest is told %q, want %q", tt.name, state.Config["ipconfig0"], tt.ipconfig)
		}
		if state.Status != "running" || stopped(r) != tt.stops {
			t.Errorf("%s: the machine is %s; it was stopped: %t, want %t", tt.name, state.Status, stopped(r), tt.stops)
		}
		if got := filtered(r, vm); tt.refused == "" && got != tt.has {
			t.Errorf("%s: the IP filter lets %s pass, want %s", tt.name, got, tt.has)
		}
		if got := heldBy(t, r, ref, "v4", "vlan"); len(got) != len(vm.GetAddresses()) {
			t.Errorf("%s: %v are held, %s listed", tt.name, got, addressed(vm))
		}
	}
	r.CheckWorld()
	history := &vmlinev1.AddressHistoryReply{}
	must(t, r.Bus.Ask(t.Context(), chain.IPAM, bus.QuestionHistory, &vmlinev1.AddressHistoryRequest{Address: "10.64.0.77"}, history))
	if h := history.GetHoldings(); len(h) != 1 || h[0].GetRef() != ref || h[0].GetTo() == nil {
		t.Errorf("10.64.0.77 was held by %v", h)
	}
	r.Terminate(ref)
	vm = r.Await(ref, rig.Ended(terminate))
	if note := vm.GetOperation().GetResult().GetNote(); !strings.HasSuffix(note, " terminated, released 10.65.0.2") {
		t.Errorf("the note is %q", note)
	}
	r.CheckReserved(1, 1)
}

// heldBy asks ipam which addresses of the pools a VM has.
func heldBy(t *testing.T, r *rig.Rig, ref string, pools ...string) (addresses []string) {
	t.Helper()
	for _, pool := range pools {
		reply := &vmlinev1.PoolsReply{}
		must(t, r.Bus.Ask(t.Context(), chain.IPAM, bus.QuestionPools, &vmlinev1.PoolsRequest{Pool: pool, Limit: 1000}, reply))
		for _, h := range reply.GetHeld() {
			if h.GetRef() == ref {
				addresses = append(addresses, h.GetAddress())
			}
		}
	}
	return addresses
}

// stopped says whether a machine was asked to stop since the calls were last counted.
func stopped(r *rig.Rig) bool {
	for _, c := range r.Sim.Calls() {
		if strings.HasSuffix(c.Path, "/status/shutdown") || strings.HasSuffix(c.Path, "/status/stop") {
			return true
		}
	}
	return false
}

// filtered are the addresses that the machine's IP filter lets pass, in the order of the VM's list.
func filtered(r *rig.Rig, vm *vmlinev1.VM) string {
	var pass []string
	for _, f := range r.Sim.Firewalls() {
		if f.VMID != int(vm.GetVmid()) {
			continue
		}
		pass = append(pass, f.IPSets["ipfilter-net0"]...)
	}
	place := func(text string) int {
		return slices.IndexFunc(vm.GetAddresses(), func(a *vmlinev1.Address) bool { return a.GetAddress() == text })
	}
	slices.SortFunc(pass, func(a, b string) int { return place(a) - place(b) })
	return strings.Join(pass, " ")
}

// TestAdoptedAddresses: an adopted machine keeps exactly the addresses that it has. One that a VM of ours has
// stops the adoption; one of no pool stays without.
func TestAdoptedAddresses(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	r.Order("neighbour-5911", rig.Small("neighbour")) // has 10.64.0.2
	r.Await("neighbour-5911", rig.Ended(create))
	adopt := func(ref string, vmid int, ipconfig string) *vmlinev1.VM {
		must(t, r.Sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: "pve2", Name: "old", Storage: "shared1", DiskGB: 4, CloudInit: true, Running: true, Config: map[string]string{
			"ipconfig0": ipconfig, "net0": "virtio,bridge=vmbr0", "boot": "order=scsi0",
		}}))
		cmd, err := rig.Command(ref, vmlinev1.Operation_KIND_ADOPT, &vmlinev1.Package{Cluster: rig.Cluster}, "")
		must(t, err)
		cmd.Params = &vmlinev1.Params{Vmid: uint32(vmid)}
		must(t, r.Bus.SendCommand(t.Context(), cmd))
		return r.Await(ref, settled(vmlinev1.Operation_KIND_ADOPT))
	}
	vm := adopt("old-5912", 801, "ip=10.64.0.50/16,gw=10.64.0.1,ip6=2001:db8:64::50/64")
	if addressed(vm) != "10.64.0.50 2001:db8:64::50" || len(heldBy(t, r, "old-5912", "v4", "v6")) != 2 || rig.Parked(vm) {
		t.Errorf("has %s, holds %v; %v", addressed(vm), heldBy(t, r, "old-5912", "v4", "v6"), vm.GetProblem())
	}
	stuck := adopt("old-5913", 802, "ip=10.64.0.2/16")
	if p := stuck.GetProblem(); !rig.Parked(stuck) || p.GetCause() != "The machine uses address 10.64.0.2 of pool v4, which belongs to VM neighbour-5911" {
		t.Errorf("an address that another VM has: %v", p)
	}
	foreign := adopt("old-5914", 803, "ip=192.0.2.9/24")
	if addressed(foreign) != "192.0.2.9" || len(heldBy(t, r, "old-5914", "v4", "v6")) != 0 || !strings.Contains(strings.Join(foreign.GetWarnings(), " "), "192.0.2.9 is not managed") {
		t.Errorf("has %s, warnings %q", addressed(foreign), foreign.GetWarnings())
	}
	more := proto.CloneOf(foreign.GetPackage())
	more.Network.Ipv4Count = 2
	changed := again(r, "old-5914", changePackage, more)
	if addressed(changed) != "192.0.2.9 10.64.0.3" || rig.Parked(changed) {
		t.Errorf("with one more it has %s; %v", addressed(changed), changed.GetProblem())
	}
	r.CheckReserved(4, 4)
}

// TestAnOrderOverAHalfBuiltMachine that runs and has more than the new order gives: the machine uses no address
// any more that is given back, and its firewall and its guest are told nothing of the first order.
func TestAnOrderOverAHalfBuiltMachine(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{Sim: lapse()})
	startAll(r, 1, rig.Edge{})
	full := func() *vmlinev1.Package {
		pkg := rig.Full("half")
		pkg.Network.Ipv4Count, pkg.Network.Ipv6Count, pkg.Readiness = 3, 0, vmlinev1.Readiness_READINESS_AGENT
		return pkg
	}
	for ref, less := range map[string]func(*vmlinev1.Package){
		"half-5921": func(p *vmlinev1.Package) { p.Network.Ipv4Count = 1 },
		"half-5922": func(p *vmlinev1.Package) {
			p.Network.Ipv4Count, p.Firewall, p.CloudInit = 1, nil, &vmlinev1.CloudInit{User: "admin"}
		},
	} {
		mend := r.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: asksAgent.method, Path: anyMachine(asksAgent.path), Code: http.StatusForbidden, Text: "Permission check failed (/vms, VM.Other)"})
		r.Order(ref, full())
		begun := r.Await(ref, rig.Parked)
		mend()
		if machine, _ := r.Sim.VM(int(begun.GetVmid())); machine.Status != "running" || len(begun.GetAddresses()) != 3 {
			t.Fatalf("it is %s and has %s", machine.Status, addressed(begun))
		}
		pkg := full()
		less(pkg)
		vm := again(r, ref, create, pkg)
		pass := map[bool]string{true: addressed(vm)}[pkg.GetFirewall().GetIpFilter()]
		if rig.Parked(vm) || addressed(vm) != begun.GetAddresses()[0].GetAddress() || filtered(r, vm) != pass {
			t.Errorf("it has %s, and the filter lets %s pass; %v", addressed(vm), filtered(r, vm), vm.GetProblem())
		}
		if got := heldBy(t, r, ref, "v4", "v6"); len(got) != 1 || !stopped(r) {
			t.Errorf("%v are held; the machine was stopped: %t", got, stopped(r))
		}
		r.CheckLog(ref)
		machine, _ := r.Sim.VM(int(vm.GetVmid()))
		if told := machine.Config["sshkeys"] + machine.Config["searchdomain"]; told == "" != (len(pkg.GetCloudInit().GetSshKeys()) == 0) {
			t.Errorf("the guest is told %q", told)
		}
		for _, f := range r.Sim.Firewalls() {
			if want := map[bool]string{true: "1", false: "0"}[pkg.GetFirewall().GetEnabled()]; f.VMID == machine.VMID && f.Options["enable"] != want {
				t.Errorf("the firewall is %+v", f)
			}
		}
	}
	r.CheckWorld()
}
