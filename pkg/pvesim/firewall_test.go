package pvesim

import "testing"

func TestEntriesOfASetAreNormalised(t *testing.T) {
	const set = "/nodes/pve1/qemu/101/firewall/ipset/ipfilter-net0"
	s := newSim(t)
	s.clone(101)
	s.data("POST", "/nodes/pve1/qemu/101/firewall/ipset", "name=ipfilter-net0")
	s.data("POST", set, "cidr=192.0.2.1/32")
	s.data("POST", set, "cidr=2001:db8::1/128")
	s.badParam("POST", set, "cidr=192.0.2.1", "cidr", "address '192.0.2.1' already exists")
	s.badParam("POST", set, "cidr=0.0.0.0/0", "cidr", "a zero prefix is not allowed in ipset entries")
	s.refused("POST", set, "cidr=nobody", 500, "no such alias 'nobody'")
	s.data("POST", "/cluster/firewall/aliases", "name=office&cidr=198.51.100.7")
	s.data("POST", set, "cidr=dc/office")
	for _, e := range s.data("GET", set, "").([]any) {
		if cidr := e.(map[string]any)["cidr"]; cidr == "192.0.2.1/32" || cidr == "2001:db8::1/128" {
			t.Errorf("stored as %v", cidr)
		}
	}
	s.badParam("POST", "/nodes/pve1/qemu/101/firewall/rules", "type=in&action=ACCEPT&source=192.0.2.1,2001:db8::1",
		"source", "invalid format - detected mixed ipv4/ipv6 address list\n")
}

func TestRulesOfHostsNameTheirInterfaces(t *testing.T) {
	s := newSim(t)
	for _, path := range []string{"/cluster/firewall/rules", "/nodes/pve1/firewall/rules"} {
		s.data("POST", path, "type=in&action=ACCEPT&iface=vmbr0")
	}
	s.data("POST", "/nodes/pve1/qemu/9000/firewall/rules", "type=in&action=ACCEPT&iface=net0")
	s.badParam("POST", "/nodes/pve1/qemu/9000/firewall/rules", "type=in&action=ACCEPT&iface=vmbr0", "iface", `value does not match the regex pattern 'net\d+'`)
}
