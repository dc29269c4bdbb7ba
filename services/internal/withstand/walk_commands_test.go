package withstand

import (
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// command is a command at random, mostly one that is possible now.
func (w *walk) command(ref string) *vmlinev1.Command {
	vm := w.last(ref)
	return w.commandOf(vm, ref, w.kind(vm))
}

// rarely are commands that end what others would have been about, or set aside what is known.
var rarely = []vmlinev1.Operation_Kind{
	terminate, vmlinev1.Operation_KIND_RESET_STATUS, vmlinev1.Operation_KIND_ADOPT, vmlinev1.Operation_KIND_REMOVE, vmlinev1.Operation_KIND_SUSPEND,
}

func (w *walk) kind(vm *vmlinev1.VM) vmlinev1.Operation_Kind {
	kinds := chain.Possible(vm)
	if len(kinds) == 0 || w.odds(8) {
		kinds = nil
		for _, r := range chain.Routes() {
			kinds = append(kinds, r.Kind)
		}
	}
	kind := one(w, kinds...)
	if slices.Contains(rarely, kind) && !w.odds(3) {
		kind = one(w, kinds...)
	}
	if kind != changePackage && slices.Contains(kinds, changePackage) && w.odds(4) {
		kind = changePackage
	}
	return kind
}

func (w *walk) commandOf(vm *vmlinev1.VM, ref string, kind vmlinev1.Operation_Kind) *vmlinev1.Command {
	var pkg *vmlinev1.Package
	if r, _ := chain.RouteOf(kind); r.Package {
		pkg = w.pkg(ref)
	}
	cmd, err := rig.Command(ref, kind, pkg, vm.GetOperation().GetId())
	must(w.t, err)
	cmd.Id = fmt.Sprintf("%s.%s.%d", ref, chain.KindName(kind), len(w.sent))
	cmd.Params = w.params(kind, ref)
	return cmd
}

// pkg is a package at random.
func (w *walk) pkg(ref string) *vmlinev1.Package {
	p := one(w, rig.Small, rig.Full)(ref)
	p.Cores, p.MemoryMib, p.Onboot = uint32(1+w.rnd.IntN(4)), uint32(512*(1+w.rnd.IntN(4))), w.odds(2)
	p.SystemDisk.SizeGb = uint32(10 * (1 + w.rnd.IntN(4)))
	p.Template, p.Node = one(w, "tmpl", "tmpl", "local"), one(w, "", "", "", "pve1", "pve2")
	p.Network.Ipv4Count, p.Network.Ipv6Count = uint32(w.rnd.IntN(4)), uint32(w.rnd.IntN(2))
	p.Network.RateMbps = one(w, 0, 12.5)
	if w.odds(5) {
		p.Network.Vlan, p.Network.Ipv6Count = 7, 0
	} else if w.odds(4) {
		p.Network.Ipv4Count, p.Network.Addresses = max(1, p.Network.GetIpv4Count()), []string{fmt.Sprintf("10.64.0.%d", 2+w.rnd.IntN(13))}
	}
	p.Readiness = one(w, vmlinev1.Readiness_READINESS_RUNNING, vmlinev1.Readiness_READINESS_AGENT)
	return p
}

// params are all parameters that the command needs or takes.
func (w *walk) params(kind vmlinev1.Operation_Kind, ref string) *vmlinev1.Params {
	route, _ := chain.RouteOf(kind)
	p := &vmlinev1.Params{}
	for _, param := range slices.Concat(route.Needs, route.Takes) {
		switch param {
		case chain.ParamNode:
			p.Node = one(w, "pve1", "pve2", "pve3")
		case chain.ParamStatus:
			p.Status = one(w, resettable...)
		case chain.ParamReason:
			p.Reason = "looked at it"
		case chain.ParamTemplate:
			p.Template = one(w, "", "tmpl", "local")
		case chain.ParamVMID:
			p.Vmid = w.byStranger(ref)
		case chain.ParamPassword:
			p.SealedPassword = sealedFor(w.t, w.Rig, newPassword)
		case chain.ParamTimeout:
			p.TimeoutSeconds = 1
		}
	}
	return p
}

// resettable are statuses that an operator gives; most of them are refused somewhere.
var resettable = []vmlinev1.Status{
	vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_MIGRATED, vmlinev1.Status_STATUS_SET_CPU_RAM,
	vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Status_STATUS_SET_FIREWALL, vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_READY,
	vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SUSPENDED, vmlinev1.Status_STATUS_REMOVED,
}

// byStranger makes a machine that somebody may want to adopt, and returns its VMID.
func (w *walk) byStranger(ref string) uint32 {
	w.strangers++
	vmid := 7000 + w.strangers
	must(w.t, w.Sim.AddVM(pvesim.VMSpec{
		VMID: vmid, Node: "pve2", Name: ref, Storage: "shared1", DiskGB: 10, CloudInit: w.odds(2), Running: w.odds(2),
		Config: map[string]string{"agent": "1", "boot": "order=scsi0", "cores": "2", "memory": "1024", "net0": "virtio,bridge=vmbr0", "description": "by hand"},
	}))
	return uint32(vmid)
}

// send sends a command and does not wait for what becomes of it.
func (w *walk) send(cmd *vmlinev1.Command) {
	w.t.Helper()
	w.tell("%s after %q %v %s", cmd.GetId(), cmd.GetAfter(), cmd.GetParams(), brief(cmd.GetPackage()))
	w.sent = append(w.sent, cmd)
	if slices.Contains(overriding, cmd.GetKind()) {
		w.byHand[cmd.GetRef()] = true
	}
	must(w.t, w.Bus.SendCommand(w.t.Context(), cmd))
}

// brief is what packages here differ in.
func brief(p *vmlinev1.Package) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s on %q, %d cores, %d MiB, %d GB, filter %t, network %v", p.GetTemplate(), p.GetNode(), p.GetCores(), p.GetMemoryMib(),
		p.GetSystemDisk().GetSizeGb(), p.GetFirewall().GetIpFilter(), p.GetNetwork())
}

// overriding are the commands by which a person knows better than the chain.
var overriding = []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_RESET_STATUS, vmlinev1.Operation_KIND_RESUME, vmlinev1.Operation_KIND_ADOPT}
