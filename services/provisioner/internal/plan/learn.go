package plan

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// SecondDisk is the key of a machine's only other disk; empty where there is none, or where nobody can
// say which of several is meant.
func SecondDisk(cfg pve.VMConfig) string {
	var keys []string
	for key := range diskKeys() {
		if key == cfg.SystemDisk() || !cfg.Has(key) {
			continue
		}
		if drive, err := cfg.Disk(key); err == nil && !drive.CDROM() && !drive.CloudInit() {
			keys = append(keys, key)
		}
	}
	if len(keys) != 1 {
		return ""
	}
	return keys[0]
}

// AddressesOf returns the addresses that a machine uses: those that cloud-init gives it and those that
// its IP filter lets through.
func AddressesOf(cfg pve.VMConfig, fw Firewall) []*vmlinev1.Address {
	var addresses []*vmlinev1.Address
	for i := range 32 {
		addresses = append(addresses, configured(cfg.Values["ipconfig"+strconv.Itoa(i)])...)
	}
	for _, entry := range fw.Set {
		prefix, err := parsePrefix(entry)
		if err != nil || !prefix.IsSingleIP() || hasAddress(addresses, prefix.Addr().String()) {
			continue // a network is no address of the machine
		}
		addresses = append(addresses, &vmlinev1.Address{
			Address: prefix.Addr().String(), PrefixLength: lengthFor(addresses, prefix.Addr()),
		})
	}
	return addresses
}

// configured are the addresses of one ipconfig value. dhcp and auto are none.
func configured(ipconfig string) []*vmlinev1.Address {
	options := map[string]string{}
	for part := range strings.SplitSeq(ipconfig, ",") {
		key, value, _ := strings.Cut(part, "=")
		options[key] = value
	}
	var addresses []*vmlinev1.Address
	for _, family := range []string{"", "6"} {
		if prefix, err := netip.ParsePrefix(options["ip"+family]); err == nil {
			addresses = append(addresses, &vmlinev1.Address{
				Address: prefix.Addr().String(), PrefixLength: uint32(prefix.Bits()), Gateway: options["gw"+family], //nolint:gosec // G115: at most 128
			})
		}
	}
	return addresses
}

func parsePrefix(entry string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	return netip.ParsePrefix(entry)
}

// lengthFor is the prefix length of a network that is known to hold the address, else that of the
// address alone.
func lengthFor(known []*vmlinev1.Address, addr netip.Addr) uint32 {
	for _, k := range known {
		if prefix, err := netip.ParsePrefix(k.GetAddress() + "/" + strconv.FormatUint(uint64(k.GetPrefixLength()), 10)); err == nil && prefix.Contains(addr) {
			return k.GetPrefixLength()
		}
	}
	return uint32(addr.BitLen()) //nolint:gosec // G115: 32 or 128
}

// Learn fills what the package of an adopted machine leaves out with what the machine has. The VM's
// addresses are known already.
func Learn(vm *vmlinev1.VM, cfg pve.VMConfig, fw Firewall) {
	pkg := vm.Package
	pkg.Name = cmp.Or(pkg.Name, cfg.Name())
	pkg.Cores = cmp.Or(pkg.Cores, totalCores(cfg))
	pkg.MemoryMib = cmp.Or(pkg.MemoryMib, number(strings.TrimPrefix(cfg.Values["memory"], "current=")), 512) // Proxmox's own default
	model, _, _ := strings.Cut(cfg.Values["cpu"], ",")
	pkg.CpuType = cmp.Or(pkg.CpuType, strings.TrimPrefix(model, "cputype="))
	pkg.Onboot = pkg.Onboot || cfg.Values["onboot"] == "1"
	pkg.SystemDisk = learnDisk(pkg.SystemDisk, cfg, cfg.SystemDisk(), vm.GetSystemDiskGb())
	pkg.AdditionalDisk = learnDisk(pkg.AdditionalDisk, cfg, vm.GetAdditionalDiskKey(), vm.GetAdditionalDiskGb())
	pkg.Network = learnNetwork(pkg.Network, cfg, vm.GetAddresses())
	if pkg.Firewall == nil {
		pkg.Firewall = learnFirewall(cfg, fw)
	}
	if pkg.CloudInit == nil {
		pkg.CloudInit = &vmlinev1.CloudInit{}
	}
	ci := pkg.CloudInit
	ci.User = cmp.Or(ci.User, cfg.Values["ciuser"])
	ci.SearchDomain = cmp.Or(ci.SearchDomain, cfg.Values["searchdomain"])
	if len(ci.DnsServers) == 0 {
		ci.DnsServers = strings.Fields(cfg.Values["nameserver"])
	}
	if keys := decodeKeys(cfg.Values["sshkeys"]); len(ci.SshKeys) == 0 && keys != "" {
		ci.SshKeys = strings.Split(keys, "\n")
	}
}

