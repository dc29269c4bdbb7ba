package rig

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// changed is a package with a change.
func changed(pkg *vmlinev1.Package, change func(*vmlinev1.Package)) *vmlinev1.Package {
	other := proto.CloneOf(pkg)
	change(other)
	return other
}

// command is one row of TestTranscriptsOfCommands.
type command struct {
	name string
	from func(string) *vmlinev1.Package // Small or Full
	kind vmlinev1.Operation_Kind
	// change of the package, with KIND_CHANGE_PACKAGE.
	change func(*vmlinev1.Package)
	params func(*Rig, *vmlinev1.VM) *vmlinev1.Params
	// stage is what happens to the machine before the command.
	stage func(*Rig, *vmlinev1.VM)
	// end is how the operation ends; unspecified means that it succeeds.
	end vmlinev1.Operation_State
	// check looks at the machine afterwards.
	check func(t *testing.T, before, after pvesim.VMState, vm *vmlinev1.VM)
}

const (
	changePackage  = vmlinev1.Operation_KIND_CHANGE_PACKAGE
	changePassword = vmlinev1.Operation_KIND_CHANGE_PASSWORD
	refused        = vmlinev1.Operation_STATE_REFUSED
)

func off(r *Rig, vm *vmlinev1.VM) { r.Sim.SetRunning(int(vm.GetVmid()), false) }

// halted stops a machine by a command, so that the VM's state knows of it.
func halted(r *Rig, vm *vmlinev1.VM) {
	r.Send(vm.GetRef(), vmlinev1.Operation_KIND_STOP, nil)
	r.Await(vm.GetRef(), Ended(vmlinev1.Operation_KIND_STOP))
}

// byHand changes a machine's configuration as a person would.
func byHand(key, value string) func(*Rig, *vmlinev1.VM) {
	return func(r *Rig, vm *vmlinev1.VM) {
		_, err := r.clusters(Edge{})[Cluster].SetVMConfig(r.t.Context(), vm.GetNode(), int(vm.GetVmid()), pve.Change{Set: map[string]string{key: value}})
		must(r.t, err)
	}
}

func after(all ...func(*Rig, *vmlinev1.VM)) func(*Rig, *vmlinev1.VM) {
	return func(r *Rig, vm *vmlinev1.VM) {
		for _, f := range all {
			f(r, vm)
		}
	}
}

// keepsRunning says that the machine was not stopped.
func keepsRunning(t *testing.T, before, after pvesim.VMState, _ *vmlinev1.VM) {
	if before.Status != "running" || after.Status != "running" {
		t.Errorf("it was %s and is %s", before.Status, after.Status)
	}
}

func sealed(r *Rig, password string) []byte {
	box, err := r.Opener.Sealer().Seal([]byte(password))
	must(r.t, err)
	return box
}

