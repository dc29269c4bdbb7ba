package plan

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// cloudInit sets what the guest is told. What the package leaves out stays as the template has it,
// unless the package before had set it.
func (d *draft) cloudInit(systemDisk string, vm *vmlinev1.VM, o Options) error {
	for key, value := range told(vm.GetPackage(), Staying(vm)) {
		have := d.cfg.Values[key]
		ours := func(before *vmlinev1.Package) bool { return have == told(before, vm.GetAddresses())[key] }
		switch {
		case value != "":
			d.want(key, value)
		case have != "" && slices.ContainsFunc(o.Before, ours), key == "ipconfig0" && leaves(vm, have):
			d.drop = append(d.drop, key)
		}
	}
	slices.Sort(d.drop)
	if o.Password != "" && (o.Fresh || !d.cfg.Has("cipassword")) {
		d.set["cipassword"] = o.Password
	}
	d.keys(vm.GetPackage(), o.Before)
	return d.cloudInitDrive(systemDisk)
}

// told are the settings of cloud-init that Proxmox shows as they were set.
func told(pkg *vmlinev1.Package, addresses []*vmlinev1.Address) map[string]string {
	ci := pkg.GetCloudInit()
	return map[string]string{
		"ciuser":       ci.GetUser(),
		"ipconfig0":    ipconfig(addresses),
		"nameserver":   strings.Join(nameservers(ci, addresses), " "),
		"searchdomain": ci.GetSearchDomain(),
	}
}

// keys sets the SSH keys, which Proxmox stores in an encoding of its own.
func (d *draft) keys(pkg *vmlinev1.Package, before []*vmlinev1.Package) {
	have := decodeKeys(d.cfg.Values["sshkeys"])
	ours := func(before *vmlinev1.Package) bool { return have == joinKeys(before) }
	switch keys := joinKeys(pkg); {
	case keys == have:
	case keys != "":
		d.set["sshkeys"] = encodeKeys(keys)
	case slices.ContainsFunc(before, ours):
		d.drop = append(d.drop, "sshkeys")
	}
}

func joinKeys(pkg *vmlinev1.Package) string {
	return strings.Join(pkg.GetCloudInit().GetSshKeys(), "\n")
}

// CloudInitDrive is the key of the drive that carries all this to the guest; empty where there is none.
func CloudInitDrive(cfg pve.VMConfig) string {
	for key := range diskKeys() {
		if drive, err := cfg.Disk(key); err == nil && drive.CloudInit() {
			return key
		}
	}
	return ""
}

// cloudInitDrive adds the drive that carries all this to the guest, where the template has none.
func (d *draft) cloudInitDrive(systemDisk string) error {
	if CloudInitDrive(d.cfg) != "" {
		return nil
	}
	system, err := d.cfg.Disk(systemDisk)
	if err != nil {
		return err
	}
	anySlot := func(string) bool { return true } // it is never booted from
	slot, ok := "ide2", d.free("ide2")           // where Proxmox's own documentation puts it
	if !ok {
		slot, ok = d.freeSlot("ide", anySlot)
	}
	if !ok {
		slot, ok = d.freeSlot(busOf(systemDisk), anySlot)
	}
	if !ok {
		return &Impossible{Reason: "the machine has no free slot for a cloud-init drive, and its template has none", Next: "Give the template a cloud-init drive."}
	}
	d.set[slot] = system.Storage() + ":cloudinit"
	return nil
}

// ipconfig gives the first address of each family to the first card. Proxmox takes no more; further
// addresses are the guest's to configure, and the firewall lets them pass.
func ipconfig(addresses []*vmlinev1.Address) string {
	var parts []string
	seen := map[bool]bool{}
	for _, a := range addresses {
		v6 := strings.Contains(a.GetAddress(), ":")
		if seen[v6] {
			continue
		}
		seen[v6] = true
		suffix := map[bool]string{true: "6"}[v6]
		parts = append(parts, "ip"+suffix+"="+a.GetAddress()+"/"+strconv.FormatUint(uint64(a.GetPrefixLength()), 10))
		if a.GetGateway() != "" {
			parts = append(parts, "gw"+suffix+"="+a.GetGateway())
		}
	}
	return strings.Join(parts, ",")
}

func nameservers(ci *vmlinev1.CloudInit, addresses []*vmlinev1.Address) []string {
	if len(ci.GetDnsServers()) > 0 {
		return ci.GetDnsServers()
	}
	var servers []string
	seen := map[string]bool{}
	for _, a := range addresses {
		for _, s := range a.GetDnsServers() {
			if !seen[s] {
				seen[s] = true
				servers = append(servers, s)
			}
		}
	}
	return servers
}

// encodeKeys percent-encodes as RFC 3986 does: Proxmox takes %20 for a space, never a plus sign.
func encodeKeys(keys string) string { return strings.ReplaceAll(url.QueryEscape(keys), "+", "%20") }

func decodeKeys(encoded string) string {
	keys, err := url.PathUnescape(encoded)
	if err != nil {
		return ""
	}
	return strings.TrimRight(keys, "\n")
}
