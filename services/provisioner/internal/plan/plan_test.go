package plan

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// clone is the configuration of a machine that was just cloned, as Proxmox shows it.
func clone(change ...map[string]string) pve.VMConfig {
	values := map[string]string{
		"name": "web", "memory": "1024", "cores": "1", "tags": "vmline", "boot": "order=scsi0;net0", "scsihw": "virtio-scsi-single",
		"scsi0": "shared1:9000/base-9000-disk-0.raw/100/vm-100-disk-0.qcow2,iothread=1,size=10G",
		"ide2":  "shared1:100/vm-100-cloudinit.qcow2,media=cdrom",
		"net0":  "virtio=BC:24:11:00:00:01,bridge=vmbr0",
	}
	for _, c := range change {
		for k, v := range c {
			if v == "" {
				delete(values, k)
				continue
			}
			values[k] = v
		}
	}
	return pve.VMConfig{Values: values, Digest: "d1"}
}

type set = map[string]string

// order is the package for which clone needs no change.
func order(change ...func(*vmlinev1.Package)) *vmlinev1.VM {
	p := &vmlinev1.Package{
		Name: "web", Cores: 1, MemoryMib: 1024, SystemDisk: &vmlinev1.Disk{SizeGb: 10}, AdditionalDisk: &vmlinev1.Disk{},
		Network: &vmlinev1.Network{Bridge: "vmbr0"}, Firewall: &vmlinev1.Firewall{}, CloudInit: &vmlinev1.CloudInit{},
	}
	for _, c := range change {
		c(p)
	}
	return &vmlinev1.VM{Ref: "w1-7", Uid: "u1", Package: p}
}