// totalCores are the cores of the whole machine.
func totalCores(cfg pve.VMConfig) uint32 {
	return max(number(cfg.Values["cores"]), 1) * max(number(cfg.Values["sockets"]), 1)
}

func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0 // not set, or nothing that a package could say
	}
	return uint32(n)
}

// learnDisk fills size, storage and limits of a disk. A disk that the machine has not is left as the
// package says.
func learnDisk(want *vmlinev1.Disk, cfg pve.VMConfig, key string, sizeGB uint32) *vmlinev1.Disk {
	drive, err := cfg.Disk(key)
	if err != nil {
		return want
	}
	if want == nil {
		want = &vmlinev1.Disk{}
	}
	option := func(name string) uint32 {
		value, _ := drive.Options.Get(name)
		return number(value)
	}
	want.SizeGb = cmp.Or(want.SizeGb, sizeGB)
	want.Storage = cmp.Or(want.Storage, drive.Storage())
	want.ReadMbps = cmp.Or(want.ReadMbps, option("mbps_rd"), option("mbps"))
	want.WriteMbps = cmp.Or(want.WriteMbps, option("mbps_wr"), option("mbps"))
	want.ReadIops = cmp.Or(want.ReadIops, option("iops_rd"), option("iops"))
	want.WriteIops = cmp.Or(want.WriteIops, option("iops_wr"), option("iops"))
	return want
}

func learnNetwork(want *vmlinev1.Network, cfg pve.VMConfig, addresses []*vmlinev1.Address) *vmlinev1.Network {
	if want == nil {
		want = &vmlinev1.Network{}
	}
	if card, err := cfg.Net("net0"); err == nil {
		tag, _ := card.Options.Get("tag")
		rate, _ := card.Options.Get("rate")
		perSecond, _ := strconv.ParseFloat(rate, 64) // 0 where there is none
		want.Model = cmp.Or(want.Model, card.Model)
		want.Bridge = cmp.Or(want.Bridge, card.Bridge())
		want.Vlan = cmp.Or(want.Vlan, number(tag))
		want.RateMbps = cmp.Or(want.RateMbps, perSecond)
	}
	if len(want.Addresses) > 0 || want.Ipv4Count+want.Ipv6Count > 0 {
		return want
	}
	for _, a := range addresses {
		want.Addresses = append(want.Addresses, a.GetAddress())
	}
	want.Ipv4Count, want.Ipv6Count = chosenOf(want, false), chosenOf(want, true)
	return want
}

// learnFirewall is the firewall that the machine has. Its rules stay those of whoever made them.
func learnFirewall(cfg pve.VMConfig, fw Firewall) *vmlinev1.Firewall {
	fw.Options = inForce(fw.Options)
	on := func(key string) bool { return fw.Options[key] == "1" }
	card, err := cfg.Net("net0")
	onCard, _ := card.Options.Get("firewall")
	return &vmlinev1.Firewall{
		Enabled: on("enable") && err == nil && onCard == "1", PolicyIn: fw.Options["policy_in"], PolicyOut: fw.Options["policy_out"],
		Dhcp: on("dhcp"), Ndp: on("ndp"), MacFilter: on("macfilter"), IpFilter: on("ipfilter") || fw.HasSet, RouterAdvertisement: on("radv"),
		LogLevelIn: fw.Options["log_level_in"], LogLevelOut: fw.Options["log_level_out"],
	}
}
