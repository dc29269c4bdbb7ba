package crash

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// act is one command on a VM that exists.
type act struct {
	kind vmlinev1.Operation_Kind
	// name tells two acts of one kind apart; "" means the kind's.
	name string
	// stage is what happens before the command, undisturbed.
	stage func(s *stage, ref string)
	// pkg is another package, params the command's parameters.
	pkg    func() *vmlinev1.Package
	params func(s *stage, vm *vmlinev1.VM) *vmlinev1.Params
	// meanwhile is what happens once the command is sent.
	meanwhile func(s *stage, ref string)
	// ends is the status that the VM has then; unspecified means ready.
	ends vmlinev1.Status
	// known has only the first call of each name struck, because every step of it is struck elsewhere.
	known bool
	// follows says that DNS follows the command: only the dns service is struck, and the act ends when that
	// is at rest.
	follows bool
}

func (a act) String() string {
	if a.name != "" {
		return a.name
	}
	return chain.KindName(a.kind)
}

// play is a life of acts, each on the VM as the one before has left it.
type play struct {
	name string
	// order is the package of the VM that the life begins with; nil for none.
	order *vmlinev1.Package
	// named has a dns service play along.
	named bool
	acts  []act
}

const (
	opCreate      = vmlinev1.Operation_KIND_CREATE
	opRedeploy    = vmlinev1.Operation_KIND_REDEPLOY
	ready         = vmlinev1.Status_STATUS_READY
	suspended     = vmlinev1.Status_STATUS_SUSPENDED
	removed       = vmlinev1.Status_STATUS_REMOVED
	terminated    = vmlinev1.Status_STATUS_TERMINATED
	opReinstall   = vmlinev1.Operation_KIND_REINSTALL
	changePackage = vmlinev1.Operation_KIND_CHANGE_PACKAGE
	setDNS        = vmlinev1.Operation_KIND_SET_DNS_RECORDS
)

