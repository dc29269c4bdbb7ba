package lifecycle

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// finding is what one line of a cluster's list says of a VM.
type finding int

// The findings.
const (
	// unclear: nothing can be concluded.
	unclear finding = iota
	// ours: it is there.
	ours
	// perhapsMissing: the list does not have it. Only Proxmox's answer to the VMID makes it missing.
	perhapsMissing
	missing
	// perhapsForeign: only the machine's configuration says whose it is.
	perhapsForeign
	foreign
	// absent: it is not there, and is not meant to be.
	absent
)

// withMachine are the statuses in which a machine stands under the VM's VMID.
var withMachine = []vmlinev1.Status{
	vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_MIGRATED, vmlinev1.Status_STATUS_SET_CPU_RAM,
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH, vmlinev1.Status_STATUS_SET_NETWORK,
	vmlinev1.Status_STATUS_SET_FIREWALL, vmlinev1.Status_STATUS_SET_CLOUDINIT, vmlinev1.Status_STATUS_STARTING,
	vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SUSPENDED, vmlinev1.Status_STATUS_CHANGE_PACKAGE,
	vmlinev1.Status_STATUS_PLANNED, vmlinev1.Status_STATUS_STOPPED, vmlinev1.Status_STATUS_REBOOTED,
	vmlinev1.Status_STATUS_RESET, vmlinev1.Status_STATUS_SET_PASSWORD, vmlinev1.Status_STATUS_IP_RELEASED,
	vmlinev1.Status_STATUS_SET_DNS_RECORDS, vmlinev1.Status_STATUS_ADOPTED,
}

// observable says whether a VM is at rest and it is known whether a machine stands under its VMID.
func observable(vm *vmlinev1.VM) bool {
	known := vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED || slices.Contains(withMachine, vm.GetStatus())
	return known && vm.GetVmid() != 0 && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_RUNNING
}

// judge says what a line of the list means for a VM, and for a foreign machine why it is that. seen is nil
// where there is none:
//
//	list                              drift so far   finding
//	not there                         MISSING        missing
//	not there                         other          perhapsMissing
//	status unknown                    any            unclear
//	without our tag, or a template    FOREIGN        foreign
//	without our tag, or a template    other          perhapsForeign
//	tagged, on another node           any            perhapsForeign
//	tagged, with other power          any            perhapsForeign
//	tagged                            FOREIGN        perhapsForeign
//	tagged                            other          ours
//
// A VM that was removed is to have none.
func judge(vm *vmlinev1.VM, seen *pve.VM) (finding, string) {
	removed := vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED
	was := drifted(vm, vmlinev1.Drift_KIND_FOREIGN)
	switch {
	case seen == nil && removed:
		return absent, ""
	case seen == nil && drifted(vm, vmlinev1.Drift_KIND_MISSING) != nil:
		return missing, ""
	case seen == nil:
		return perhapsMissing, ""
	case seen.Status != "running" && seen.Status != "stopped":
		return unclear, ""
	case removed:
		return foreign, "the machine was removed, and a machine stands under its VMID on node " + seen.Node
	case !tagged(seen) && was != nil:
		return foreign, was.GetDetail()
	case !tagged(seen), was != nil, seen.Node != vm.GetNode(), powerOf(seen) != vm.GetRemoteStatus():
		return perhapsForeign, ""
	}
	return ours, ""
}

func tagged(seen *pve.VM) bool { return slices.Contains(seen.Tags, machine.Tag) && !seen.Template }

// powerOf is the power of a machine whose status is known.
func powerOf(seen *pve.VM) vmlinev1.RemoteStatus {
	if seen.Status == "running" {
		return running
	}
	return stopped
}

// observed is the VM's state with what was found. Of a machine that is not ours nothing is taken over.
func observed(vm *vmlinev1.VM, seen *pve.VM, what finding, why string, now time.Time) *vmlinev1.VM {
	out := proto.CloneOf(vm)
	out.Event = vmlinev1.Event_EVENT_OBSERVED
	switch what {
	case missing:
		out.RemoteStatus, out.RemoteLock = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, ""
		setDrift(out, vmlinev1.Drift_KIND_MISSING, "Proxmox has no machine under the VMID", now)
	case foreign:
		setDrift(out, vmlinev1.Drift_KIND_FOREIGN, why, now)
	case ours:
		out.Node, out.RemoteLock, out.RemoteStatus = seen.Node, seen.Lock, powerOf(seen)
		setDrift(out, powerDrift(out), powerDetail[out.GetRemoteStatus()], now)
	default:
		setDrift(out, none, "", now)
	}
	return out
}

const none = vmlinev1.Drift_KIND_UNSPECIFIED

// powerDetail says how the machine's power differs.
var powerDetail = map[vmlinev1.RemoteStatus]string{
	running: "the machine runs, and should be stopped",
	stopped: "the machine is stopped, and should run",
}

// powerDrift is the drift of a machine whose power is not what it is meant to be.
func powerDrift(vm *vmlinev1.VM) vmlinev1.Drift_Kind {
	meant := vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED
	switch vm.GetStatus() {
	case vmlinev1.Status_STATUS_SUSPENDED:
		meant = stopped
	case vmlinev1.Status_STATUS_READY:
		meant = vm.GetWantedPower()
	}
	if meant == vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED || meant == vm.GetRemoteStatus() {
		return none
	}
	return vmlinev1.Drift_KIND_POWER
}

// seenHere are the kinds of drift that the list shows. The others are another's to find.
var seenHere = []vmlinev1.Drift_Kind{vmlinev1.Drift_KIND_MISSING, vmlinev1.Drift_KIND_FOREIGN, vmlinev1.Drift_KIND_POWER}

// setDrift makes kind the only drift of those that the list shows. One that was there keeps its age.
func setDrift(vm *vmlinev1.VM, kind vmlinev1.Drift_Kind, detail string, now time.Time) {
	was := drifted(vm, kind)
	vm.Drift = slices.DeleteFunc(vm.Drift, func(d *vmlinev1.Drift) bool { return slices.Contains(seenHere, d.GetKind()) })
	if kind == none {
		return
	}
	d := &vmlinev1.Drift{Kind: kind, Detail: detail, Since: timestamppb.New(now)}
	if was != nil {
		d.Since = was.GetSince()
	}
	vm.Drift = append(vm.Drift, d)
}

// drifted returns the VM's drift of a kind, nil for none.
func drifted(vm *vmlinev1.VM, kind vmlinev1.Drift_Kind) *vmlinev1.Drift {
	for _, d := range vm.GetDrift() {
		if d.GetKind() == kind {
			return d
		}
	}
	return nil
}

// news says whether what was observed differs from what was known.
func news(before, after *vmlinev1.VM) bool {
	same := before.GetNode() == after.GetNode() && before.GetRemoteStatus() == after.GetRemoteStatus() && before.GetRemoteLock() == after.GetRemoteLock()
	return !same || !slices.EqualFunc(before.GetDrift(), after.GetDrift(), func(a, b *vmlinev1.Drift) bool { return proto.Equal(a, b) })
}

// revived says whether a suspended machine runs, and no operation waits for a person to decide about it, nor a
// command to begin.
func revived(vm *vmlinev1.VM) bool {
	return vm.GetStatus() == vmlinev1.Status_STATUS_SUSPENDED && vm.GetOperation().GetState() != vmlinev1.Operation_STATE_PARKED &&
		vm.GetQueued() == nil && drifted(vm, vmlinev1.Drift_KIND_POWER) != nil
}
