package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/api"
)

const sshKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGL0KqeXzh0gQcbUq8Q1nGQ4hHIbVJvWnQ3BqZc3mWQX ann@example.net"

// good is a package without a fault that uses everything.
func good() *api.Package {
	return &api.Package{
		CloneType: "full", Name: "web",
		SystemDisk:     api.Disk{Storage: "local-lvm", SizeGB: 20},
		AdditionalDisk: api.Disk{Storage: "local-lvm", SizeGB: 50},
		Network:        api.Network{IPv4Count: 1, IPv6Count: 1},
		CloudInit: api.CloudInit{
			Password: "correct horse", SSHKeys: []string{sshKeyLine}, DNSServers: []string{"192.0.2.53", "2001:db8::53"}, SearchDomain: "example.net",
		},
		DNS: api.DNS{Domain: "vm.example.net.", PTR: true},
		Firewall: api.Firewall{IPFilter: true, Rules: []api.FirewallRule{
			{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "22,80,8000:8100", Source: "192.0.2.0/24,198.51.100.7,203.0.113.1-203.0.113.9"},
			{Direction: "in", Action: "ACCEPT", Macro: "SSH", Source: "2001:db8::/32", Destination: "2001:db8::1-2001:db8::2"},
			{Direction: "out", Action: "DROP", Protocol: "icmp"},
		}},
	}
}

func TestGoodPackage(t *testing.T) {
	if f := Package(good()); len(f) != 0 {
		t.Errorf("faults: %+v", f)
	}
	if f := Package(&api.Package{CloneType: "linked", Name: "web"}); len(f) != 0 {
		t.Errorf("the smallest package has faults: %+v", f)
	}
}