func mustMake(t *testing.T, cfg pve.VMConfig, vm *vmlinev1.VM) Plan {
	t.Helper()
	p, err := Make(cfg, vm, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryKey has a row for every setting. A row that wants nothing says that no key is sent.
func TestEveryKey(t *testing.T) {
	const disk = "shared1:9000/base-9000-disk-0.raw/100/vm-100-disk-0.qcow2"
	for _, tt := range []struct {
		name string
		cfg  set
		pkg  func(*vmlinev1.Package)
		want set
	}{
		{name: "nothing to do"},
		{name: "name", pkg: func(p *vmlinev1.Package) { p.Name = "db" }, want: set{"name": "db"}},
		{name: "tag added to the template's", cfg: set{"tags": "linux;prod"}, want: set{"tags": "linux;prod;vmline"}},
		{name: "tag where there is none", cfg: set{"tags": ""}, want: set{"tags": "vmline"}},

		{name: "cores", pkg: func(p *vmlinev1.Package) { p.Cores = 4 }, want: set{"cores": "4"}},
		{name: "cores where the template says none", cfg: set{"cores": ""}, want: set{"cores": "1"}},
		{name: "cores are of the whole machine", cfg: set{"sockets": "2"}, want: set{"sockets": "1"}},
		{name: "one socket is left alone", cfg: set{"sockets": "1"}},
		{name: "memory in MiB", pkg: func(p *vmlinev1.Package) { p.MemoryMib = 6144 }, want: set{"memory": "6144"}},
		{name: "a balloon that is larger than the memory", cfg: set{"balloon": "2048"}, want: set{"balloon": "1024"}},
		{name: "a balloon that fits", cfg: set{"balloon": "512"}},
		{name: "a balloon that is off", cfg: set{"balloon": "0"}},
		{name: "CPU type", pkg: func(p *vmlinev1.Package) { p.CpuType = "host" }, want: set{"cpu": "host"}},
		{name: "CPU type keeps its flags", cfg: set{"cpu": "kvm64,flags=+aes;-pcid"}, pkg: func(p *vmlinev1.Package) { p.CpuType = "host" }, want: set{"cpu": "host,flags=+aes;-pcid"}},
		{name: "CPU type in its long form", cfg: set{"cpu": "cputype=host,flags=+aes"}, pkg: func(p *vmlinev1.Package) { p.CpuType = "host" }},
		{name: "CPU type of the template", cfg: set{"cpu": "x86-64-v3"}},
		{name: "onboot", pkg: func(p *vmlinev1.Package) { p.Onboot = true }, want: set{"onboot": "1"}},
		{name: "onboot taken away", cfg: set{"onboot": "1"}, want: set{"onboot": "0"}},
		{name: "onboot off is off", cfg: set{"onboot": "0"}},

		{
			name: "limits in MB/s and operations", pkg: func(p *vmlinev1.Package) {
				p.SystemDisk = &vmlinev1.Disk{SizeGb: 10, ReadMbps: 300, WriteMbps: 200, ReadIops: 5000, WriteIops: 4000}
			},
			want: set{"scsi0": disk + ",iothread=1,size=10G,mbps_rd=300,mbps_wr=200,iops_rd=5000,iops_wr=4000"},
		},
		{name: "no limit is no key", cfg: set{"scsi0": disk + ",iops_rd=10,iothread=1,mbps_rd=1,mbps_wr=1,size=10G"}, want: set{"scsi0": disk + ",iothread=1,size=10G"}},
		{
			name: "a limit for both directions gives way", cfg: set{"scsi0": disk + ",mbps=50,iops=70,size=10G"},
			pkg:  func(p *vmlinev1.Package) { p.SystemDisk.ReadMbps = 50 },
			want: set{"scsi0": disk + ",size=10G,mbps_rd=50"},
		},
		{
			name: "options that are not ours stay", cfg: set{"scsi0": disk + ",cache=writeback,discard=on,mbps_rd_max=90,serial=abc,size=10G,ssd=1"},
			pkg:  func(p *vmlinev1.Package) { p.SystemDisk.ReadMbps = 50 },
			want: set{"scsi0": disk + ",cache=writeback,discard=on,mbps_rd_max=90,serial=abc,size=10G,ssd=1,mbps_rd=50"},
		},
		{name: "limits that are there in another order", cfg: set{"scsi0": disk + ",mbps_wr=2,mbps_rd=1,size=10G"}, pkg: func(p *vmlinev1.Package) {
			p.SystemDisk.ReadMbps, p.SystemDisk.WriteMbps = 1, 2
		}},
		{
			name: "the system disk is the first of the boot order", cfg: set{"virtio0": "local-lvm:vm-100-disk-1,size=10G", "boot": "order=net0;virtio0;scsi0"},
			pkg:  func(p *vmlinev1.Package) { p.SystemDisk.ReadMbps = 5 },
			want: set{"virtio0": "local-lvm:vm-100-disk-1,size=10G,mbps_rd=5"},
		},

		{
			name: "additional disk", pkg: func(p *vmlinev1.Package) {
				p.AdditionalDisk = &vmlinev1.Disk{Storage: "local-lvm", SizeGb: 100, WriteMbps: 60}
			},
			want: set{"scsi1": "local-lvm:100,serial=vmline-additional,mbps_wr=60"},
		},
		{
			name: "additional disk beside the template's own second disk", cfg: set{"scsi1": "shared1:100/vm-100-disk-1.raw,size=5G"},
			pkg:  func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 1} },
			want: set{"scsi2": "s:1,serial=vmline-additional"},
		},
		{
			name: "additional disk found again by its serial, wherever it is", cfg: set{"virtio7": "local-lvm:vm-100-disk-9,serial=vmline-additional,size=100G"},
			pkg: func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "local-lvm", SizeGb: 100} },
		},
		{
			name: "limits of an additional disk that is there", cfg: set{"scsi3": "local-lvm:vm-100-disk-9,serial=vmline-additional,size=100G"},
			pkg: func(p *vmlinev1.Package) {
				p.AdditionalDisk = &vmlinev1.Disk{Storage: "local-lvm", SizeGb: 100, ReadIops: 7}
			},
			want: set{"scsi3": "local-lvm:vm-100-disk-9,serial=vmline-additional,size=100G,iops_rd=7"},
		},
		{name: "no additional disk leaves the one that is there", cfg: set{"scsi3": "local-lvm:vm-100-disk-9,iops_rd=7,serial=vmline-additional,size=100G"}},
		{
			name: "a disk whose name bears the serial is another", cfg: set{"scsi1": "s:vm-100-vmline-additional,size=1G"},
			pkg:  func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 1} },
			want: set{"scsi2": "s:1,serial=vmline-additional"},
		},
		{
			name: "additional disk and cloud-init drive want the same slot",
			cfg:  set{"scsi0": "", "ide2": "", "ide0": "s:vm-100-disk-0,size=10G", "ide1": "s:vm-100-disk-1,size=1G", "boot": "order=ide0"},
			pkg:  func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 1} },
			want: set{"ide2": "s:1,serial=vmline-additional", "ide3": "s:cloudinit"},
		},

		{
			name: "the additional disk never becomes the one to boot from",
			cfg:  set{"scsi0": "", "scsi1": "s:vm-100-disk-1,size=10G", "boot": "order=scsi0;scsi2;scsi1"},
			pkg:  func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 1} },
			want: set{"scsi3": "s:1,serial=vmline-additional"},
		},

		{name: "VLAN", pkg: func(p *vmlinev1.Package) { p.Network.Vlan = 4094 }, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=4094"}},
		{name: "no VLAN is no key", cfg: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7"}, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}},
		{name: "rate in MB/s with a fraction", pkg: func(p *vmlinev1.Package) { p.Network.RateMbps = 12.5 }, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=12.5"}},
		{name: "a small rate", pkg: func(p *vmlinev1.Package) { p.Network.RateMbps = 0.000001 }, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=0.000001"}},
		{name: "no rate is no key, not 1 MB/s", cfg: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=1"}, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}},
		{name: "firewall of the card", pkg: func(p *vmlinev1.Package) { p.Firewall.Enabled = true }, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"}},
		{name: "firewall taken off the card", cfg: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"}, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}},
		{
			name: "another bridge and model keep MAC and options", cfg: set{"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0,mtu=1,queues=4"},
			pkg:  func(p *vmlinev1.Package) { p.Network.Bridge, p.Network.Model = "vmbr9", "vmxnet3" },
			want: set{"net0": "vmxnet3=BC:24:11:00:00:01,bridge=vmbr9,mtu=1,queues=4"},
		},
		{name: "a package without a model means virtio", cfg: set{"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0"}, want: set{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}},
		{name: "the card's long form is not rewritten", cfg: set{"net0": "model=virtio,macaddr=BC:24:11:00:00:01,bridge=vmbr0"}},
		{name: "no card in the template", cfg: set{"net0": ""}, want: set{"net0": "virtio,bridge=vmbr0"}},
		{name: "no network in the package", cfg: set{"net0": "e1000=BC:24:11:00:00:01,bridge=vmbr3"}, pkg: func(p *vmlinev1.Package) { p.Network = nil }},

		{
			name: "account, search domain, DNS servers of the package",
			pkg: func(p *vmlinev1.Package) {
				p.CloudInit = &vmlinev1.CloudInit{User: "ann", SearchDomain: "example.net", DnsServers: []string{"192.0.2.1", "2001:db8::1"}}
			},
			want: set{"ciuser": "ann", "searchdomain": "example.net", "nameserver": "192.0.2.1 2001:db8::1"},
		},
		{name: "the template's account stays where the package has none", cfg: set{"ciuser": "debian", "searchdomain": "a.test", "nameserver": "192.0.2.9"}},
		{name: "no cloud-init drive", cfg: set{"ide2": ""}, want: set{"ide2": "shared1:cloudinit"}},
		{name: "a CD in the template is not the cloud-init drive", cfg: set{"ide2": "none,media=cdrom"}, want: set{"ide0": "shared1:cloudinit"}},
		{name: "cloud-init drive on another bus", cfg: set{"ide2": "", "scsi30": "shared1:100/vm-100-cloudinit.qcow2,media=cdrom"}},
		{
			name: "no free ide slot for the cloud-init drive",
			cfg:  set{"ide0": "none,media=cdrom", "ide1": "none,media=cdrom", "ide2": "none,media=cdrom", "ide3": "none,media=cdrom"},
			want: set{"scsi1": "shared1:cloudinit"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm := order()
			if tt.pkg != nil {
				tt.pkg(vm.GetPackage())
			}
			got := mustMake(t, clone(tt.cfg), vm)
			if want := tt.want; !maps.Equal(got.Change.Set, want) {
				t.Errorf("sets\n%q, want\n%q", got.Change.Set, want)
			}
			if got.Change.Digest != "d1" || len(got.Change.Delete) > 0 {
				t.Errorf("digest %q, deletes %q", got.Change.Digest, got.Change.Delete)
			}
		})
	}
}

func TestDiskSizes(t *testing.T) {
	const grown = "virtio3"
	with := func(size string) set {
		return set{grown: "s:vm-100-disk-9,serial=vmline-additional" + size}
	}
	for _, tt := range []struct {
		name       string
		system     uint32
		additional uint32
		cfg        set
		want       map[string]int64
		refused    string
	}{
		{name: "as it is", system: 10},
		{name: "0 keeps the template's", system: 0},
		{name: "grow to GB as Proxmox counts them", system: 40, want: map[string]int64{"scsi0": 40}},
		{name: "a size in MiB", system: 3, cfg: set{"scsi0": "s:vm-100-disk-0,size=2252M"}, want: map[string]int64{"scsi0": 3}},
		{name: "a size in MiB that is full GB", system: 2, cfg: set{"scsi0": "s:vm-100-disk-0,size=2048M"}},
		{name: "a size in TiB", system: 1024, cfg: set{"scsi0": "s:vm-100-disk-0,size=1T"}},
		{name: "no size in the configuration", system: 10, cfg: set{"scsi0": "s:vm-100-disk-0"}, want: map[string]int64{"scsi0": 10}},
		{name: "shrink", system: 9, refused: "Sell at least 10 GB"},
		{name: "shrink by less than a GB", system: 2, cfg: set{"scsi0": "s:vm-100-disk-0,size=2252M"}, refused: "Sell at least 3 GB"},
		{name: "additional disk grows", system: 10, additional: 60, cfg: with(",size=50G"), want: map[string]int64{grown: 60}},
		{name: "both grow", system: 11, additional: 60, cfg: with(",size=50G"), want: map[string]int64{grown: 60, "scsi0": 11}},
		{name: "additional disk would shrink", system: 10, additional: 40, cfg: with(",size=50G"), refused: grown + " has 50 GB"},
		{name: "a new additional disk has its size from the start", system: 10, additional: 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Make(clone(tt.cfg), order(func(p *vmlinev1.Package) {
				p.SystemDisk.SizeGb = tt.system
				p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: tt.additional}
			}), Options{})
			var no *Impossible
			if tt.refused != "" {
				if !errors.As(err, &no) || !strings.Contains(no.Reason+" "+no.Next, tt.refused) {
					t.Fatalf("got %v, want a refusal with %q", err, tt.refused)
				}
				return
			}
			if err != nil || !maps.Equal(got.Grow, tt.want) {
				t.Fatalf("grows %v with %v, want %v", got.Grow, err, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	v4 := &vmlinev1.Address{Address: "192.0.2.10", PrefixLength: 24, Gateway: "192.0.2.1", DnsServers: []string{"192.0.2.53", "192.0.2.54"}}
	second := &vmlinev1.Address{Address: "198.51.100.7", PrefixLength: 25, Gateway: "198.51.100.1", DnsServers: []string{"192.0.2.53"}}
	v6 := &vmlinev1.Address{Address: "2001:db8::a", PrefixLength: 64, Gateway: "2001:db8::1", DnsServers: []string{"2001:db8::53"}}
	bare := &vmlinev1.Address{Address: "192.0.2.11", PrefixLength: 32}
	for _, tt := range []struct {
		name      string
		addresses []*vmlinev1.Address
		own       []string
		want      set
	}{
		{"IPv4", []*vmlinev1.Address{v4}, nil, set{"ipconfig0": "ip=192.0.2.10/24,gw=192.0.2.1", "nameserver": "192.0.2.53 192.0.2.54"}},
		{"IPv6 alone", []*vmlinev1.Address{v6}, nil, set{"ipconfig0": "ip6=2001:db8::a/64,gw6=2001:db8::1", "nameserver": "2001:db8::53"}},
		{"both, and a second one that Proxmox has no place for", []*vmlinev1.Address{v4, second, v6}, nil, set{
			"ipconfig0":  "ip=192.0.2.10/24,gw=192.0.2.1,ip6=2001:db8::a/64,gw6=2001:db8::1",
			"nameserver": "192.0.2.53 192.0.2.54 2001:db8::53",
		}},
		{"without gateway and DNS servers", []*vmlinev1.Address{bare}, nil, set{"ipconfig0": "ip=192.0.2.11/32"}},
		{"the package's DNS servers come first", []*vmlinev1.Address{v4}, []string{"203.0.113.1"}, set{"ipconfig0": "ip=192.0.2.10/24,gw=192.0.2.1", "nameserver": "203.0.113.1"}},
		{"none", nil, nil, set{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm := order(func(p *vmlinev1.Package) { p.CloudInit.DnsServers = tt.own })
			vm.Addresses = tt.addresses
			if got := mustMake(t, clone(), vm); !maps.Equal(got.Change.Set, tt.want) {
				t.Fatalf("sets %q, want %q", got.Change.Set, tt.want)
			}
		})
	}
}

func TestSSHKeys(t *testing.T) {
	keys := []string{"ssh-ed25519 AAAA+/= ann@a.test", "ssh-rsa BBBB"}
	const encoded = "ssh-ed25519%20AAAA%2B%2F%3D%20ann%40a.test%0Assh-rsa%20BBBB"
	vm := order(func(p *vmlinev1.Package) { p.CloudInit.SshKeys = keys })
	if got := mustMake(t, clone(), vm).Change.Set; !maps.Equal(got, set{"sshkeys": encoded}) {
		t.Errorf("sets %q", got)
	}
	for _, there := range []string{encoded, encoded + "%0A", strings.ReplaceAll(encoded, "%40", "@")} {
		if got := mustMake(t, clone(set{"sshkeys": there}), vm).Change.Set; len(got) > 0 {
			t.Errorf("sets %q over %q", got, there)
		}
	}
	if got := mustMake(t, clone(set{"sshkeys": "%zz"}), vm).Change.Set; got["sshkeys"] != encoded {
		t.Errorf("keys that cannot be read stay: %q", got)
	}
	if got := mustMake(t, clone(set{"sshkeys": encoded}), order()).Change.Set; len(got) > 0 {
		t.Errorf("a package without keys sets %q", got)
	}
}

func TestPassword(t *testing.T) {
	for _, tt := range []struct {
		name     string
		there    string
		password string
		fresh    bool
		want     set
	}{
		{"new machine", "", "secret", true, set{"cipassword": "secret"}},
		{"the template's gives way", "**********", "secret", true, set{"cipassword": "secret"}},
		{"ours stays", "**********", "secret", false, set{}},
		{"lost after a crash", "", "secret", false, set{"cipassword": "secret"}},
		{"none ordered", "**********", "", true, set{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Make(clone(set{"cipassword": tt.there}), order(), Options{Password: tt.password, Fresh: tt.fresh})
			if err != nil || !maps.Equal(got.Change.Set, tt.want) {
				t.Fatalf("sets %q with %v, want %q", got.Change.Set, err, tt.want)
			}
		})
	}
}

// TestWhatCannotBe shows that a machine is refused in words before anything is changed.
func TestWhatCannotBe(t *testing.T) {
	full := set{}
	for key := range diskKeys() {
		if busOf(key) == "scsi" || busOf(key) == "ide" {
			full[key] = "s:vm-100-disk-0,size=10G"
		}
	}
	additional := func(p *vmlinev1.Package) { p.AdditionalDisk = &vmlinev1.Disk{Storage: "s", SizeGb: 1} }
	for _, tt := range []struct {
		name string
		cfg  set
		pkg  func(*vmlinev1.Package)
		want string
	}{
		{"no disk", set{"scsi0": ""}, nil, "no disk to boot from"},
		{"no slot for the additional disk", full, additional, "no free scsi slot"},
		{"no slot for the cloud-init drive", full, nil, "no free slot for a cloud-init drive"},
		{"system disk that cannot be read", set{"scsi0": "s:a,size=1G,size=2G"}, nil, "scsi0"},
		{"card that cannot be read", set{"net0": "token-ring=BC:24:11:00:00:01"}, nil, "network card"},
		{"additional disk that cannot be read", set{"scsi1": "s:a,serial=vmline-additional,size=1G,size=2G"}, additional, "scsi1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Make(clone(tt.cfg), order(func(p *vmlinev1.Package) {
				if tt.pkg != nil {
					tt.pkg(p)
				}
			}), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(got.Change.Set) > 0 {
				t.Fatalf("got %q with %v, want an error with %q", got.Change.Set, err, tt.want)
			}
		})
	}
}
