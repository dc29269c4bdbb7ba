// Package check says what is wrong with a package beyond the limits of its single fields, which
// the tags in pkg/api state.
package check

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/vmline/vmline/pkg/api"
)

// faults collects what is wrong.
type faults []api.FieldError

func (f *faults) add(location, format string, args ...any) {
	*f = append(*f, api.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
}

// Package returns everything that is wrong, with locations below "body". No message repeats a
// secret.
func Package(p *api.Package) []api.FieldError {
	var f faults
	disks(&f, p)
	cloudInit(&f, &p.CloudInit)
	names(&f, p)
	firewall(&f, p)
	placement(&f, p)
	chosenAddresses(&f, &p.Network)
	return f
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func placement(f *faults, p *api.Package) {
	for i, node := range p.Nodes {
		if !nodeName.MatchString(node) {
			f.add(fmt.Sprintf("body.nodes[%d]", i), "not the name of a Proxmox node")
		}
	}
	if p.AntiAffinity && p.Customer == "" {
		f.add("body.customer", "anti-affinity needs to know whose the VM is")
	}
}

// chosenAddresses checks them. More of them than the number of their family would contradict it.
func chosenAddresses(f *faults, n *api.Network) {
	seen := map[netip.Addr]bool{}
	var v4, v6 uint32
	for i, text := range n.Addresses {
		at := fmt.Sprintf("body.network.addresses[%d]", i)
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil || addr.Zone() != "" || addr.Is4In6():
			f.add(at, "not an IP address")
			continue
		case seen[addr]:
			f.add(at, "stands twice")
		}
		seen[addr] = true
		if addr.Is4() {
			v4++
		} else {
			v6++
		}
	}
	if v4 > n.IPv4Count {
		f.add("body.network.ipv4_count", "%d IPv4 addresses are chosen, so it is at least %d", v4, v4)
	}
	if v6 > n.IPv6Count {
		f.add("body.network.ipv6_count", "%d IPv6 addresses are chosen, so it is at least %d", v6, v6)
	}
}

func disks(f *faults, p *api.Package) {
	if p.SystemDisk.Storage != "" && p.CloneType != "full" {
		f.add("body.system_disk.storage", "a linked clone lives where its template does; set clone_type to full or leave the storage out")
	}
	d := p.AdditionalDisk
	switch {
	case d.SizeGB > 0 && d.Storage == "":
		f.add("body.additional_disk.storage", "an additional disk needs a storage")
	case d.SizeGB == 0 && d != (api.Disk{}):
		f.add("body.additional_disk.size_gb", "an additional disk needs a size")
	}
}

func cloudInit(f *faults, c *api.CloudInit) {
	if strings.ContainsFunc(c.Password, unicode.IsControl) {
		f.add("body.cloud_init.password", "control characters are not allowed")
	}
	for i, key := range c.SSHKeys {
		if err := sshKey(key); err != nil {
			f.add(fmt.Sprintf("body.cloud_init.ssh_keys[%d]", i), "%v", err)
		}
	}
	for i, server := range c.DNSServers {
		if addr, err := netip.ParseAddr(server); err != nil || addr.Zone() != "" {
			f.add(fmt.Sprintf("body.cloud_init.dns_servers[%d]", i), "not an IP address")
		}
	}
	if c.SearchDomain != "" && !isDomain(c.SearchDomain) {
		f.add("body.cloud_init.search_domain", "not a domain name")
	}
}

// sshKey says what is wrong with one line of authorized_keys.
func sshKey(line string) error {
	if strings.ContainsAny(line, "\r\n\x00") {
		return fmt.Errorf("each key is a line of its own in the list")
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
		return fmt.Errorf("not a public key as in authorized_keys")
	}
	return nil
}

// maxDomain is the longest domain name in characters (RFC 1035, section 2.3.4).
const maxDomain = 253

func names(f *faults, p *api.Package) {
	switch {
	case p.DNS.PTRName == "":
	case !p.DNS.PTR:
		f.add("body.dns.ptr_name", "no reverse records are asked for: set ptr")
	case !isDomain(p.DNS.PTRName):
		f.add("body.dns.ptr_name", "not a domain name")
	}
	switch {
	case p.DNS.Domain == "" && p.DNS.PTR && p.DNS.PTRName == "":
		f.add("body.dns.domain", "reverse records need a domain for the name that they give")
	case p.DNS.Domain == "":
	case !isDomain(p.DNS.Domain):
		f.add("body.dns.domain", "not a domain name")
	case len(p.Name)+1+len(strings.TrimSuffix(p.DNS.Domain, ".")) > maxDomain:
		f.add("body.dns.domain", "with the name in front it is longer than %d characters", maxDomain)
	}
}

var label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// isDomain says whether s is a domain name, with or without the dot at its end.
func isDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > maxDomain {
		return false
	}
	for l := range strings.SplitSeq(s, ".") {
		if !label.MatchString(l) {
			return false
		}
	}
	return true
}
