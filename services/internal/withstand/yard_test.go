package withstand

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// command has machines carry a command out undisturbed.
func (y *yard) command(all []trial, kind vmlinev1.Operation_Kind, params *vmlinev1.Params) {
	y.t.Helper()
	p := round{kind: kind, params: func(*yard, trial, *vmlinev1.VM) *vmlinev1.Params { return params }}
	ids := map[string]string{}
	for _, c := range all {
		ids[c.ref] = y.send(p, c, kind)
	}
	for _, c := range all {
		if state := y.ended(c, ids[c.ref]); state != vmlinev1.Operation_STATE_SUCCEEDED {
			y.t.Fatalf("%s of %s: %v with %v", p, c.ref, state, y.last(c.ref).GetProblem())
		}
	}
}

// park has a command of machines wait for a person, because of faults in its calls.
func (y *yard) park(all []trial, p round, faults ...pvesim.Fault) {
	y.t.Helper()
	for _, f := range faults {
		defer y.Sim.AddFault(f)()
	}
	ids := map[string]string{}
	for _, c := range all {
		ids[c.ref] = y.send(p, c, p.kind)
	}
	for _, c := range all {
		if state := y.ended(c, ids[c.ref]); state != vmlinev1.Operation_STATE_PARKED {
			y.t.Fatalf("%s of %s: %v, want it parked", p, c.ref, state)
		}
	}
}

// clear terminates the machines that stand.
func (y *yard) clear(all []trial) {
	y.t.Helper()
	var standing []trial
	for _, c := range all {
		if last, err := y.Bus.Last(y.t.Context(), c.ref); err == nil && last.VM.GetStatus() != vmlinev1.Status_STATUS_TERMINATED {
			standing = append(standing, c)
		}
	}
	y.command(standing, terminate, nil)
}

var marked = regexp.MustCompile(`vmline ref=(\S+)`)

// onlyTheirs fails the test if a ref has a machine under another VMID than its own, and so if it has two.
func (y *yard) onlyTheirs() {
	y.t.Helper()
	own := map[int]string{}
	for _, m := range y.machines {
		own[m.vmid] = m.ref
	}
	for _, vm := range y.Sim.VMs() {
		if mark := marked.FindStringSubmatch(vm.Config["description"]); mark != nil && own[vm.VMID] != mark[1] {
			y.t.Errorf("VM %d is %s's, want %q's", vm.VMID, mark[1], own[vm.VMID])
		}
	}
}

// vmidOf is the VMID of a ref's machine, also where its VM has it no more.
func (y *yard) vmidOf(ref string) int {
	return y.machines[slices.IndexFunc(y.machines, func(m trial) bool { return m.ref == ref })].vmid
}

// volume is the volume in a slot of a machine.
func (y *yard) volume(vmid int, slot string) string {
	state, _ := y.Sim.VM(vmid)
	volume, _, _ := strings.Cut(state.Config[slot], ",")
	return volume
}

func (y *yard) mac(vmid int) string {
	state, _ := y.Sim.VM(vmid)
	_, rest, _ := strings.Cut(state.Config["net0"], "=")
	mac, _, _ := strings.Cut(rest, ",")
	return mac
}

// smaller puts a new and small disk in the place of a machine's, with the same options.
func (y *yard) smaller(vmid int, slot string) {
	state, _ := y.Sim.VM(vmid)
	options := strings.Split(state.Config[slot], ",")
	options[0] = "shared1:1"
	options = slices.DeleteFunc(options, func(o string) bool { return strings.HasPrefix(o, "size=") })
	y.by(vmid, http.MethodPut, "/config", "delete="+slot, "force=1")
	y.by(vmid, http.MethodPut, "/config", slot+"="+url.QueryEscape(strings.Join(options, ",")))
}

// openFirewall takes away what keeps a machine's network closed.
func (y *yard) openFirewall(vmid int) {
	y.by(vmid, http.MethodPut, "/firewall/options", "delete=policy_in,macfilter")
	y.by(vmid, http.MethodDelete, "/firewall/ipset/ipfilter-net0", "force=1")
	y.by(vmid, http.MethodDelete, "/firewall/rules/0")
}

// spare gives a machine a disk that it does not use, of a size that no other disk has.
func (y *yard) spare(vmid int) {
	y.by(vmid, http.MethodPut, "/config", fmt.Sprintf("scsi5=shared1:%d.5", vmid-calmVMID))
	y.by(vmid, http.MethodPut, "/config", "delete=scsi5")
}

// parkedOnce: the spare disk of a machine that was removed is there once, on a machine that keeps disks, and a
// person is told where.
func parkedOnce(y *yard, what string, vm *vmlinev1.VM) {
	size := (int64(vm.GetVmid())-calmVMID)<<30 + 1<<29
	var disks []string
	for _, v := range y.Sim.Volumes() {
		if v.SizeBytes == size {
			disks = append(disks, v.VolID)
		}
	}
	var keepers []string
	for _, vmid := range parking {
		state, _ := y.Sim.VM(vmid)
		for key, value := range state.Config {
			if volume, _, _ := strings.Cut(value, ","); slices.Contains(disks, volume) {
				keepers = append(keepers, fmt.Sprintf("goes to VM %d as %s", vmid, key))
			}
		}
	}
	note := vm.GetOperation().GetResult().GetNote()
	if len(disks) != 1 || len(keepers) != 1 || !strings.Contains(note, keepers[0]) {
		y.t.Errorf("%s: its spare disk is %q, which %q; a person is told %q", what, disks, keepers, note)
	}
}