var commands = []command{
	{name: "change-nothing", from: Full, kind: changePackage, change: func(p *vmlinev1.Package) { p.Dns = &vmlinev1.Dns{Ttl: 60} }, check: keepsRunning},
	{
		name: "change-live", from: Full, kind: changePackage, check: keepsRunning,
		change: func(p *vmlinev1.Package) {
			p.SystemDisk.SizeGb, p.SystemDisk.ReadMbps, p.Network.RateMbps, p.AdditionalDisk.SizeGb, p.Onboot = 50, 0, 0, 120, false
		},
	},
	{
		name: "change-cpu", from: Small, kind: changePackage, change: func(p *vmlinev1.Package) { p.Cores, p.MemoryMib = 2, 2048 },
	},
	{
		name: "change-cpu-stopped", from: Small, kind: changePackage, stage: off,
		change: func(p *vmlinev1.Package) { p.Cores, p.MemoryMib = 2, 2048 },
		check: func(t *testing.T, _, after pvesim.VMState, _ *vmlinev1.VM) {
			if after.Status != "stopped" {
				t.Error("a machine that did not run was started")
			}
		},
	},
	{name: "change-addresses-more", from: Full, kind: changePackage, change: func(p *vmlinev1.Package) { p.Network.Ipv4Count = 3 }, check: keepsRunning},
	// A guest that was told of an address is started anew before another machine gets it.
	{name: "change-addresses", from: Full, kind: changePackage, change: func(p *vmlinev1.Package) { p.Network.Ipv4Count, p.Network.Ipv6Count = 3, 0 }},
	{
		name: "change-everything", from: Small, kind: changePackage,
		change: func(p *vmlinev1.Package) {
			full := Full("db")
			full.FirstVmid, full.Network.Model = p.FirstVmid, "e1000"
			proto.Reset(p)
			proto.Merge(p, full)
		},
	},
	{name: "change-smaller", from: Small, kind: changePackage, change: func(p *vmlinev1.Package) { p.SystemDisk.SizeGb, p.Cores = 9, 2 }, end: refused, check: keepsRunning},
	{name: "change-cpu-unknown", from: Small, kind: changePackage, change: func(p *vmlinev1.Package) { p.CpuType, p.Cores = "pentium9", 2 }, end: refused, check: keepsRunning},
	{name: "change-disk-taken-away", from: Full, kind: changePackage, change: func(p *vmlinev1.Package) { p.AdditionalDisk = nil }, check: keepsRunning},
	{
		name: "change-firewall-off", from: Full, kind: changePackage, check: keepsRunning,
		change: func(p *vmlinev1.Package) { p.Firewall.Enabled = false },
	},

	{name: "button-cpu-unchanged", from: Small, kind: vmlinev1.Operation_KIND_SET_CPU_RAM, stage: halted},
	{name: "button-cpu", from: Small, kind: vmlinev1.Operation_KIND_SET_CPU_RAM, stage: after(halted, byHand("cores", "3"), byHand("ciuser", "else"), byHand("net0", "virtio,bridge=vmbr0,tag=9"))},
	{name: "button-network", from: Full, kind: vmlinev1.Operation_KIND_SET_NETWORK, stage: after(byHand("name", "other"), func(r *Rig, vm *vmlinev1.VM) {
		byHand("net0", "virtio="+vm.GetMac()+",bridge=vmbr0,tag=9")(r, vm)
	}), check: keepsRunning},
	{name: "button-firewall", from: Full, kind: vmlinev1.Operation_KIND_SET_FIREWALL, stage: func(r *Rig, vm *vmlinev1.VM) {
		must(r.t, r.clusters(Edge{})[Cluster].DeleteFirewallRule(r.t.Context(), vm.GetNode(), int(vm.GetVmid()), 0, ""))
	}, check: keepsRunning},
	{name: "button-cloudinit", from: Full, kind: vmlinev1.Operation_KIND_SET_CLOUDINIT, stage: after(halted, byHand("ciuser", "else"))},

	{
		name: "password", from: Full, kind: changePassword, check: keepsRunning,
		params: func(r *Rig, _ *vmlinev1.VM) *vmlinev1.Params {
			return &vmlinev1.Params{SealedPassword: sealed(r, "New-1")}
		},
	},
	{
		name: "password-stopped", from: Full, kind: changePassword, stage: off,
		params: func(r *Rig, _ *vmlinev1.VM) *vmlinev1.Params {
			return &vmlinev1.Params{SealedPassword: sealed(r, "New-1")}
		},
		check: func(t *testing.T, _, _ pvesim.VMState, vm *vmlinev1.VM) {
			if vm.GetOperation().GetResult().GetNote() == "" {
				t.Error("nobody is told that the password holds from the next boot on")
			}
		},
	},
	{
		name: "reinstall", from: Full, kind: vmlinev1.Operation_KIND_REINSTALL, stage: func(r *Rig, vm *vmlinev1.VM) { r.addBackupsAndSnapshots(vm) },
		check: func(t *testing.T, before, after pvesim.VMState, vm *vmlinev1.VM) {
			was, err := pve.ParseNIC(before.Config["net0"])
			must(t, err)
			is, err := pve.ParseNIC(after.Config["net0"])
			must(t, err)
			if was.MAC != is.MAC || vm.GetMac() != is.MAC || before.Config["vmgenid"] == after.Config["vmgenid"] {
				t.Errorf("the card was %s and is %s, known as %s; vmgenid %s and %s", was.MAC, is.MAC, vm.GetMac(), before.Config["vmgenid"], after.Config["vmgenid"])
			}
		},
	},
	{
		name: "migrate", from: Small, kind: vmlinev1.Operation_KIND_MIGRATE, check: keepsRunning,
		params: func(_ *Rig, vm *vmlinev1.VM) *vmlinev1.Params {
			return &vmlinev1.Params{Node: map[string]string{"pve1": "pve2", "pve2": "pve3", "pve3": "pve1"}[vm.GetNode()]}
		},
	},
	{
		name: "migrate-nowhere", from: Small, kind: vmlinev1.Operation_KIND_MIGRATE, end: refused, check: keepsRunning,
		params: func(*Rig, *vmlinev1.VM) *vmlinev1.Params { return &vmlinev1.Params{Node: "pve9"} },
	},
}

