package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pve"
)

// TestNeedStop has a row for every way in which a running machine takes a change, or does not.
func TestNeedStop(t *testing.T) {
	const disk, card = "s:vm-100-disk-0", "virtio=BC:24:11:00:00:01"
	for _, tt := range []struct {
		name string
		cfg  set
		set  set
		drop []string
		want string
	}{
		{name: "nothing"},
		{name: "what says who it is", set: set{"name": "db", "tags": "a", "description": "b", "onboot": "1"}},
		{name: "what the guest is told", set: set{"ciuser": "a", "cipassword": "b", "sshkeys": "c", "nameserver": "d", "searchdomain": "e", "ipconfig0": "ip=dhcp"}},
		{name: "what the guest is told no more", drop: []string{"ciuser", "ipconfig0", "sshkeys"}},
		{name: "another key taken away", drop: []string{"cpu", "nameserver"}, want: "cpu"},
		{name: "processor", set: set{"cores": "2", "sockets": "1", "cpu": "host"}, want: "cores cpu sockets"},
		{name: "processor with hotplug", cfg: set{"hotplug": "cpu,disk,network"}, set: set{"cores": "2"}, want: "cores"},
		{name: "memory", set: set{"memory": "2048"}, want: "memory"},
		{name: "memory with hotplug and NUMA", cfg: set{"hotplug": "disk,memory", "numa": "1"}, set: set{"memory": "2048"}},
		{name: "memory with hotplug alone", cfg: set{"hotplug": "memory"}, set: set{"memory": "2048"}, want: "memory"},
		{name: "balloon", set: set{"balloon": "512"}, want: "balloon"},

		{name: "limits of a disk", cfg: set{"scsi0": disk + ",iothread=1,size=10G"}, set: set{"scsi0": disk + ",iothread=1,mbps_rd=5,size=10G"}},
		{name: "limits taken off", cfg: set{"scsi0": disk + ",iops_wr=5,mbps_rd=5,size=10G"}, set: set{"scsi0": disk + ",size=10G"}},
		{name: "another option of a disk", cfg: set{"scsi0": disk + ",size=10G"}, set: set{"scsi0": disk + ",iothread=1,size=10G"}, want: "scsi0"},
		{name: "another volume", cfg: set{"scsi0": disk}, set: set{"scsi0": "s:vm-100-disk-1"}, want: "scsi0"},
		{name: "a disk that cannot be read", cfg: set{"scsi0": disk + ",size=1G,size=2G"}, set: set{"scsi0": disk}, want: "scsi0"},
		{name: "new disks", set: set{"scsi1": "s:1", "virtio1": "s:1"}},
		{name: "new disks on a bus that is not hotplugged", set: set{"ide2": "s:cloudinit", "sata1": "s:1"}, want: "ide2 sata1"},
		{name: "a new disk without hotplug", cfg: set{"hotplug": "network"}, set: set{"scsi1": "s:1"}, want: "scsi1"},
		{name: "a new disk with the default spelt out", cfg: set{"hotplug": "1"}, set: set{"scsi1": "s:1"}},
		{name: "no hotplug at all", cfg: set{"hotplug": "0", "scsi0": disk}, set: set{"scsi0": disk + ",mbps_rd=1", "scsi1": "s:1"}, want: "scsi1"},

		{name: "bridge, VLAN, rate, firewall", cfg: set{"net0": card + ",bridge=vmbr0"}, set: set{"net0": card + ",bridge=vmbr1,tag=5,rate=3,firewall=1"}},
		{name: "the same without hotplug", cfg: set{"hotplug": "0", "net0": card + ",bridge=vmbr0"}, set: set{"net0": card + ",bridge=vmbr1"}},
		{name: "the MAC in small letters", cfg: set{"net0": strings.ToLower(card) + ",bridge=vmbr0"}, set: set{"net0": card + ",bridge=vmbr1"}},
		{name: "another model", cfg: set{"net0": card + ",bridge=vmbr0"}, set: set{"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0"}, want: "net0"},
		{name: "another MAC", cfg: set{"net0": card + ",bridge=vmbr0"}, set: set{"net0": "virtio=BC:24:11:00:00:02,bridge=vmbr0"}, want: "net0"},
		{name: "other queues", cfg: set{"net0": card + ",bridge=vmbr0"}, set: set{"net0": card + ",bridge=vmbr0,queues=2"}, want: "net0"},
		{name: "a bridge instead of Proxmox's own network", cfg: set{"net0": card}, set: set{"net0": card + ",bridge=vmbr0"}, want: "net0"},
		{name: "a new card", set: set{"net0": "virtio,bridge=vmbr0"}},
		{name: "a new card without hotplug", cfg: set{"hotplug": "disk"}, set: set{"net0": "virtio,bridge=vmbr0"}, want: "net0"},
		{name: "a card that cannot be read", cfg: set{"net0": "token-ring=1"}, set: set{"net0": card + ",bridge=vmbr0"}, want: "net0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := NeedStop(pve.VMConfig{Values: tt.cfg}, pve.Change{Set: tt.set, Delete: tt.drop})
			if !slices.Equal(got, strings.Fields(tt.want)) {
				t.Errorf("%q need a stop, want %q", got, tt.want)
			}
		})
	}
}

// TestWaiting: only what the plan is about counts as not taken.
func TestWaiting(t *testing.T) {
	pending := []pve.PendingChange{{Key: "cores", Then: "2"}, {Key: "net0", Then: "x"}, {Key: "scsi0", Then: "x"}, {Key: "scsi1", Then: "x"}, {Key: "balloon", Then: "0"}, {Key: "vga", Delete: true}, {Key: ""}}
	for _, tt := range []struct {
		parts Part
		want  string
	}{
		{All, "cores net0 scsi0 scsi1"}, {Compute, "cores"}, {Network, "net0"}, {SystemLimits, "scsi0"}, {AdditionalLimits, "scsi1"}, {AdditionalDisk, "scsi1"},
		{SystemSize, ""}, {CloudInit, ""},
	} {
		if got := Waiting(pending, Plan{Parts: tt.parts, SystemDisk: "scsi0", AdditionalDisk: "scsi1"}); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%b: %q wait, want %q", tt.parts, got, tt.want)
		}
	}
}