// plays have every command.
func plays() []play {
	enlarge := func(p *vmlinev1.Package) {
		p.Cores, p.SystemDisk.SizeGb, p.AdditionalDisk.SizeGb, p.Network.RateMbps, p.Network.Ipv4Count = 6, 50, 120, 0, 3
	}
	other := func() *vmlinev1.Package {
		p := proto.CloneOf(packages["full"])
		enlarge(p)
		return p
	}
	back := func() *vmlinev1.Package {
		p := other()
		p.Network.Ipv4Count, p.Cores, p.SystemDisk.ReadMbps = 1, 2, 0
		return p
	}
	return []play{
		{name: "power", order: packages["small"], acts: []act{
			{kind: vmlinev1.Operation_KIND_STOP},
			{kind: vmlinev1.Operation_KIND_START},
			{kind: vmlinev1.Operation_KIND_SHUTDOWN},
			{kind: vmlinev1.Operation_KIND_REBOOT, name: "reboot of a stopped machine"},
			{kind: vmlinev1.Operation_KIND_REBOOT},
			{kind: vmlinev1.Operation_KIND_RESET},
			{kind: vmlinev1.Operation_KIND_SUSPEND, ends: suspended},
			{kind: vmlinev1.Operation_KIND_UNSUSPEND},
			{kind: vmlinev1.Operation_KIND_MIGRATE, params: elsewhere},
		}},
		{name: "buttons", order: packages["full"], acts: []act{
			{kind: vmlinev1.Operation_KIND_SET_NETWORK, stage: byHand("net0", "virtio={mac},bridge=vmbr0,tag=9")},
			{kind: vmlinev1.Operation_KIND_SET_FIREWALL, stage: withoutRule},
			{kind: vmlinev1.Operation_KIND_SET_SYSTEM_DISK_SIZE},
			{kind: vmlinev1.Operation_KIND_SET_SYSTEM_DISK_BANDWIDTH},
			{kind: vmlinev1.Operation_KIND_SET_CREATED_ADDITIONAL_DISK},
			{kind: vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_SIZE},
			{kind: vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_BANDWIDTH},
			{kind: vmlinev1.Operation_KIND_SET_DEDICATED_IP},
			{kind: vmlinev1.Operation_KIND_CHANGE_PASSWORD, params: password},
			{kind: vmlinev1.Operation_KIND_STOP},
			{kind: vmlinev1.Operation_KIND_SET_CPU_RAM, stage: byHand("cores", "3")},
			{kind: vmlinev1.Operation_KIND_SET_CLOUDINIT, stage: byHand("ciuser", "else")},
		}},
		{name: "change", order: packages["full"], acts: []act{
			{kind: changePackage, pkg: other},
			{kind: changePackage, name: "change back", pkg: back},
		}},
		{name: "rebuild", order: packages["full"], acts: []act{
			{kind: opReinstall, stage: (*stage).dress, known: true},
			{kind: vmlinev1.Operation_KIND_STOP, stage: spareDisk},
			{kind: vmlinev1.Operation_KIND_REMOVE, ends: removed},
			{kind: opReinstall, name: "reinstall of what was removed", known: true},
			{kind: vmlinev1.Operation_KIND_STOP, name: "stop before it is removed once more", known: true},
			{kind: vmlinev1.Operation_KIND_REMOVE, name: "remove before its clone", ends: removed, known: true},
			{kind: vmlinev1.Operation_KIND_CLONE, stage: withoutMachine, known: true},
		}},
		{name: "broken", order: nil, acts: []act{
			{kind: opRedeploy, stage: broken, known: true},
			{kind: terminate, ends: terminated, known: true},
			{kind: vmlinev1.Operation_KIND_RETRY, stage: broken},
			{kind: terminate, ends: terminated, known: true},
			{kind: vmlinev1.Operation_KIND_RESUME, stage: broken, params: func(*stage, *vmlinev1.VM) *vmlinev1.Params {
				return &vmlinev1.Params{Status: vmlinev1.Status_STATUS_SET_NETWORK}
			}},
			{kind: terminate, ends: terminated, known: true},
			{kind: vmlinev1.Operation_KIND_RESET_STATUS, stage: broken, params: func(*stage, *vmlinev1.VM) *vmlinev1.Params {
				return &vmlinev1.Params{Status: vmlinev1.Status_STATUS_SET_CLOUDINIT, Reason: "looked at it"}
			}, ends: vmlinev1.Status_STATUS_SET_CLOUDINIT},
			{kind: vmlinev1.Operation_KIND_REMOVE, name: "remove of a broken machine", ends: removed},
			{kind: terminate, ends: terminated, known: true},
			{kind: vmlinev1.Operation_KIND_CANCEL, stage: broken, ends: terminated},
			{kind: vmlinev1.Operation_KIND_ADOPT, stage: stranger, pkg: unknown, params: strangersVMID},
		}},
		{name: "names", named: true, acts: []act{
			{kind: opCreate, pkg: called("web"), follows: true},
			{kind: changePackage, name: "rename", pkg: called("shop"), follows: true},
			{kind: setDNS, stage: tamper},
			{kind: setDNS, name: "set_dns_records of a suspended machine", stage: suspendAndTamper, ends: suspended},
			{kind: terminate, ends: terminated, follows: true},
		}},
	}
}

// adopted is the VMID of a machine that somebody else has made.
const adopted = 650

