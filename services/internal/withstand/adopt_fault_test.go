package withstand

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// adoption takes over a machine that somebody has made by hand.
var adoption = round{
	kind: vmlinev1.Operation_KIND_ADOPT, calls: []faulty{readConfig, configure, readStatus, readOptions, readSet},
	pkg: func(p *vmlinev1.Package) {
		p.Cores, p.MemoryMib, p.CpuType, p.SystemDisk, p.AdditionalDisk, p.Firewall, p.CloudInit = 0, 0, "", nil, nil, nil, nil
		p.Network = &vmlinev1.Network{Bridge: "vmbr0", Ipv4Count: 1}
	},
	params: func(_ *yard, c trial, _ *vmlinev1.VM) *vmlinev1.Params {
		return &vmlinev1.Params{Vmid: uint32(c.vmid)}
	},
}

// unanswered has adoptions wait for a person when Proxmox has set the mark, and said so to nobody.
func unanswered(y *yard, all []trial) {
	faults := []pvesim.Fault{{Kind: pvesim.DropAfter, Method: configure.method, Path: anyMachine(configure.path)}}
	for _, c := range all { // which cannot be read once it is marked
		faults = append(faults, pvesim.Fault{
			Kind: pvesim.Refuse, Code: http.StatusForbidden, Text: "no", Method: readConfig.method, Path: fmt.Sprintf(readConfig.path, c.vmid), Skip: 1,
		})
	}
	y.park(all, adoption, faults...)
}

// returning cancels an adoption that has marked its machine already, which stays what it was.
var returning = round{
	kind: cancel, name: "cancel of an adopt", mends: vmlinev1.Operation_KIND_RETRY, stage: unanswered,
	calls: []faulty{readConfig, configure},
	check: func(y *yard, what string, vm *vmlinev1.VM) {
		state, stands := y.Sim.VM(y.vmidOf(vm.GetRef()))
		if !stands || state.Status != "running" || state.Config["description"] != "made by hand" || !slices.Equal(state.Tags, []string{"old"}) {
			y.t.Errorf("%s: the machine is %+v", what, state)
		}
	},
}

// addressing gives adopted machines the address that they lack: VMSetDedicatedIp makes no call, and the buttons
// after it bring the address into the machine.
var addressing = []round{
	{kind: vmlinev1.Operation_KIND_SET_DEDICATED_IP, all: true, check: func(y *yard, what string, vm *vmlinev1.VM) {
		if len(vm.GetAddresses()) != 1 {
			y.t.Errorf("%s: it has %v", what, vm.GetAddresses())
		}
	}},
	{kind: vmlinev1.Operation_KIND_STOP, all: true, known: true},
	{
		kind: vmlinev1.Operation_KIND_SET_CLOUDINIT, calls: []faulty{readConfig, readStatus, configure},
		check: func(y *yard, what string, vm *vmlinev1.VM) {
			state, _ := y.Sim.VM(int(vm.GetVmid()))
			if !strings.Contains(state.Config["ipconfig0"], "ip="+vm.GetAddresses()[0].GetAddress()+"/") {
				y.t.Errorf("%s: ipconfig0 is %q", what, state.Config["ipconfig0"])
			}
		},
	},
}

// TestRows12And24FaultsOfAdoption: every fault in every call of an adoption, and of its cancellation. The machine
// that was made by hand is ours at the end, and otherwise as an undisturbed adoption leaves it.
func TestRows12And24FaultsOfAdoption(t *testing.T) {
	t.Parallel()
	cfg := lapse()
	cfg.Durations = pvesim.Durations{Config: time.Second, Stop: time.Second, Destroy: time.Second}
	y := &yard{Rig: rig.New(t, rig.Options{Sim: cfg}), t: t}
	adoptions := played{adoption, thin(trials("standing", adoption.calls, firstVMID), 0)}
	y.machines = append([]trial{{vmid: calmVMID, ref: "standing-22999"}}, adoptions.trials...)
	for _, m := range y.machines {
		must(t, y.Sim.AddVM(pvesim.VMSpec{
			VMID: m.vmid, Node: "pve1", Name: m.pkg().GetName(), Storage: "shared1", DiskGB: 10, CloudInit: true, Running: true,
			Config: map[string]string{
				"agent": "1", "boot": "order=scsi0", "cores": "2", "memory": "1024", "net0": "virtio,bridge=vmbr0",
				"description": "made by hand", "tags": "old",
			},
		}))
	}
	foreign := &foreigners{t: t, sim: y.Sim}
	foreign.arrive(5001)
	startAll(y.Rig, 1, rig.Edge{})
	y.play(played{returning, thin(trials("standing", returning.calls, firstVMID), 0)})
	y.CheckReserved(0, 0)
	y.play(adoptions)
	foreign.unchanged()
	for i, r := range addressing {
		y.play(played{r, thin(trials("standing", r.calls, firstVMID), i)})
	}
	y.play(played{round{kind: terminate, all: true, known: true}, nil})
	foreign.unchanged()
	y.CheckReserved(0, 0)
	for _, m := range y.machines {
		if _, stands := y.Sim.VM(m.vmid); stands {
			t.Errorf("%s is left", m.ref)
		}
	}
}
