package withstand

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// ready makes a machine and returns its state.
func ready(r *rig.Rig, ref string, pkg *vmlinev1.Package) *vmlinev1.VM {
	r.Order(ref, pkg)
	return r.Await(ref, rig.Ended(create))
}

func other(pkg *vmlinev1.Package, change func(*vmlinev1.Package)) *vmlinev1.Package {
	o := proto.CloneOf(pkg)
	change(o)
	return o
}

// byHand changes a machine's configuration as a person would.
func byHand(t *testing.T, r *rig.Rig, vm *vmlinev1.VM, set map[string]string) {
	t.Helper()
	c := r.Proxmox()
	upid, err := c.SetVMConfig(t.Context(), vm.GetNode(), int(vm.GetVmid()), pve.Change{Set: set})
	must(t, err)
	if upid != "" {
		_, err = c.Wait(t.Context(), upid)
		must(t, err)
	}
}

func onProxmox(t *testing.T, r *rig.Rig, vm *vmlinev1.VM) pvesim.VMState {
	t.Helper()
	state, exists := r.Sim.VM(int(vm.GetVmid()))
	if !exists {
		t.Fatalf("%s has no machine", vm.GetRef())
	}
	return state
}

// TestRow10AddressesReachCloudInit: after a change of addresses nothing waits for cloud-init, on a machine
// that runs, and on one that is stopped once it is started.
func TestRow10AddressesReachCloudInit(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	c := r.Proxmox()
	for i, runs := range []bool{true, false} {
		ref, pkg := fmt.Sprintf("row10-%d", i), rig.Small("web")
		ready(r, ref, pkg)
		if !runs {
			again(r, ref, vmlinev1.Operation_KIND_STOP, nil)
		}
		more := other(pkg, func(p *vmlinev1.Package) { p.Network.Ipv6Count, p.CloudInit.User = 1, "ann" })
		vm := again(r, ref, changePackage, more)
		if !runs {
			vm = again(r, ref, vmlinev1.Operation_KIND_START, nil)
		}
		pending, err := c.CloudInitPending(t.Context(), vm.GetNode(), int(vm.GetVmid()))
		must(t, err)
		state := onProxmox(t, r, vm)
		if len(vm.GetAddresses()) != 2 || !strings.Contains(state.Config["ipconfig0"], "ip6="+vm.GetAddresses()[1].GetAddress()) || state.Config["ciuser"] != "ann" {
			t.Errorf("runs %v: it has %v and ipconfig0 %q", runs, vm.GetAddresses(), state.Config["ipconfig0"])
		}
		if len(pending) > 0 || state.Status != "running" {
			t.Errorf("runs %v: it is %s and %v waits for cloud-init", runs, state.Status, pending)
		}
	}
	written := 0
	for _, call := range r.Sim.Calls() {
		if call.Method == http.MethodPut && strings.HasSuffix(call.Path, "/cloudinit") {
			written++
		}
	}
	if written != 1 {
		t.Errorf("a drive was written %d times besides the starts, want once for the machine that runs", written)
	}
}

// TestRow11EveryOtherKeyStays: a change of CPU and memory leaves every other key as it was, also what a
// person has added, and each button changes its own part.
func TestRow11EveryOtherKeyStays(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	pkg := rig.Full("web")
	vm := ready(r, "row11", pkg)
	byHand(t, r, vm, map[string]string{
		"net1": "virtio,bridge=vmbr0,tag=12", "description": "Ann's notes\n" + onProxmox(t, r, vm).Config["description"] + "\nmore",
		"tags": "vmline;ann", "startup": "order=3", "cpulimit": "2", "protection": "1",
	})
	before := onProxmox(t, r, vm)
	again(r, "row11", changePackage, other(pkg, func(p *vmlinev1.Package) { p.Cores, p.MemoryMib = 2, 4096 }))
	differences(t, before, onProxmox(t, r, vm), "cores", "memory")

	again(r, "row11", vmlinev1.Operation_KIND_STOP, nil)
	byHand(t, r, vm, map[string]string{"cores": "1", "name": "other", "ciuser": "bob", "scsi0": without(before.Config["scsi0"], "mbps_rd"), "net0": before.Config["net0"] + ",tag=7"})
	for _, button := range []struct {
		kind vmlinev1.Operation_Kind
		keys []string
	}{
		{vmlinev1.Operation_KIND_SET_CPU_RAM, []string{"cores"}},
		{vmlinev1.Operation_KIND_SET_SYSTEM_DISK_BANDWIDTH, []string{"scsi0"}},
		{vmlinev1.Operation_KIND_SET_NETWORK, []string{"net0"}},
		{vmlinev1.Operation_KIND_SET_CLOUDINIT, []string{"ciuser", "name"}},
		{vmlinev1.Operation_KIND_SET_FIREWALL, nil},
		{vmlinev1.Operation_KIND_SET_SYSTEM_DISK_SIZE, nil},
		{vmlinev1.Operation_KIND_SET_CREATED_ADDITIONAL_DISK, nil},
	} {
		was := onProxmox(t, r, vm)
		again(r, "row11", button.kind, nil)
		differences(t, was, onProxmox(t, r, vm), button.keys...)
	}
}

