package placement

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const gb = 1 << 30

// three is a cluster: n1 and n2 half full, n3 nearly empty but without the storage san. The template
// debian is on n1 and n2, lone on n1 only.
func three() Inventory {
	var inv Inventory
	inv.Nodes = []pve.Node{
		{Name: "n1", Online: true, MaxMem: 64 * gb, Mem: 32 * gb, MaxCPU: 16},
		{Name: "n2", Online: true, MaxMem: 64 * gb, Mem: 30 * gb, MaxCPU: 16},
		{Name: "n3", Online: true, MaxMem: 64 * gb, Mem: 1 * gb, MaxCPU: 16},
		{Name: "off", MaxMem: 640 * gb, MaxCPU: 160},
	}
	for _, n := range []string{"n1", "n2", "n3", "off"} {
		inv.Storages = append(inv.Storages, pve.Storage{Name: "local", Node: n, Active: true, MaxDisk: 500 * gb, Avail: 400 * gb})
		if n != "n3" {
			inv.Storages = append(inv.Storages, pve.Storage{Name: "san", Node: n, Shared: true, Active: true, MaxDisk: 1000 * gb, Avail: 100 * gb})
		}
		inv.Storages = append(inv.Storages, pve.Storage{Name: "ceph", Node: n, Shared: true, Active: n != "n2", MaxDisk: 1000 * gb, Avail: 900 * gb})
	}
	inv.VMs = []pve.VM{
		{VMID: 9002, Name: "debian", Template: true, Node: "n2", MaxMem: 900 * gb, MaxDisk: 4 * gb},
		{VMID: 9001, Name: "debian", Template: true, Node: "n1", MaxMem: 900 * gb, MaxDisk: 4 * gb},
		{VMID: 9003, Name: "lone", Template: true, Node: "n1", MaxDisk: 4 * gb},
		{VMID: 9004, Name: "fedora", Template: true, Node: "off"},
		{VMID: 9005, Name: "9001", Template: true, Node: "n3"},
		{VMID: 100, Name: "ubuntu", Node: "n1", MaxMem: 2 * gb, MaxCPU: 2},
	}
	inv.Volumes = map[int][]string{9001: {"local"}, 9002: {"local"}, 9003: {"local"}}
	inv.Bridges = map[string][]string{"n1": {"vmbr0"}, "n2": {"vmbr0", "vmbr1"}, "n3": {"vmbr0"}}
	inv.Limits = Limits{Memory: 1, CPU: 4}
	return inv
}

// size sets the size of a template's system disk, in bytes.
func (inv *Inventory) size(vmid int, bytes int64) {
	k := slices.IndexFunc(inv.VMs, func(vm pve.VM) bool { return vm.VMID == vmid })
	inv.VMs[k].MaxDisk = bytes
}

func (inv Inventory) on(vmid int, storages ...string) Inventory {
	inv.Volumes[vmid] = storages
	return inv
}

type pkg = vmlinev1.Package

