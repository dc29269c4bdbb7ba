package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// ourOptions are the options of disks and of the card that a package decides.
var ourOptions = []string{
	"mbps", "mbps_rd", "mbps_wr", "iops", "iops_rd", "iops_wr", "size",
	"bridge", "tag", "rate", "firewall",
}

// TestAPlanIsDoneOnce applies a plan as Proxmox would and plans again: nothing is left to do, and what
// the package does not speak of is as it was.
func TestAPlanIsDoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, vm := anyConfig(t), anyVM(t)
		first, err := Make(cfg, vm, Options{Password: rapid.SampledFrom([]string{"", "secret"}).Draw(t, "password"), Fresh: rapid.Bool().Draw(t, "fresh")})
		var no *Impossible
		if errors.As(err, &no) {
			t.Skip(no.Reason)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkDone(t, cfg, vm, first)
	})
}

type failer interface{ Fatalf(string, ...any) }

func checkDone(t failer, cfg pve.VMConfig, vm *vmlinev1.VM, first Plan) {
	after, err := apply(cfg, first)
	if err != nil {
		t.Fatalf("Proxmox would not do it: %v", err)
	}
	again, err := Make(after, vm, Options{})
	if err != nil || len(again.Change.Set) > 0 || len(again.Grow) > 0 {
		t.Fatalf("a second plan sets %q and grows %v (%v) after the first set %q and grew %v on %q",
			again.Change.Set, again.Grow, err, first.Change.Set, first.Grow, cfg.Values)
	}
	for key, before := range cfg.Values {
		checkKept(t, key, before, after.Values[key])
	}
}

// checkKept holds a key against what it was before.
func checkKept(t failer, key, before, after string) {
	switch {
	case before == after, slices.Contains([]string{
		"name", "cores", "memory", "sockets", "balloon", "onboot", "ciuser", "cipassword", "sshkeys", "ipconfig0", "nameserver", "searchdomain",
	}, key):
	case key == "tags":
		for _, tag := range (pve.VMConfig{Values: set{"tags": before}}).Tags() {
			if !slices.Contains(strings.Split(after, ";"), strings.ToLower(tag)) {
				t.Fatalf("the tag %q is lost: %q", tag, after)
			}
		}
	case key == "cpu":
		_, flags, _ := strings.Cut(before, ",")
		if _, now, _ := strings.Cut(after, ","); now != flags {
			t.Fatalf("the CPU's flags were %q and are %q", flags, now)
		}
	case key == "net0":
		was, _ := pve.ParseNIC(before)
		is, _ := pve.ParseNIC(after)
		if was.MAC != "" && was.MAC != is.MAC {
			t.Fatalf("the MAC was %q and is %q", was.MAC, is.MAC)
		}
		checkOptions(t, key, was.Options, is.Options)
	case slices.Contains(slices.Collect(diskKeys()), key):
		was, _ := pve.ParseDrive(before)
		is, _ := pve.ParseDrive(after)
		if was.Volume != is.Volume {
			t.Fatalf("%s was %q and is %q", key, was.Volume, is.Volume)
		}
		checkOptions(t, key, was.Options, is.Options)
	default:
		t.Fatalf("%s is not ours; it was %q and is %q", key, before, after)
	}
}

func checkOptions(t failer, key string, was, is pve.Options) {
	for _, options := range []pve.Options{was, is} {
		for _, o := range options {
			if slices.Contains(ourOptions, o.Key) {
				continue
			}
			before, had := was.Get(o.Key)
			if now, has := is.Get(o.Key); has != had || now != before {
				t.Fatalf("%s: the option %s was %q and is %q", key, o.Key, before, now)
			}
		}
	}
}

func anyConfig(t *rapid.T) pve.VMConfig {
	pick := func(key string, values ...string) string { return rapid.SampledFrom(values).Draw(t, key) }
	values := set{
		"boot": pick("boot", "order=scsi0;net0", "order=virtio0", "", "c"), "bootdisk": pick("bootdisk", "", "scsi0"),
		"memory": pick("memory", "512", "2048"), "balloon": pick("balloon", "", "0", "512", "99999"),
		"cores": pick("cores", "", "1", "4"), "sockets": pick("sockets", "", "1", "2"),
		"cpu": pick("cpu", "", "host", "kvm64,flags=+aes", "cputype=host,hidden=1"), "onboot": pick("onboot", "", "0", "1"),
		"tags": pick("tags", "", "a", "a;vmline", "vmline;Zoo"), "name": "tmpl", "agent": "1", "description": "notes", "unused0": "s:old",
		"net0": pick("net0", "", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "e1000=BC:24:11:00:00:01,bridge=v9,mtu=1,queues=2,rate=1,tag=3", "model=virtio,macaddr=BC:24:11:00:00:01"),
		"net1": "virtio=BC:24:11:00:00:02,bridge=vmbr7", "ide2": pick("ide2", "", "none,media=cdrom", "s:vm-100-cloudinit,media=cdrom"),
		"ciuser": pick("ciuser", "", "debian"), "cipassword": pick("cipassword", "", "**********"), "nameserver": pick("nameserver", "", "192.0.2.9"),
		"ipconfig0": pick("ipconfig0", "", "ip=dhcp"), "sshkeys": pick("sshkeys", "", "ssh-rsa%20A%0A"),
	}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"scsi0", "scsi1", "virtio0", "sata0", "ide0"}), 1, 4, rapid.ID).Draw(t, "disks") {
		options := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
			"iothread=1", "discard=on", "mbps=9", "mbps_rd=5", "mbps_wr_max=7", "iops_rd=3", "iops=8", "cache=writeback", "x_new=1",
		}), 0, 5, rapid.ID).Draw(t, key)
		serial := pick(key+" serial", "", "", ",serial=vmline-additional", ",serial=other")
		values[key] = strings.Join(append([]string{"s:vm-100-" + key}, options...), ",") + serial + pick(key+" size", ",size=2G", ",size=2252M", ",size=1T", "")
	}
	for key, value := range values {
		if value == "" {
			delete(values, key)
		}
	}
	return pve.VMConfig{Values: values, Digest: "d"}
}