// stranger makes that machine.
func stranger(s *stage, _ string) {
	err := s.Sim.AddVM(pvesim.VMSpec{
		VMID: adopted, Node: "pve2", Name: "old", Storage: "shared1", DiskGB: 4, CloudInit: true, Running: true,
		Config: map[string]string{"ipconfig0": "ip=10.64.0.50/16,gw=10.64.0.1", "net0": "virtio,bridge=vmbr0", "boot": "order=scsi0"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// unknown is a package that is read from the machine.
func unknown() *vmlinev1.Package { return &vmlinev1.Package{Cluster: rig.Cluster} }

func strangersVMID(*stage, *vmlinev1.VM) *vmlinev1.Params { return &vmlinev1.Params{Vmid: adopted} }

// elsewhere is the next node.
func elsewhere(_ *stage, vm *vmlinev1.VM) *vmlinev1.Params {
	return &vmlinev1.Params{Node: map[string]string{"pve1": "pve2", "pve2": "pve3", "pve3": "pve1"}[vm.GetNode()]}
}

func password(s *stage, _ *vmlinev1.VM) *vmlinev1.Params {
	box, err := s.Opener.Sealer().Seal([]byte("New-1"))
	if err != nil {
		s.t.Fatal(err)
	}
	return &vmlinev1.Params{SealedPassword: box}
}

// now is the VM's newest state.
func (s *stage) now(ref string) *vmlinev1.VM {
	s.t.Helper()
	last, err := s.Bus.Last(s.t.Context(), ref)
	if err != nil {
		s.t.Fatal(err)
	}
	return last.VM
}

// byHand changes a machine's configuration as a person would.
func byHand(key, value string) func(*stage, string) {
	return func(s *stage, ref string) {
		vm := s.now(ref)
		s.change(vm, pve.Change{Set: map[string]string{key: strings.ReplaceAll(value, "{mac}", vm.GetMac())}})
	}
}

// spareDisk gives the machine a disk that it does not use.
func spareDisk(s *stage, ref string) {
	vm := s.now(ref)
	s.change(vm, pve.Change{Set: map[string]string{"scsi7": "shared1:1"}})
	s.change(vm, pve.Change{Delete: []string{"scsi7"}})
}

// withoutMachine says that the VM has its addresses and no machine yet.
func withoutMachine(s *stage, ref string) {
	id := s.SendWith(ref, vmlinev1.Operation_KIND_RESET_STATUS, nil, &vmlinev1.Params{Status: vmlinev1.Status_STATUS_SET_IP, Reason: "it was removed"})
	s.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id })
}

// withoutRule takes the firewall's first rule away.
func withoutRule(s *stage, ref string) {
	vm := s.now(ref)
	s.ask("DELETE", fmt.Sprintf("/nodes/%s/qemu/%d/firewall/rules/0", vm.GetNode(), vm.GetVmid()), nil)
}

// broken orders a machine that is parked before its start.
func broken(s *stage, ref string) {
	mend := s.Sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Method: "POST", Path: "/nodes/*/qemu/*/status/start", Text: "bridge 'vmbr0' does not exist"})
	s.Order(ref, packages["full"])
	s.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetKind() == opCreate && rig.Parked(vm) })
	mend()
}

// change sets keys of a machine's configuration.
func (s *stage) change(vm *vmlinev1.VM, c pve.Change) {
	s.t.Helper()
	params := url.Values{}
	for key, value := range c.Set {
		params.Set(key, value)
	}
	if len(c.Delete) > 0 {
		params["delete"] = c.Delete
	}
	s.ask("PUT", fmt.Sprintf("/nodes/%s/qemu/%d/config", vm.GetNode(), vm.GetVmid()), params)
}

// perform sends the act's command and checks that it does its work once and in order.
func (a act) perform(s *stage, ref string) {
	s.t.Helper()
	var (
		pkg    *vmlinev1.Package
		params *vmlinev1.Params
	)
	if a.pkg != nil {
		pkg = a.pkg()
	}
	if a.params != nil {
		params = a.params(s, s.now(ref))
	}
	id := s.SendWith(ref, a.kind, pkg, params)
	if a.meanwhile != nil {
		a.meanwhile(s, ref)
	}
	vm := s.Await(ref, func(vm *vmlinev1.VM) bool {
		op := vm.GetOperation()
		return op.GetId() == id && op.GetState() != vmlinev1.Operation_STATE_RUNNING
	})
	ends := a.ends
	if ends == vmlinev1.Status_STATUS_UNSPECIFIED {
		ends = ready
	}
	if a.follows {
		s.AwaitRest(bus.StreamVM, "dns-follow")
	}
	s.names.check(s.t, vm)
	op := vm.GetOperation()
	if op.GetState() != vmlinev1.Operation_STATE_SUCCEEDED || vm.GetStatus() != ends {
		s.t.Fatalf("%s ended %s in %s: %v", a, chain.StateName(op.GetState()), chain.Name(vm.GetStatus()), vm.GetProblem())
	}
	var reached []vmlinev1.Status
	for _, r := range op.GetReached() {
		reached = append(reached, r.GetStatus())
	}
	if !slices.Equal(reached, op.GetRoute()) {
		s.t.Errorf("%s reached %v of %v", a, reached, op.GetRoute())
	}
	if ends == ready {
		s.CheckWorld()
	}
	if ends == terminated {
		s.CheckReserved(0, 0)
	} else {
		s.CheckReserved(len(vm.GetAddresses()), 1)
	}
}

// ask calls the API with the services' own token, as a person might.
func (s *stage) ask(method, path string, params url.Values) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://pve.invalid:8006/api2/json"+path, strings.NewReader(params.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "PVEAPIToken="+rig.TokenID+"="+rig.TokenSecret)
	answer, err := s.Sim.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}