func TestChoose(t *testing.T) {
	full := func(storage string) *pkg {
		return &pkg{CloneType: vmlinev1.CloneType_CLONE_TYPE_FULL, SystemDisk: &vmlinev1.Disk{Storage: storage, SizeGb: 200}}
	}
	for _, tt := range []struct {
		name     string
		template string
		change   func(*Inventory)
		ours     []Machine
		pkg      *pkg
		want     Choice
		refused  string
		passing  bool
	}{
		{name: "a group of local templates: the roomier of their nodes", template: "debian", want: Choice{9002, "n2", "n2", "n2"}},
		{name: "a lone local template, although another node is emptier", template: "lone", want: Choice{9003, "n1", "n1", "n1"}},
		{name: "a lone local template, node named", template: "lone", pkg: &pkg{Node: "n3"}, want: Choice{9003, "n1", "n1", "n3"}},
		{name: "a group, node named", template: "debian", pkg: &pkg{Node: "n1"}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "a group, node without a copy named", template: "debian", pkg: &pkg{Node: "n3"}, want: Choice{9001, "n1", "n1", "n3"}},
		{name: "by number", template: "9002", want: Choice{9002, "n2", "n2", "n2"}},
		{name: "shared: the emptiest node that has it", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, want: Choice{9003, "n1", "n2", "n2"}},
		{name: "one of its volumes is local", template: "lone", change: func(i *Inventory) { i.on(9003, "san", "local") }, want: Choice{9003, "n1", "n1", "n1"}},
		{name: "shared, but not active where it is emptiest", template: "lone", change: func(i *Inventory) { i.on(9003, "ceph") },
			ours: []Machine{{VMID: 101, Node: "n3", Memory: 50 * gb, OnItsWay: true}}, want: Choice{9003, "n1", "n1", "n1"}},
		{name: "nodes of the package", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, pkg: &pkg{Nodes: []string{"n1", "n3"}}, want: Choice{9003, "n1", "n1", "n1"}},
		{name: "the named node stands above them", template: "debian", pkg: &pkg{Node: "n2", Nodes: []string{"n1"}}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "a local template whose node is full: migration", template: "lone", pkg: &pkg{MemoryMib: 33 << 10}, want: Choice{9003, "n1", "n1", "n3"}},
		{name: "what is on its way counts", template: "debian", ours: []Machine{{VMID: 101, Node: "n2", Memory: 3 * gb, OnItsWay: true}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "cores count too", template: "debian", ours: []Machine{{VMID: 101, Node: "n2", Cores: 60, OnItsWay: true}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "the one node with that many cores", template: "lone", change: func(i *Inventory) { i.Nodes[2].MaxCPU = 24 }, pkg: &pkg{Cores: 24}, want: Choice{9003, "n1", "n1", "n3"}},
		{name: "one that was moved counts where it is", template: "debian", change: func(i *Inventory) {
			i.VMs = append(i.VMs, pve.VM{VMID: 101, Node: "n2", MaxMem: 60 * gb})
		}, ours: []Machine{{VMID: 101, Node: "n1", Memory: 60 * gb}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "one that is gone does not count", template: "debian", ours: []Machine{{VMID: 101, Node: "n2", Memory: 60 * gb}}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "one that is too new to be listed counts", template: "debian", ours: []Machine{{VMID: 101, Node: "n2", Memory: 60 * gb, New: true}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "a listed one counts once", template: "debian", change: func(i *Inventory) {
			i.VMs = append(i.VMs, pve.VM{VMID: 101, Node: "n2", MaxMem: 28 * gb, MaxCPU: 28})
		}, ours: []Machine{{VMID: 101, Node: "n2", Memory: 28 * gb, Cores: 28}}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "maintenance", template: "debian", change: func(i *Inventory) { i.Maintenance = map[string]bool{"n2": true} }, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "a shared template on a node in maintenance", template: "lone", change: func(i *Inventory) {
			i.on(9003, "san")
			i.Maintenance = map[string]bool{"n1": true}
		}, want: Choice{9003, "n1", "n2", "n2"}},
		{name: "a bridge that one node has", template: "lone", pkg: &pkg{Network: &vmlinev1.Network{Bridge: "vmbr1"}}, want: Choice{9003, "n1", "n1", "n2"}},
		{name: "a bridge that no node shows", template: "lone", pkg: &pkg{Network: &vmlinev1.Network{Bridge: "vnet9"}}, want: Choice{9003, "n1", "n1", "n1"}},
		{name: "a node that does not answer", template: "debian", change: func(i *Inventory) { i.Mute = map[string]bool{"n2": true} }, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "a copy that cannot be read", template: "debian", change: func(i *Inventory) { delete(i.Volumes, 9002) }, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "another storage for the clone", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, pkg: full("ceph"), want: Choice{9003, "n1", "n3", "n3"}},
		{name: "from shared to local", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, pkg: full("local"), want: Choice{9003, "n1", "n1", "n1"}},
		{name: "a storage that the token may not see", template: "lone", change: func(i *Inventory) { i.on(9003, "secret") }, pkg: &pkg{Node: "n2"}, want: Choice{9003, "n1", "n1", "n2"}},
		{name: "apart from the customer's others", template: "debian", pkg: &pkg{Customer: "c1", AntiAffinity: true},
			ours: []Machine{{VMID: 101, Node: "n2", Customer: "c1", OnItsWay: true}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "apart, even by a migration", template: "debian", pkg: &pkg{Customer: "c1", AntiAffinity: true},
			ours: []Machine{{VMID: 101, Node: "n2", Customer: "c1", OnItsWay: true}, {VMID: 102, Node: "n1", Customer: "c1", OnItsWay: true}}, want: Choice{9001, "n1", "n1", "n3"}},
		{name: "apart is not asked for", template: "debian", pkg: &pkg{Customer: "c1"}, ours: []Machine{{VMID: 101, Node: "n2", Customer: "c1", OnItsWay: true}}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "nobody is no customer", template: "debian", pkg: &pkg{AntiAffinity: true}, ours: []Machine{{VMID: 101, Node: "n2", OnItsWay: true}}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "room to the last byte", template: "debian", pkg: &pkg{MemoryMib: 34 << 10}, want: Choice{9002, "n2", "n2", "n2"}},
		{name: "figures that are not shown", template: "lone", change: func(i *Inventory) {
			for k := range i.Nodes {
				i.Nodes[k].MaxMem, i.Nodes[k].Mem, i.Nodes[k].MaxCPU = 0, 0, 0
			}
		}, pkg: &pkg{MemoryMib: 1 << 20, Cores: 500}, want: Choice{9003, "n1", "n1", "n1"}},

		{name: "the copy of a group that is small enough", template: "debian", change: func(i *Inventory) { i.size(9001, 5*gb); i.size(9002, 11*gb) },
			pkg: &pkg{SystemDisk: &vmlinev1.Disk{SizeGb: 10}}, want: Choice{9001, "n1", "n1", "n1"}},
		{name: "a template as large as the disk", template: "lone", change: func(i *Inventory) { i.size(9003, 10*gb) },
			pkg: &pkg{SystemDisk: &vmlinev1.Disk{SizeGb: 10}}, want: Choice{9003, "n1", "n1", "n1"}},
		{name: "a package that keeps the template's size", template: "lone", change: func(i *Inventory) { i.size(9003, 10*gb) },
			want: Choice{9003, "n1", "n1", "n1"}},

		{name: "a template that is larger than the disk", template: "lone", change: func(i *Inventory) { i.size(9003, 10*gb+1) },
			pkg: &pkg{SystemDisk: &vmlinev1.Disk{SizeGb: 10}}, refused: "has a system disk of 10.0 GiB and the package says 10 GB; Proxmox cannot shrink a disk"},
		{name: "no room anywhere", template: "debian", pkg: &pkg{MemoryMib: 65 << 10}, refused: "node n1 would have 97.0 GiB of memory promised, counting what is on its way, and its limit is 64.0 GiB; node n2", passing: true},
		{name: "too many cores", template: "debian", pkg: &pkg{Node: "n1", Cores: 16}, ours: []Machine{{VMID: 101, Node: "n1", Cores: 47, OnItsWay: true}},
			refused: "node n1, which the package names, would have 65 cores promised, counting what is on its way, and its limit is 64", passing: true},
		{name: "more cores than any node has", template: "debian", pkg: &pkg{Cores: 17}, refused: "node n1 has 16 cores, and Proxmox starts no machine there with the package's 17; node n2", passing: true},
		{name: "no room for a full clone", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, pkg: full("san"),
			ours: []Machine{{VMID: 101, Node: "n2", Storage: "san", Disk: 97 * gb, OnItsWay: true}}, refused: "has 3.0 GiB free on storage san, counting what is on its way, and the clone needs 4.0 GiB", passing: true},
		{name: "volumes that are whole from the start", template: "lone", change: func(i *Inventory) {
			i.on(9003, "san")
			for k := range i.Storages {
				i.Storages[k].Type = "lvm"
			}
		}, pkg: full("san"), refused: "the clone needs 200.0 GiB", passing: true},
		{name: "the template's node is down", template: "fedora", refused: "node off, which has template fedora, is not online", passing: true},
		{name: "the named node is down", template: "debian", pkg: &pkg{Node: "off"}, refused: "node off, which the package names, is not an online node", passing: true},
		{name: "the named node is in maintenance", template: "debian", change: func(i *Inventory) { i.Maintenance = map[string]bool{"n2": true} }, pkg: &pkg{Node: "n2"}, refused: "node n2, which the package names, is in maintenance", passing: true},
		{name: "a lone local template in maintenance", template: "lone", change: func(i *Inventory) { i.Maintenance = map[string]bool{"n1": true} }, refused: "node n2 would get its clone from node n1, which is in maintenance", passing: true},
		{name: "the named node does not exist", template: "debian", pkg: &pkg{Node: "n9"}, refused: "node n9, which the package names, is not an online node"},
		{name: "the named node lacks the storage", template: "lone", change: func(i *Inventory) { i.on(9003, "san") }, pkg: &pkg{Node: "n3"}, refused: "node n3, which the package names, does not have storage san"},
		{name: "the named node lacks the additional disk's storage", template: "lone", pkg: &pkg{Node: "n3", AdditionalDisk: &vmlinev1.Disk{Storage: "san", SizeGb: 1}}, refused: "does not have storage san"},
		{name: "the named node lacks the bridge", template: "lone", pkg: &pkg{Node: "n1", Network: &vmlinev1.Network{Bridge: "vmbr1"}}, refused: "does not have bridge vmbr1"},
		{name: "none of the package's nodes is there", template: "lone", pkg: &pkg{Nodes: []string{"n8", "n9"}}, refused: "no node of the cluster fits: node n1 is none of the package's nodes"},
		{name: "no such template", template: "suse", refused: `the cluster has no template "suse"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv := three()
			if tt.change != nil {
				tt.change(&inv)
			}
			if tt.pkg == nil {
				tt.pkg = &pkg{}
			}
			tt.pkg.Template = tt.template
			got, err := Choose(inv, tt.ours, tt.pkg)
			var no *Impossible
			if tt.refused != "" {
				if !errors.As(err, &no) || !strings.Contains(no.Reason, tt.refused) || no.Next == "" || no.Passing != tt.passing {
					t.Fatalf("got %v, %+v; want a refusal with %q", got, err, tt.refused)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	for want, vmids := range map[string][]int{
		"debian": {9001, 9002}, "9002": {9002}, "9001": {9001, 9005}, "lone": {9003}, "ubuntu": nil, "100": nil, "": nil, "Debian": nil,
	} {
		got, err := Templates(three().Resources, want)
		var no *Impossible
		if vmids == nil && (!errors.As(err, &no) || no.Next == "" || no.Passing) {
			t.Errorf("%q: got %v, %v", want, got, err)
		}
		if len(got) != len(vmids) {
			t.Errorf("%q: got %v, want %v", want, got, vmids)
			continue
		}
		for i := range vmids {
			if got[i].VMID != vmids[i] {
				t.Errorf("%q: got %v, want %v", want, got, vmids)
			}
		}
	}
}

// TestTemplateThatCannotBeSeen: a machine that is listed without a name may be the template.
func TestTemplateThatCannotBeSeen(t *testing.T) {
	for _, tt := range []struct {
		name    string
		machine pve.VM
		passing bool
	}{
		{"on a node that is down", pve.VM{VMID: 9100, Node: "off", Status: "unknown"}, true},
		{"new", pve.VM{VMID: 9100, Node: "n1", Status: "unknown"}, true},
		{"a clone that is being made", pve.VM{VMID: 101, Node: "n1", Status: "unknown", Lock: "clone"}, false},
		{"one of ours", pve.VM{VMID: 101, Node: "off", Status: "unknown", Tags: []string{"vmline"}}, false},
		{"known", pve.VM{VMID: 9100, Node: "n1", Status: "stopped", Name: "other"}, false},
	} {
		inv := three()
		inv.VMs = append(inv.VMs, tt.machine)
		_, err := Choose(inv, nil, &pkg{Template: "alpine"})
		var no *Impossible
		if !errors.As(err, &no) || no.Passing != tt.passing || no.Next == "" || !strings.Contains(no.Reason, `"alpine"`) {
			t.Errorf("%s: %+v", tt.name, err)
		}
	}
}
