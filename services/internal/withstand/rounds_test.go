package withstand

import (
	"net/http"
	"net/url"
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Calls that more than one command makes.
var (
	readConfig  = faulty{"read the configuration", http.MethodGet, "/nodes/*/qemu/%d/config", false, false}
	readStatus  = faulty{"status", http.MethodGet, "/nodes/*/qemu/%d/status/current", false, false}
	readPending = faulty{"read what is pending", http.MethodGet, "/nodes/*/qemu/%d/pending", false, false}
	configure   = faulty{"configure", http.MethodPost, "/nodes/*/qemu/%d/config", true, true}
	resize      = faulty{"resize", http.MethodPut, "/nodes/*/qemu/%d/resize", true, true}
	starts      = faulty{"start", http.MethodPost, "/nodes/*/qemu/%d/status/start", true, false}
	stops       = faulty{"stop", http.MethodPost, "/nodes/*/qemu/%d/status/stop", true, false}
	shutsDown   = faulty{"shut down", http.MethodPost, "/nodes/*/qemu/%d/status/shutdown", true, false}
	asksAgent   = faulty{"ask the agent", http.MethodPost, "/nodes/*/qemu/%d/agent/ping", false, false}
	newDrive    = faulty{"write the cloud-init drive", http.MethodPut, "/nodes/*/qemu/%d/cloudinit", false, false}
	readOptions = faulty{"read firewall options", http.MethodGet, "/nodes/*/qemu/%d/firewall/options", false, false}
	setOptions  = faulty{"set firewall options", http.MethodPut, "/nodes/*/qemu/%d/firewall/options", false, false}
	readSet     = faulty{"read IP set", http.MethodGet, "/nodes/*/qemu/%d/firewall/ipset/ipfilter-net0", false, false}
	makeSet     = faulty{"make IP set", http.MethodPost, "/nodes/*/qemu/%d/firewall/ipset", false, false}
	addToSet    = faulty{"add to IP set", http.MethodPost, "/nodes/*/qemu/%d/firewall/ipset/ipfilter-net0", false, false}
	readRules   = faulty{"read rules", http.MethodGet, "/nodes/*/qemu/%d/firewall/rules", false, false}
	addRule     = faulty{"add rule", http.MethodPost, "/nodes/*/qemu/%d/firewall/rules", false, false}
	dropSnap    = faulty{"delete snapshot", http.MethodDelete, "/nodes/*/qemu/%d/snapshot/before", true, false}
	destroys    = faulty{"destroy", http.MethodDelete, "/nodes/*/qemu/%d", true, false}
	clones      = faulty{"clone", http.MethodPost, "/nodes/*/qemu/1%04d/clone", true, true}
)

// Calls that come together.
var (
	firewalls = []faulty{readOptions, setOptions, readSet, makeSet, addToSet, readRules, addRule}
	// builds makes a machine of its template, and has it run.
	builds = []faulty{clones, readConfig, readStatus, configure, resize, setOptions, makeSet, addToSet, readRules, addRule, starts, asksAgent}
)

// rounds are the commands in an order in which each finds the machines as it needs them. They run at first.
// A round that leaves them in another state comes before those that fewer of them meet.
var rounds = []round{
	{
		kind:   vmlinev1.Operation_KIND_REINSTALL,
		calls:  slices.Concat([]faulty{dropSnap, stops, destroys}, builds),
		before: func(y *yard, vmid int) { y.Sim.AddSnapshot(vmid, "before", "") },
	},
	{kind: vmlinev1.Operation_KIND_STOP, all: true, calls: []faulty{readStatus, readConfig, stops}},
	{
		kind: vmlinev1.Operation_KIND_SET_CPU_RAM, calls: []faulty{readConfig, readStatus, configure},
		before: func(y *yard, vmid int) { y.by(vmid, http.MethodPut, "/config", "cores=1", "memory=512") },
	},
	{
		kind: vmlinev1.Operation_KIND_SET_CLOUDINIT, calls: []faulty{readConfig, readStatus, configure},
		before: func(y *yard, vmid int) {
			y.by(vmid, http.MethodPut, "/config", "nameserver=9.9.9.9", "delete=searchdomain")
		},
	},
	{kind: vmlinev1.Operation_KIND_START, all: true, calls: []faulty{readStatus, readConfig, starts, asksAgent}},
	{
		kind: vmlinev1.Operation_KIND_SET_SYSTEM_DISK_BANDWIDTH, calls: []faulty{readConfig, readStatus, configure, readPending},
		before: func(y *yard, vmid int) {
			y.by(vmid, http.MethodPut, "/config", "scsi0="+url.QueryEscape(y.volume(vmid, "scsi0")))
		},
	},
	{
		kind: vmlinev1.Operation_KIND_SET_CREATED_ADDITIONAL_DISK, calls: []faulty{readConfig, readStatus, configure, readPending},
		before: func(y *yard, vmid int) { y.by(vmid, http.MethodPut, "/config", "delete=scsi1", "force=1") },
	},
	{
		kind: vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_BANDWIDTH, calls: []faulty{readConfig, readStatus, configure, readPending},
		before: func(y *yard, vmid int) {
			y.by(vmid, http.MethodPut, "/config", "scsi1="+url.QueryEscape(y.volume(vmid, "scsi1")+",serial=vmline-additional"))
		},
	},
	{
		kind: vmlinev1.Operation_KIND_SET_NETWORK, calls: []faulty{readConfig, readStatus, configure, readPending},
		before: func(y *yard, vmid int) {
			y.by(vmid, http.MethodPut, "/config", "net0="+url.QueryEscape("virtio="+y.mac(vmid)+",bridge=vmbr0,firewall=1"))
		},
	},
	{
		kind: vmlinev1.Operation_KIND_SET_FIREWALL, calls: slices.Concat([]faulty{readConfig}, firewalls),
		before: (*yard).openFirewall,
	},
	{kind: vmlinev1.Operation_KIND_REBOOT, calls: []faulty{readStatus, readConfig, {"reboot", http.MethodPost, "/nodes/*/qemu/%d/status/reboot", true, false}, asksAgent}},
	{kind: vmlinev1.Operation_KIND_RESET, calls: []faulty{readStatus, readConfig, {"reset", http.MethodPost, "/nodes/*/qemu/%d/status/reset", true, false}, asksAgent}},
	{
		kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, pkg: larger,
		calls: []faulty{readConfig, readStatus, readPending, shutsDown, configure, resize, readOptions, readSet, addToSet, readRules, addRule, starts, asksAgent},
	},
	{
		kind: vmlinev1.Operation_KIND_CHANGE_PASSWORD, check: passwordHolds,
		calls: []faulty{readConfig, readStatus, configure, newDrive, {"tell the agent", http.MethodPost, "/nodes/*/qemu/%d/agent/set-user-password", false, false}},
		params: func(y *yard, _ trial, _ *vmlinev1.VM) *vmlinev1.Params {
			return &vmlinev1.Params{SealedPassword: y.sealed(newPassword)}
		},
	},
	{kind: vmlinev1.Operation_KIND_SUSPEND, all: true, calls: []faulty{readStatus, readConfig, shutsDown}},
	{kind: vmlinev1.Operation_KIND_UNSUSPEND, all: true, calls: []faulty{readStatus, readConfig, starts, asksAgent}},
	{
		kind: vmlinev1.Operation_KIND_MIGRATE, check: whereItIs,
		calls:  []faulty{readConfig, readStatus, {"migrate", http.MethodPost, "/nodes/*/qemu/%d/migrate", true, false}},
		params: func(_ *yard, _ trial, vm *vmlinev1.VM) *vmlinev1.Params { return &vmlinev1.Params{Node: elsewhere(vm)} },
	},
	{
		kind: vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_SIZE, calls: []faulty{readConfig, readStatus, resize, readPending},
		before: func(y *yard, vmid int) { y.smaller(vmid, "scsi1") },
	},
	{kind: vmlinev1.Operation_KIND_SHUTDOWN, all: true, calls: []faulty{readStatus, readConfig, shutsDown}},
	{
		kind: vmlinev1.Operation_KIND_SET_SYSTEM_DISK_SIZE, calls: []faulty{readConfig, readStatus, resize},
		before: func(y *yard, vmid int) { y.smaller(vmid, "scsi0") },
	},
	{
		kind: vmlinev1.Operation_KIND_REMOVE, check: parkedOnce,
		calls: []faulty{readConfig, readStatus, dropSnap, {"hand over a disk", http.MethodPost, "/nodes/*/qemu/%d/move_disk", true, false}, destroys},
		before: func(y *yard, vmid int) {
			y.spare(vmid)
			y.Sim.AddSnapshot(vmid, "before", "")
		},
	},
	{kind: vmlinev1.Operation_KIND_TERMINATE, all: true, known: true},
}

const newPassword = "correct horse"

// larger changes what needs a stop, what does not, and adds an address and a rule.
func larger(p *vmlinev1.Package) {
	p.Cores, p.MemoryMib = 6, 16384
	p.SystemDisk.SizeGb, p.AdditionalDisk.SizeGb, p.SystemDisk.ReadMbps = 50, 120, 400
	p.Network.Ipv4Count = 3
	p.Firewall.Rules = append(p.Firewall.Rules, &vmlinev1.FirewallRule{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "443", Comment: "https"})
}

// passwordHolds: the guest has the new password, or a person is told from when on.
func passwordHolds(y *yard, what string, vm *vmlinev1.VM) {
	state, _ := y.Sim.VM(int(vm.GetVmid()))
	if state.Passwords["admin"] != newPassword && vm.GetOperation().GetResult().GetNote() == "" {
		y.t.Errorf("%s: the guest does not know the password, and nobody is told", what)
	}
}

// whereItIs: the machine is where the command and its state say.
func whereItIs(y *yard, what string, vm *vmlinev1.VM) {
	state, _ := y.Sim.VM(int(vm.GetVmid()))
	if state.Node != vm.GetNode() || state.Status != "running" {
		y.t.Errorf("%s: it is on %s, %s; its state says %s", what, state.Node, state.Status, vm.GetNode())
	}
}
