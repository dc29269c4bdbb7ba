package withstand

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// mending are the commands of operators on machines that are not finished, in an order in which each finds
// them as it needs them. The cancellations come as often as there are ways back.
var mending = []round{
	{
		kind: vmlinev1.Operation_KIND_REDEPLOY, all: true,
		calls:  slices.Concat([]faulty{dropSnap, stops, destroys}, builds),
		stage:  begun(starts, pvesim.RefuseAfter), // they run, and nobody knows
		before: func(y *yard, vmid int) { y.Sim.AddSnapshot(vmid, "before", "") },
	},
	{kind: vmlinev1.Operation_KIND_STOP, all: true, known: true},
	{kind: vmlinev1.Operation_KIND_REMOVE, all: true, known: true},
	{kind: vmlinev1.Operation_KIND_RESET_STATUS, all: true, params: status(vmlinev1.Status_STATUS_SET_IP)},
	{kind: vmlinev1.Operation_KIND_CLONE, mends: create, calls: builds},
	{
		kind: cancel, name: "cancel of a change_package",
		stage: stuck(round{kind: changePackage, pkg: larger}, addRule, pvesim.Refuse),
		calls: []faulty{readConfig, readStatus, configure, readOptions, readSet, dropFromSet, readRules, starts, asksAgent},
	},
	{
		kind: cancel, name: "cancel of a reinstall", mends: vmlinev1.Operation_KIND_START,
		stage: stuck(round{kind: vmlinev1.Operation_KIND_REINSTALL}, destroys, pvesim.Refuse),
		calls: []faulty{readConfig, readStatus, starts, asksAgent},
	},
	{
		kind: cancel, name: "cancel of a suspend",
		stage: stuck(round{kind: vmlinev1.Operation_KIND_SUSPEND}, shutsDown, pvesim.RefuseAfter),
		calls: []faulty{readConfig, readStatus, starts, asksAgent},
	},
	{
		kind: cancel, name: "cancel of an unsuspend",
		stage: func(y *yard, all []trial) {
			y.command(all, vmlinev1.Operation_KIND_SUSPEND, nil)
			stuck(round{kind: vmlinev1.Operation_KIND_UNSUSPEND}, starts, pvesim.RefuseAfter)(y, all)
		},
		calls: []faulty{readConfig, readStatus, stops},
	},
	{
		kind: vmlinev1.Operation_KIND_RESUME, params: status(vmlinev1.Status_STATUS_CLONE),
		stage: begun(starts, pvesim.Refuse),
		calls: builds[1:], // all but the clone
		before: func(y *yard, vmid int) {
			y.by(vmid, http.MethodPut, "/config", "cores=1")
			y.smaller(vmid, "scsi0")
			y.openFirewall(vmid)
		},
	},
	{
		kind: cancel, name: "cancel of a create", mends: terminate,
		stage:  begun(starts, pvesim.RefuseAfter),
		calls:  []faulty{readConfig, dropSnap, stops, destroys},
		before: func(y *yard, vmid int) { y.Sim.AddSnapshot(vmid, "before", "") },
	},
}

// dropFromSet is for the address that the change had added; the set has no other of that length.
var dropFromSet = faulty{"take out of IP set", http.MethodDelete, "/nodes/*/qemu/%d/firewall/ipset/ipfilter-net0/*", false, false}

const cancel = vmlinev1.Operation_KIND_CANCEL

// TestRows12And24FaultsOfMending: every fault in every call of the commands that mend what is half way, as
// TestRows12And24FaultsOfEveryCommand has them for what stands.
func TestRows12And24FaultsOfMending(t *testing.T) {
	t.Parallel()
	newYard(t, mending).playAll()
}

// TestNoCommandIsLeftOut: each command of the table in pkg/chain has its faults here.
func TestNoCommandIsLeftOut(t *testing.T) {
	tried := map[vmlinev1.Operation_Kind]bool{
		create: true, terminate: true, // TestRows12And24Faults
		vmlinev1.Operation_KIND_RETRY:           true, // takes up what is parked in every round
		vmlinev1.Operation_KIND_SET_DNS_RECORDS: true, // has nothing to do with Proxmox
	}
	for _, r := range slices.Concat(rounds, mending, addressing, []round{adoption, returning}) {
		tried[r.kind] = tried[r.kind] || !r.known
	}
	for _, r := range chain.Routes() {
		if !tried[r.Kind] {
			t.Errorf("%s meets no fault", chain.KindName(r.Kind))
		}
	}
}

// status is a command's parameter of that name.
func status(s vmlinev1.Status) func(*yard, trial, *vmlinev1.VM) *vmlinev1.Params {
	return func(*yard, trial, *vmlinev1.VM) *vmlinev1.Params {
		return &vmlinev1.Params{Status: s, Reason: "looked at it"}
	}
}

// begun orders machines anew, which wait for a person since a call of theirs has gone wrong.
func begun(call faulty, how pvesim.FaultKind) func(*yard, []trial) {
	return func(y *yard, all []trial) {
		y.clear(all)
		stuck(round{kind: create}, call, how)(y, all)
	}
}

// stuck has a command of machines wait for a person since a call of theirs has gone wrong: it was refused,
// or it was made and then refused all the same.
func stuck(p round, call faulty, how pvesim.FaultKind) func(*yard, []trial) {
	f := pvesim.Fault{Kind: how, Method: call.method, Path: anyMachine(call.path), Code: http.StatusForbidden, Text: "Permission check failed (/vms/1, VM.Other)"}
	return func(y *yard, all []trial) { y.park(all, p, f) }
}

// anyMachine is the path of a call for every VMID.
func anyMachine(path string) string { return strings.Replace(path, "%d", "*", 1) }