func anyVM(t *rapid.T) *vmlinev1.VM {
	limit := rapid.SampledFrom([]uint32{0, 0, 5, 900})
	disk := func(name string) *vmlinev1.Disk {
		return &vmlinev1.Disk{
			Storage: "new", SizeGb: rapid.SampledFrom([]uint32{0, 2, 3, 100, 4096}).Draw(t, name+" size"),
			ReadMbps: limit.Draw(t, name+" read"), WriteMbps: limit.Draw(t, name+" write"),
			ReadIops: limit.Draw(t, name+" read operations"), WriteIops: limit.Draw(t, name+" write operations"),
		}
	}
	vm := &vmlinev1.VM{Package: &vmlinev1.Package{
		Name: "web", Cores: rapid.Uint32Range(1, 8).Draw(t, "package cores"), MemoryMib: rapid.Uint32Range(16, 4096).Draw(t, "package memory"),
		CpuType: rapid.SampledFrom([]string{"", "host", "x86-64-v3"}).Draw(t, "package cpu"), Onboot: rapid.Bool().Draw(t, "package onboot"),
		SystemDisk: disk("system"), AdditionalDisk: disk("additional"),
		Network: &vmlinev1.Network{
			Bridge: rapid.SampledFrom([]string{"", "vmbr0"}).Draw(t, "bridge"), Model: rapid.SampledFrom([]string{"", "virtio", "vmxnet3"}).Draw(t, "model"),
			Vlan: rapid.SampledFrom([]uint32{0, 1, 4094}).Draw(t, "vlan"), RateMbps: rapid.SampledFrom([]float64{0, 0.5, 125, 1e6}).Draw(t, "rate"),
		},
		Firewall: &vmlinev1.Firewall{Enabled: rapid.Bool().Draw(t, "firewall")},
		CloudInit: &vmlinev1.CloudInit{
			User: rapid.SampledFrom([]string{"", "ann"}).Draw(t, "user"), SearchDomain: rapid.SampledFrom([]string{"", "a.test"}).Draw(t, "domain"),
			SshKeys: rapid.SliceOfN(rapid.SampledFrom([]string{"ssh-rsa A", "ssh-ed25519 B+/= c@d"}), 0, 2).Draw(t, "keys"),
		},
	}}
	for i := range rapid.IntRange(0, 3).Draw(t, "addresses") {
		vm.Addresses = append(vm.Addresses, &vmlinev1.Address{Address: fmt.Sprintf("192.0.2.%d", i+2), PrefixLength: 24, Gateway: "192.0.2.1", DnsServers: []string{"192.0.2.53"}})
	}
	return vm
}

// FuzzConfig plans on whatever a person may have written into a configuration.
func FuzzConfig(f *testing.F) {
	f.Add("s:vm-100-disk-0,size=2G", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "order=scsi0", "a;b", "host,flags=+aes", "ssh-rsa%20A")
	f.Add("file=s:a=b,size=1T,iops=1", "model=e1000,macaddr=x", "c", "", "cputype=host", "%")
	f.Add("/dev/sda", "virtio", "order=net0;scsi0", ";;", ",", "+")
	f.Fuzz(func(t *testing.T, disk, card, boot, tags, cpu, keys string) {
		cfg := pve.VMConfig{Digest: "d", Values: set{"scsi0": disk, "net0": card, "boot": boot, "tags": tags, "cpu": cpu, "sshkeys": keys}}
		vm := order(func(p *vmlinev1.Package) {
			p.CpuType, p.SystemDisk = "host", &vmlinev1.Disk{SizeGb: 20, ReadMbps: 5}
			p.AdditionalDisk = &vmlinev1.Disk{Storage: "new", SizeGb: 1}
			p.CloudInit.SshKeys = []string{"ssh-rsa A+/="}
		})
		first, err := Make(cfg, vm, Options{Fresh: true})
		if err != nil {
			return // refused in words, which the tables look at
		}
		checkDone(t, cfg, vm, first)
	})
}