func without(drive, option string) string {
	parts := slices.DeleteFunc(strings.Split(drive, ","), func(p string) bool { return strings.HasPrefix(p, option+"=") })
	return strings.Join(parts, ",")
}

// differences fails the test unless exactly these keys differ.
func differences(t *testing.T, was, is pvesim.VMState, want ...string) {
	t.Helper()
	keys := map[string]bool{}
	for _, config := range []map[string]string{was.Config, is.Config} {
		for key := range config {
			keys[key] = was.Config[key] != is.Config[key]
		}
	}
	maps.DeleteFunc(keys, func(_ string, differs bool) bool { return !differs })
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) || len(is.Pending) > 0 {
		t.Errorf("%q differ, want %q; pending is %v", got, want, is.Pending)
	}
}

// TestRow12Resizes: whatever becomes of the call and of its answer, both disks have their size at the end,
// and the VM's state says so.
func TestRow12Resizes(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 2, rig.Edge{})
	resize := pvesim.Fault{Method: http.MethodPut, Path: "/nodes/*/qemu/*/resize", Times: 1}
	for i, f := range []pvesim.Fault{
		{Kind: pvesim.DropBefore}, {Kind: pvesim.DropAfter}, {Kind: pvesim.RefuseAfter, Text: "Connection timed out"},
		{Kind: pvesim.LockTimeout}, {Kind: pvesim.TaskError, Text: "storage 'shared1' is not online"}, {Kind: pvesim.DropAfter, Skip: 1},
	} {
		f.Method, f.Path, f.Times = resize.Method, resize.Path, 1
		ref, pkg := fmt.Sprintf("row12-%d", i), rig.Full("web")
		ready(r, ref, pkg)
		mend := r.Sim.AddFault(f)
		id := r.Send(ref, changePackage, other(pkg, func(p *vmlinev1.Package) { p.SystemDisk.SizeGb, p.AdditionalDisk.SizeGb = 60, 150 }))
		vm := r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id && settled(changePackage)(vm) })
		mend()
		if rig.Parked(vm) { // a storage that is not online asks a person
			retry := r.Send(ref, vmlinev1.Operation_KIND_RETRY, nil)
			vm = r.Await(ref, func(vm *vmlinev1.VM) bool {
				return vm.GetOperation().GetId() == retry && vm.GetOperation().GetState() == vmlinev1.Operation_STATE_SUCCEEDED
			})
		}
		state := onProxmox(t, r, vm)
		for key, size := range map[string]string{"scsi0": "size=60G", "scsi1": "size=150G"} {
			if !strings.Contains(state.Config[key], size) {
				t.Errorf("fault %d: %s is %q, want %s", i, key, state.Config[key], size)
			}
		}
		if vm.GetSystemDiskGb() != 60 || vm.GetAdditionalDiskGb() != 150 {
			t.Errorf("fault %d: the state says %d and %d GB", i, vm.GetSystemDiskGb(), vm.GetAdditionalDiskGb())
		}
		again(r, ref, terminate, nil)
	}
}

// TestRow13SmallerDisksAreRefused before anything stops, each with what the VM was before.
func TestRow13SmallerDisksAreRefused(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	pkg := rig.Full("web")
	vm := ready(r, "row13", pkg)
	before := onProxmox(t, r, vm)
	for i, change := range []func(*vmlinev1.Package){
		func(p *vmlinev1.Package) { p.SystemDisk.SizeGb, p.Cores = 39, 8 },
		func(p *vmlinev1.Package) { p.AdditionalDisk.SizeGb, p.Cores = 99, 8 },
		func(p *vmlinev1.Package) { p.AdditionalDisk.Storage, p.Cores = "local", 8 },
		func(p *vmlinev1.Package) { p.Cores = 512 },
		func(p *vmlinev1.Package) { p.Network.Bridge, p.Cores = "vmbr77", 8 },
		func(p *vmlinev1.Package) { p.Node, p.Cores = "pve9", 8 },
	} {
		r.Sim.ResetCalls()
		id := r.Send("row13", changePackage, other(pkg, change))
		now := r.Await("row13", func(vm *vmlinev1.VM) bool {
			return vm.GetOperation().GetId() == id && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
		})
		p := now.GetOperation().GetProblem()
		if now.GetOperation().GetState() != vmlinev1.Operation_STATE_REFUSED || p.GetCause() == "" || p.GetNext() == "" {
			t.Errorf("change %d ended %v: %v %v", i, now.GetOperation().GetState(), p, now.GetProblem())
		}
		if now.GetStatus() != vmlinev1.Status_STATUS_READY || !proto.Equal(now.GetPackage(), vm.GetPackage()) || now.GetProblem() != nil {
			t.Errorf("change %d leaves the VM %v with %v", i, now.GetStatus(), now.GetProblem())
		}
		for _, call := range r.Sim.Calls() {
			if call.Method != http.MethodGet {
				t.Errorf("change %d: %s %s", i, call.Method, call.Path)
			}
		}
	}
	differences(t, before, onProxmox(t, r, vm))
}

