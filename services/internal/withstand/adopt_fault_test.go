package withstand

import (
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

// TestRows12And24FaultsOfAdoption: every fault in every call of an adoption. The machine that was made by
// hand is ours at the end, and otherwise as an undisturbed adoption leaves it.
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
	y.play(adoptions)
	y.play(played{round{kind: terminate, all: true, known: true}, nil})
	foreign.unchanged()
	y.CheckReserved(0, 0)
	for _, m := range y.machines {
		if _, stands := y.Sim.VM(m.vmid); stands {
			t.Errorf("%s is left", m.ref)
		}
	}
}