// TestTranscriptsOfCommands holds every call of the commands on a machine that is ready against what is
// written down: unchanged means no call, calls that can be one are one, and nothing but what the command
// is about changes.
func TestTranscriptsOfCommands(t *testing.T) {
	r := New(t, Options{Now: hardly()})
	r.StartAll()
	for _, tt := range commands {
		t.Run(tt.name, func(t *testing.T) {
			r, ref := r.For(t), "w1-"+tt.name
			pkg := tt.from("web")
			pkg.FirstVmid = firstVMID
			r.Order(ref, pkg)
			vm := r.Await(ref, Ended(create))
			if tt.stage != nil {
				tt.stage(r, vm)
			}
			before, _ := r.Sim.VM(int(vm.GetVmid()))
			var wanted *vmlinev1.Package
			if tt.change != nil {
				wanted = changed(pkg, tt.change)
			}
			var params *vmlinev1.Params
			if tt.params != nil {
				params = tt.params(r, vm)
			}
			plan := r.dryRun(ref, tt.kind, wanted, params)
			r.Sim.ResetCalls()
			id := r.SendWith(ref, tt.kind, wanted, params)
			end := tt.end
			if end == vmlinev1.Operation_STATE_UNSPECIFIED {
				end = vmlinev1.Operation_STATE_SUCCEEDED
			}
			vm = r.Await(ref, func(vm *vmlinev1.VM) bool {
				op := vm.GetOperation()
				return op.GetId() == id && op.GetState() != vmlinev1.Operation_STATE_RUNNING || r.refusal(id) != nil
			})
			if refusal := r.refusal(id); refusal != nil || vm.GetOperation().GetState() != end {
				t.Fatalf("%s ended %s, want %s: %v %v %v", tt.name, chain.StateName(vm.GetOperation().GetState()), chain.StateName(end), vm.GetProblem(), vm.GetOperation().GetProblem(), refusal)
			}
			r.golden(t, tt.name)
			if done, said := r.provisioned(false), planned(plan, false); !slices.Equal(done, said) {
				t.Errorf("the dry run said\n%s\nand these are made\n%s", strings.Join(said, "\n"), strings.Join(done, "\n"))
			}
			if now, _ := r.Sim.VM(int(vm.GetVmid())); tt.check != nil {
				tt.check(t, before, now, vm)
			}
			if vm.GetStatus() != vmlinev1.Status_STATUS_READY {
				t.Errorf("it is left %s", chain.Name(vm.GetStatus()))
			}
			r.Terminate(ref)
			r.Await(ref, Ended(terminate))
		})
	}
}
