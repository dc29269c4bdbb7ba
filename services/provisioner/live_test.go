package provisioner

import (
	"maps"
	"slices"
	"testing"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// TestNeedStopAgreesWithProxmox makes each change on a machine that runs: what stays pending is what the
// table says needs a stop.
func TestNeedStopAgreesWithProxmox(t *testing.T) {
	sim := pvesim.New(pvesim.Default())
	t.Cleanup(sim.Close)
	c, err := pve.New(pve.Config{
		Name: "dc1", URL: "https://pve.invalid:8006", Transport: sim, TokenID: "vmline@pve!prov", TokenSecret: pvesim.Default().Tokens["vmline@pve!prov"],
	})
	must(t, err)
	t.Cleanup(c.Close)
	vmid := 700
	for _, hotplug := range []string{"", "network,disk,usb", "network,disk,memory", "network,disk,cpu,memory", "network", "0"} {
		for name, change := range map[string]map[string]string{
			"processor": {"cores": "2"}, "model": {"cpu": "host"}, "memory": {"memory": "2048"}, "name": {"name": "b"}, "onboot": {"onboot": "1"},
			"cloud-init": {"ciuser": "a", "ipconfig0": "ip=dhcp", "nameserver": "192.0.2.1"}, "disk": {"scsi1": "shared1:1"}, "cd": {"ide3": "none,media=cdrom"},
			"limits": {"scsi0": ",mbps_rd=5"}, "threads": {"scsi0": ",iothread=1"}, "both": {"cores": "2", "name": "b", "scsi0": ",iops_wr=5"},
		} {
			vmid++
			config := map[string]string{"net0": "virtio,bridge=vmbr0", "numa": "1", "memory": "1024", "cores": "1", "scsihw": "virtio-scsi-single"}
			if hotplug != "" {
				config["hotplug"] = hotplug
			}
			must(t, sim.AddVM(pvesim.VMSpec{VMID: vmid, Node: "pve1", Name: "a", Storage: "shared1", DiskGB: 1, Running: true, Config: config}))
			cfg, err := c.VMConfig(t.Context(), "pve1", vmid)
			must(t, err)
			set := maps.Clone(change)
			if set["scsi0"] != "" {
				set["scsi0"] = cfg.Values["scsi0"] + set["scsi0"]
			}
			want := plan.NeedStop(cfg, pve.Change{Set: set})
			_, err = c.SetVMConfig(t.Context(), "pve1", vmid, pve.Change{Set: set})
			must(t, err)
			pending, err := c.Pending(t.Context(), "pve1", vmid)
			must(t, err)
			var got []string
			for _, p := range pending {
				got = append(got, p.Key)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("hotplug %q, %s: %q is pending, the table says %q", hotplug, name, got, want)
			}
		}
	}
}
