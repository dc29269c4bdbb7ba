package plan

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// changing is a VM with the machine of clone whose package becomes another.
func changing(change func(*vmlinev1.Package), before ...func(*vmlinev1.Package)) (*vmlinev1.VM, Options) {
	vm := order(before...)
	vm.Node, vm.Package.Cluster = "pve1", "dc1"
	old := proto.CloneOf(vm.Package)
	change(vm.Package)
	return vm, Options{Before: []*vmlinev1.Package{old}}
}

// TestChange has a row for what each change of a package needs.
func TestChange(t *testing.T) {
	firewalled := func(p *vmlinev1.Package) { p.Firewall = &vmlinev1.Firewall{Enabled: true, IpFilter: true} }
	card := set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"}
	withDisk := set{"scsi1": "s:vm-100-disk-1,serial=vmline-additional,size=50G"}
	fifty := func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 50} }
	for _, tt := range []struct {
		name    string
		cfg     set
		stopped bool
		pending []pve.PendingChange
		before  func(*vmlinev1.Package)
		change  func(*vmlinev1.Package)
		undo    bool
		halted  bool
		want    string // the statuses that are left of the route
		stop    string
		warns   string
	}{
		{name: "nothing", change: func(*vmlinev1.Package) {}},
		{name: "names of the DNS", change: func(p *vmlinev1.Package) { p.Dns = &vmlinev1.Dns{Domain: "a.test"} }},
		{name: "processor of a machine that runs", change: func(p *vmlinev1.Package) { p.Cores = 2 }, want: "stopped set_cpu_ram starting", stop: "cores"},
		{name: "processor of a machine that is stopped", stopped: true, change: func(p *vmlinev1.Package) { p.Cores = 2 }, want: "set_cpu_ram"},
		{name: "processor of a machine that an earlier attempt has stopped", stopped: true, halted: true, change: func(p *vmlinev1.Package) { p.Cores = 2 }, want: "set_cpu_ram starting"},
		{name: "onboot", change: func(p *vmlinev1.Package) { p.Onboot = true }, want: "set_cpu_ram"},
		{name: "name", change: func(p *vmlinev1.Package) { p.Name = "db" }, want: "set_cloudinit"},
		{name: "larger system disk", change: func(p *vmlinev1.Package) { p.SystemDisk.SizeGb = 11 }, want: "set_system_disk_size"},
		{name: "its limits", change: func(p *vmlinev1.Package) { p.SystemDisk.ReadIops = 5 }, want: "set_system_disk_bandwidth"},
		{name: "additional disk", change: fifty, want: "set_created_additional_disk"},
		{name: "larger additional disk with limits", cfg: withDisk, before: fifty, change: func(p *vmlinev1.Package) {
			p.AdditionalDisk.SizeGb, p.AdditionalDisk.WriteMbps = 60, 5
		}, want: "set_additional_disk_size set_additional_disk_bandwidth"},
		{name: "no additional disk any more", cfg: withDisk, before: fifty, change: func(p *vmlinev1.Package) { p.AdditionalDisk = nil }, warns: "scsi1 (50G) stays"},
		{name: "rate", change: func(p *vmlinev1.Package) { p.Network.RateMbps = 5 }, want: "set_network"},
		{name: "model", change: func(p *vmlinev1.Package) { p.Network.Model = "e1000" }, want: "stopped set_network starting", stop: "net0"},
		{name: "VLAN", change: func(p *vmlinev1.Package) { p.Network.Vlan = 5 }, want: "set_ip set_network set_cloudinit ip_released"},
		{name: "another address", change: func(p *vmlinev1.Package) { p.Network.Ipv4Count = 1 }, want: "set_ip set_cloudinit ip_released"},
		{name: "another address behind an IP filter", cfg: card, before: firewalled, change: func(p *vmlinev1.Package) { p.Network.Ipv6Count = 1 }, want: "set_ip set_firewall set_cloudinit ip_released"},
		{name: "a firewall rule", cfg: card, before: firewalled, change: func(p *vmlinev1.Package) {
			p.Firewall.Rules = append(p.Firewall.Rules, &vmlinev1.FirewallRule{Direction: "in", Action: "DROP"})
		}, want: "set_firewall"},
		{name: "a firewall rule less", cfg: card, before: func(p *vmlinev1.Package) {
			firewalled(p)
			p.Firewall.Rules = []*vmlinev1.FirewallRule{{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "22"}}
		}, change: func(p *vmlinev1.Package) { p.Firewall.Rules = nil }, want: "set_firewall", warns: "it stays: in ACCEPT tcp port 22"},
		{name: "a firewall", change: firewalled, want: "set_network set_firewall"},
		{name: "what somebody has left pending", pending: []pve.PendingChange{{Key: "cores", Now: "2", Then: "1"}}, change: func(*vmlinev1.Package) {}, want: "stopped starting", stop: "cores"},
		{name: "what is pending and not ours", pending: []pve.PendingChange{{Key: "vga", Then: "std"}}, change: func(*vmlinev1.Package) {}},
		{name: "a growth taken back", cfg: set{"scsi0": "s:vm-100-disk-0,size=20G"}, undo: true, change: func(*vmlinev1.Package) {}, want: "set_ip set_cloudinit ip_released", warns: "stays as it is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm, o := changing(tt.change, func(p *vmlinev1.Package) {
				if tt.before != nil {
					tt.before(p)
				}
			})
			d, err := Change(Machine{Config: clone(tt.cfg), Running: !tt.stopped, Pending: tt.pending, Halted: tt.halted}, vm, o, tt.undo)
			if err != nil {
				t.Fatal(err)
			}
			row, _ := chain.RouteOf(vmlinev1.Operation_KIND_CHANGE_PACKAGE)
			var left []string
			for _, s := range d.Route(row.Statuses, 2)[2:] {
				left = append(left, chain.Name(s))
			}
			if want := append(strings.Fields(tt.want), "ready"); !slices.Equal(left, want) {
				t.Errorf("the route is %q, want %q", left, want)
			}
			if !slices.Equal(d.Stop, strings.Fields(tt.stop)) || !strings.Contains(strings.Join(d.Warnings, "\n"), tt.warns) || (tt.warns == "") != (len(d.Warnings) == 0) {
				t.Errorf("it stops for %q and warns %q", d.Stop, d.Warnings)
			}
		})
	}
}

