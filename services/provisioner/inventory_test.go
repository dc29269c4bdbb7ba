package provisioner

import (
	"slices"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
)

func TestTheInventoryAsksOnce(t *testing.T) {
	cfg := pvesim.Default()
	cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9001, Node: "pve1", Name: "iso", Storage: "local-lvm", Config: map[string]string{"ide3": "local:iso/a.iso,media=cdrom"}})
	sim := pvesim.New(cfg)
	t.Cleanup(sim.Close)
	now := time.Now() // stands still, so that nothing read grows old meanwhile
	inv := newInventory(client(t, sim), Rules{}, func() time.Time { return now }, quiet)
	all, err := inv.list(t.Context(), inventoryAge)
	must(t, err)
	want := map[int][]string{9000: {"shared1"}, 9001: {"local", "local-lvm"}}
	for range 3 {
		_, err := inv.list(t.Context(), inventoryAge)
		must(t, err)
		for _, vm := range all.VMs {
			got, err := inv.templateStorages(t.Context(), vm.Node, vm.VMID, templateAge)
			must(t, err)
			if !slices.Equal(got, want[vm.VMID]) {
				t.Errorf("template %d is on %v, want %v", vm.VMID, got, want[vm.VMID])
			}
		}
	}
	if calls := sim.Calls(); len(calls) != 3 {
		t.Errorf("%d calls, want one for the list and one for each template", len(calls))
	}
}