// TestRow23TheFirewallAsItIs: set three times it has the same rules; others' rules and entries are not
// touched; a rule that a person deletes is reported, set again by the button, and reported no more.
func TestRow23TheFirewallAsItIs(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	vm := ready(r, "row23", rig.Full("web"))
	c, node, vmid := r.Proxmox(), vm.GetNode(), int(vm.GetVmid())
	must(t, c.AddFirewallRule(t.Context(), node, vmid, pve.FirewallRule{Type: "in", Action: "DROP", Proto: "udp", Dport: "53", Comment: "Ann's", Enable: true}))
	must(t, c.AddIPSetEntry(t.Context(), node, vmid, "ipfilter-net0", "198.51.100.0/24"))
	firewall := func() (rules []string, entries []string) {
		have, err := c.FirewallRules(t.Context(), node, vmid)
		must(t, err)
		for _, rule := range have {
			rules = append(rules, fmt.Sprint(rule.Type, rule.Action, rule.Proto, rule.Dport, rule.Comment))
		}
		entries, err = c.IPSet(t.Context(), node, vmid, "ipfilter-net0")
		must(t, err)
		slices.Sort(entries)
		return rules, entries
	}
	rules, entries := firewall()
	for range 3 {
		again(r, "row23", vmlinev1.Operation_KIND_SET_FIREWALL, nil)
		if nowRules, nowEntries := firewall(); !slices.Equal(nowRules, rules) || !slices.Equal(nowEntries, entries) {
			t.Errorf("the rules were %q and are %q, the entries %q and %q", rules, nowRules, entries, nowEntries)
		}
	}
	must(t, c.DeleteFirewallRule(t.Context(), node, vmid, 2, ""))
	must(t, r.Bus.Tick(t.Context(), bus.TickDrift))
	drifted := r.Await("row23", func(vm *vmlinev1.VM) bool { return len(vm.GetDrift()) > 0 })
	if d := drifted.GetDrift()[0]; d.GetKind() != vmlinev1.Drift_KIND_FIREWALL || !strings.Contains(d.GetDetail(), "the rule is gone") || d.GetSince() == nil {
		t.Errorf("it is reported as %v", d)
	}
	again(r, "row23", vmlinev1.Operation_KIND_SET_FIREWALL, nil)
	must(t, r.Bus.Tick(t.Context(), bus.TickDrift))
	r.Await("row23", func(vm *vmlinev1.VM) bool { return len(vm.GetDrift()) == 0 })
	if now, _ := firewall(); len(now) != len(rules) {
		t.Errorf("the rules are %q", now)
	}
	// An address that is taken off the machine leaves the set; the person's entry stays.
	fewer := other(rig.Full("web"), func(p *vmlinev1.Package) { p.Network.Ipv4Count, p.Network.Ipv6Count = 1, 0 })
	vm = again(r, "row23", changePackage, fewer)
	_, now := firewall()
	if want := []string{vm.GetAddresses()[0].GetAddress(), "198.51.100.0/24"}; len(vm.GetAddresses()) != 1 || !slices.Equal(now, want) {
		t.Errorf("the set has %q, want %q", now, want)
	}
}

// TestRow25NoLimitIsNoKey: limits that a package no longer has are taken off a machine that runs.
func TestRow25NoLimitIsNoKey(t *testing.T) {
	t.Parallel()
	r := rig.New(t, rig.Options{})
	startAll(r, 1, rig.Edge{})
	pkg := rig.Full("web")
	vm := ready(r, "row25", pkg)
	again(r, "row25", changePackage, other(pkg, func(p *vmlinev1.Package) {
		p.SystemDisk, p.AdditionalDisk = &vmlinev1.Disk{SizeGb: 40}, &vmlinev1.Disk{SizeGb: 100, Storage: "shared1"}
		p.Network.RateMbps = 0
	}))
	state := onProxmox(t, r, vm)
	for _, key := range []string{"scsi0", "scsi1", "net0"} {
		for _, limit := range []string{"mbps", "iops", "rate"} {
			if strings.Contains(state.Config[key], limit) {
				t.Errorf("%s is still %q", key, state.Config[key])
			}
		}
	}
	if state.Status != "running" || len(state.Pending) > 0 {
		t.Errorf("it is %s with %v pending", state.Status, state.Pending)
	}
}
