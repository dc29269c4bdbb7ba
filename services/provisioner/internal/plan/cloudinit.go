package plan

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func (d *draft) cloudInit(systemDisk string, vm *vmlinev1.VM, password string, fresh bool) error {
	ci := vm.GetPackage().GetCloudInit()
	for key, value := range map[string]string{
		"ciuser":       ci.GetUser(),
		"ipconfig0":    ipconfig(vm.GetAddresses()),
		"nameserver":   strings.Join(nameservers(ci, vm.GetAddresses()), " "),
		"searchdomain": ci.GetSearchDomain(),
	} {
		if value != "" {
			d.want(key, value)
		}
	}
	if password != "" && (fresh || !d.cfg.Has("cipassword")) {
		d.set["cipassword"] = password
	}
	if keys := strings.Join(ci.GetSshKeys(), "\n"); keys != "" && decodeKeys(d.cfg.Values["sshkeys"]) != keys {
		d.set["sshkeys"] = encodeKeys(keys)
	}
	return d.cloudInitDrive(systemDisk)
}

// cloudInitDrive adds the drive that carries all this to the guest, where the template has none.
func (d *draft) cloudInitDrive(systemDisk string) error {
	for key := range diskKeys() {
		if drive, err := d.cfg.Disk(key); err == nil && drive.CloudInit() {
			return nil
		}
	}
	system, err := d.cfg.Disk(systemDisk)
	if err != nil {
		return fmt.Errorf("read the system disk: %w", err)
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
		return &Impossible{"the machine has no free slot for a cloud-init drive, and its template has none"}
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