func TestFaults(t *testing.T) {
	withRule := func(change func(*api.FirewallRule)) func(*api.Package) {
		return func(p *api.Package) { change(&p.Firewall.Rules[0]) }
	}
	const rule0 = "body.firewall.rules[0]."
	for _, tt := range []struct {
		name              string
		change            func(*api.Package)
		location, message string
	}{
		{"storage of a linked clone", func(p *api.Package) { p.CloneType = "linked" }, "body.system_disk.storage", "set clone_type to full"},
		{"disk without storage", func(p *api.Package) { p.AdditionalDisk.Storage = "" }, "body.additional_disk.storage", "needs a storage"},
		{"disk without size", func(p *api.Package) { p.AdditionalDisk.SizeGB = 0 }, "body.additional_disk.size_gb", "needs a size"},
		{"password with a line end", func(p *api.Package) { p.CloudInit.Password = "abc\ndef" }, "body.cloud_init.password", "control characters"},
		{"a node that is none", func(p *api.Package) { p.Nodes = []string{"pve1", "pve 2"} }, "body.nodes[1]", "not the name"},
		{"anti-affinity of nobody", func(p *api.Package) { p.AntiAffinity = true }, "body.customer", "whose the VM is"},
		{"a chosen name", func(p *api.Package) { p.Network.Addresses = []string{"web"} }, "body.network.addresses[0]", "not an IP address"},
		{"chosen twice", func(p *api.Package) { p.Network.IPv4Count, p.Network.Addresses = 2, []string{"192.0.2.1", "192.0.2.1"} }, "body.network.addresses[1]", "twice"},
		{"more chosen than sold", func(p *api.Package) { p.Network.Addresses = []string{"192.0.2.1", "192.0.2.2"} }, "body.network.ipv4_count", "at least 2"},
		{"more chosen than sold, IPv6", func(p *api.Package) { p.Network.IPv6Count, p.Network.Addresses = 0, []string{"2001:db8::1"} }, "body.network.ipv6_count", "at least 1"},
		{"bad key", func(p *api.Package) { p.CloudInit.SSHKeys = append(p.CloudInit.SSHKeys, "ssh-rsa nonsense") }, "body.cloud_init.ssh_keys[1]", "not a public key"},
		{"two keys in one", func(p *api.Package) { p.CloudInit.SSHKeys[0] += "\n" + sshKeyLine }, "body.cloud_init.ssh_keys[0]", "a line of its own"},
		{"name as DNS server", func(p *api.Package) { p.CloudInit.DNSServers[1] = "ns.example.net" }, "body.cloud_init.dns_servers[1]", "not an IP address"},
		{"zone in DNS server", func(p *api.Package) { p.CloudInit.DNSServers[0] = "fe80::1%eth0" }, "body.cloud_init.dns_servers[0]", "not an IP address"},
		{"bad search domain", func(p *api.Package) { p.CloudInit.SearchDomain = "a..b" }, "body.cloud_init.search_domain", "not a domain name"},
		{"bad domain", func(p *api.Package) { p.DNS.Domain = "-a.example" }, "body.dns.domain", "not a domain name"},
		{"root domain", func(p *api.Package) { p.DNS.Domain = "." }, "body.dns.domain", "not a domain name"},
		{"long label", func(p *api.Package) { p.DNS.Domain = strings.Repeat("a", 64) }, "body.dns.domain", "not a domain name"},
		{"long full name", func(p *api.Package) { p.DNS.Domain = strings.Repeat("a.", 125) + "a" }, "body.dns.domain", "longer than 253"},
		{"PTR without domain", func(p *api.Package) { p.DNS.Domain = "" }, "body.dns.domain", "reverse records need"},
		{"PTR name that is none", func(p *api.Package) { p.DNS.PTRName = "my shop" }, "body.dns.ptr_name", "not a domain name"},
		{"PTR name without PTR", func(p *api.Package) { p.DNS.PTR, p.DNS.PTRName = false, "shop.example" }, "body.dns.ptr_name", "set ptr"},
		{"IP filter without address", func(p *api.Package) { p.Network = api.Network{} }, "body.firewall.ip_filter", "give it one"},
		{"ports without protocol", withRule(func(r *api.FirewallRule) { r.Protocol = "" }), rule0 + "destination_port", "need a protocol"},
		{"ports of icmp", withRule(func(r *api.FirewallRule) { r.Protocol = "icmp" }), rule0 + "destination_port", "need a protocol"},
		{"macro with ports", withRule(func(r *api.FirewallRule) { r.Macro, r.Protocol = "SSH", "" }), rule0 + "destination_port", "macro brings its ports"},
		{"macro with protocol", withRule(func(r *api.FirewallRule) { r.Macro, r.DestinationPort = "SSH", "" }), rule0 + "protocol", "macro brings its protocol"},
		{"port too high", withRule(func(r *api.FirewallRule) { r.SourcePort = "65536" }), rule0 + "source_port", "no port"},
		{"range backwards", withRule(func(r *api.FirewallRule) { r.DestinationPort = "90:80" }), rule0 + "destination_port", "no range of ports"},
		{"empty port", withRule(func(r *api.FirewallRule) { r.DestinationPort = "80," }), rule0 + "destination_port", "no port"},
		{"too many ports", withRule(func(r *api.FirewallRule) { r.DestinationPort = strings.Repeat("1:2,", 7) + "3,4" }), rule0 + "destination_port", "more than 15"},
		{"bad source", withRule(func(r *api.FirewallRule) { r.Source = "10.0.0.0/33" }), rule0 + "source", "no address"},
		{"both versions", withRule(func(r *api.FirewallRule) { r.Source = "10.0.0.1,::1" }), rule0 + "source", "both IP versions"},
		{"versions differ", withRule(func(r *api.FirewallRule) { r.Destination = "::1" }), rule0 + "destination", "different IP versions"},
		{"address range backwards", withRule(func(r *api.FirewallRule) { r.Destination = "10.0.0.2-10.0.0.1" }), rule0 + "destination", "no range of addresses"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.change(p)
			faults := Package(p)
			if len(faults) != 1 || faults[0].Location != tt.location || !strings.Contains(faults[0].Message, tt.message) {
				t.Errorf("got %+v, want %s: %s", faults, tt.location, tt.message)
			}
		})
	}
}

func TestNothingWildPanicsOrShowsThePassword(t *testing.T) {
	texts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-f:./,-]{0,20}`))
	rapid.Check(t, func(t *rapid.T) {
		p := good()
		secret := "secret\n" + rapid.StringN(8, 20, -1).Draw(t, "password")
		p.CloudInit.Password = secret
		p.CloudInit.SSHKeys, p.CloudInit.DNSServers = rapid.SliceOfN(texts, 0, 3).Draw(t, "keys"), rapid.SliceOfN(texts, 0, 3).Draw(t, "servers")
		p.CloudInit.SearchDomain, p.DNS.Domain = texts.Draw(t, "search"), texts.Draw(t, "domain")
		r := &p.Firewall.Rules[0]
		r.Source, r.Destination, r.SourcePort, r.DestinationPort = texts.Draw(t, "s"), texts.Draw(t, "d"), texts.Draw(t, "sp"), texts.Draw(t, "dp")
		faults := Package(p)
		if !slices.ContainsFunc(faults, func(f api.FieldError) bool { return f.Location == "body.cloud_init.password" }) {
			t.Fatal("a password with a line end passed")
		}
		if strings.Contains(fmt.Sprint(faults), secret) {
			t.Fatal("a message shows the password")
		}
	})
}