// TestChangeRefuses what would make another machine of it.
func TestChangeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    set
		change func(*vmlinev1.Package)
		want   string
	}{
		{"another cluster", nil, func(p *vmlinev1.Package) { p.Cluster = "dc2" }, "cluster"},
		{"another node", nil, func(p *vmlinev1.Package) { p.Node = "pve2" }, "Migrate"},
		{"other nodes", nil, func(p *vmlinev1.Package) { p.Nodes = []string{"pve2", "pve3"} }, "pve2, pve3"},
		{"a smaller system disk", nil, func(p *vmlinev1.Package) { p.SystemDisk.SizeGb = 5 }, "shrink"},
		{"a smaller additional disk", set{"scsi1": "s:v,serial=vmline-additional,size=50G"}, func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 49} }, "shrink"},
		{"another storage", nil, func(p *vmlinev1.Package) { p.SystemDisk.Storage = "fast" }, "storage"},
		{"another storage of the additional disk", set{"scsi1": "s:v,serial=vmline-additional,size=50G"}, func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "fast", SizeGb: 50} }, "storage"},
		{"no disk", set{"scsi0": ""}, func(*vmlinev1.Package) {}, "no disk to boot from"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm, o := changing(tt.change)
			_, err := Change(Machine{Config: clone(tt.cfg), Running: true}, vm, o, false)
			var no *Impossible
			if !errors.As(err, &no) || no.Next == "" || !strings.Contains(err.Error()+no.Next, tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
	vm, o := changing(func(p *vmlinev1.Package) { p.SystemDisk.Storage, p.Node, p.Nodes = "shared1", "pve1", []string{"pve1"} })
	if _, err := Change(Machine{Config: clone()}, vm, o, false); err != nil {
		t.Errorf("what it is already is refused: %v", err)
	}
}

// TestPartsAreAlone: each part's plan sets only keys of its own, and together they set what all set.
func TestPartsAreAlone(t *testing.T) {
	vm := order(func(p *vmlinev1.Package) {
		p.Name, p.Cores, p.MemoryMib, p.SystemDisk = "db", 4, 4096, &vmlinev1.Disk{SizeGb: 20, ReadMbps: 5}
		p.AdditionalDisk, p.Network.Vlan, p.CloudInit.User = &vmlinev1.Disk{Storage: "s", SizeGb: 5}, 7, "ann"
	})
	together, grow := set{}, map[string]int64{}
	for status, part := range partOf {
		p, err := Make(clone(), vm, Options{Parts: Of(status)})
		if err != nil || p.Parts != part {
			t.Fatal(p.Parts, err)
		}
		for key := range p.Change.Set {
			if _, twice := together[key]; twice {
				t.Errorf("%s is set by two parts", key)
			}
		}
		maps.Copy(together, p.Change.Set)
		maps.Copy(grow, p.Grow)
	}
	all := mustMake(t, clone(), vm)
	if !maps.Equal(together, all.Change.Set) || !maps.Equal(grow, all.Grow) || len(all.Grow) != 1 {
		t.Errorf("the parts set %q and grow %v, all set %q and grow %v", together, grow, all.Change.Set, all.Grow)
	}
}

// TestWhatThePackageBeforeHadSet is taken away; what somebody else has set stays.
func TestWhatThePackageBeforeHadSet(t *testing.T) {
	before := &vmlinev1.Package{CloudInit: &vmlinev1.CloudInit{User: "ann", SearchDomain: "a.test", DnsServers: []string{"192.0.2.1"}, SshKeys: []string{"ssh-rsa A"}}}
	givenUp := &vmlinev1.Package{CloudInit: &vmlinev1.CloudInit{User: "eve", DnsServers: []string{"192.0.2.3"}, SshKeys: []string{"ssh-rsa E"}}}
	for _, tt := range []struct {
		name string
		cfg  set
		want []string
	}{
		{"as it was set", set{"ciuser": "ann", "searchdomain": "a.test", "nameserver": "192.0.2.1", "sshkeys": "ssh-rsa%20A%0A"}, []string{"ciuser", "nameserver", "searchdomain", "sshkeys"}},
		{"as a change that was given up had set it", set{"ciuser": "eve", "searchdomain": "a.test", "nameserver": "192.0.2.3", "sshkeys": "ssh-rsa%20E%0A"}, []string{"ciuser", "nameserver", "searchdomain", "sshkeys"}},
		{"changed by a person", set{"ciuser": "bob", "searchdomain": "b.test", "nameserver": "192.0.2.2", "sshkeys": "ssh-rsa%20B"}, nil},
		{"not there", nil, nil},
	} {
		p, err := Make(clone(tt.cfg), order(), Options{Before: []*vmlinev1.Package{before, givenUp}})
		if slices.Sort(p.Change.Delete); err != nil || !slices.Equal(p.Change.Delete, tt.want) || len(p.Change.Set) > 0 {
			t.Errorf("%s: deletes %q and sets %q with %v, want %q", tt.name, p.Change.Delete, p.Change.Set, err, tt.want)
		}
	}
}

// TestLeavingAddresses are given to the guest no more.
func TestLeavingAddresses(t *testing.T) {
	vm := order()
	vm.Addresses = []*vmlinev1.Address{{Address: "192.0.2.10", PrefixLength: 24, Leaving: true}, {Address: "192.0.2.11", PrefixLength: 24}}
	if got := mustMake(t, clone(set{"ipconfig0": "ip=192.0.2.10/24"}), vm).Change.Set; got["ipconfig0"] != "ip=192.0.2.11/24" {
		t.Errorf("sets %q", got)
	}
	vm.Addresses = vm.Addresses[:1]
	if got := mustMake(t, clone(set{"ipconfig0": "ip=192.0.2.10/24"}), vm).Change; !slices.Equal(got.Delete, []string{"ipconfig0"}) {
		t.Errorf("the last address stays: %v", got)
	}
	if got := mustMake(t, clone(set{"ipconfig0": "ip=192.0.2.99/24"}), vm).Change; len(got.Delete) > 0 {
		t.Errorf("a person's address is taken away: %v", got)
	}
}

// TestTheMACOfTheMachineBefore is written into the card of the one that takes its place.
func TestTheMACOfTheMachineBefore(t *testing.T) {
	const mac = "BC:24:11:00:00:99"
	for _, tt := range []struct {
		name string
		card string
		pkg  func(*vmlinev1.Package)
		want string
	}{
		{"a new one", "virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=1", func(*vmlinev1.Package) {}, "virtio=" + mac + ",bridge=vmbr0,mtu=1"},
		{"the same already", "virtio=" + mac + ",bridge=vmbr0", func(*vmlinev1.Package) {}, ""},
		{"without a network in the package", "e1000=BC:24:11:00:00:01,bridge=vmbr7", func(p *vmlinev1.Package) { p.Network = nil }, "e1000=" + mac + ",bridge=vmbr7"},
		{"no card", "", func(*vmlinev1.Package) {}, "virtio=" + mac + ",bridge=vmbr0"},
	} {
		p, err := Make(clone(set{"net0": tt.card}), order(tt.pkg), Options{MAC: mac})
		if err != nil || p.Change.Set["net0"] != tt.want {
			t.Errorf("%s: sets %q with %v, want %q", tt.name, p.Change.Set["net0"], err, tt.want)
		}
	}
}
