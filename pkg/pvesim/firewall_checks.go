package pvesim

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// macros are the firewall macros that the simulator knows.
var macros = strings.Fields(`Amanda Auth BGP BitTorrent BitTorrent32 CVS Ceph Citrix DAAP DCC DHCPfwd DHCPv6 DNS Distcc FTP Finger GNUnet GRE Git HKP HTTP
	HTTP/3 HTTPS ICPV2 ICQ IMAP IMAPS IPIP IPsec IPsecah IPsecnat IRC Jetdirect L2TP LDAP LDAPS MDNS MSNP MSSQL Mail Minecraft MongoDB Munin MySQL NNTP
	NNTPS NTP NeighborDiscovery OSPF OpenVPN PBS PCA PMG POP3 POP3S PPtP Ping PostgreSQL Printer RDP RIP RNDC Razor Rdate Redis Rsync SANE SMB SMBswat
	SMTP SMTPS SNMP SPAMD SPICEproxy SSH SVN SixXS Squid Submission Syslog TFTP Telnet Telnets Time Trcrt VNC VNCL Web Webcache Webmin Whois WireGuard`)

// vmInterface is what a rule of a VM calls its network cards. Other rules may name any interface of the host.
var vmInterface = regexp.MustCompile(`^net\d+$`)

// checkFirewallRule checks a rule as a whole.
func (q *call) checkFirewallRule(r map[string]string) error {
	errs := map[string]string{}
	if r["iface"] != "" && q.vmid() != 0 && !vmInterface.MatchString(r["iface"]) {
		errs["iface"] = `value does not match the regex pattern 'net\d+'`
	}
	if r["type"] != "group" && !contains([]string{"ACCEPT", "DROP", "REJECT"}, r["action"]) {
		errs["action"] = fmt.Sprintf("unknown action '%s'", r["action"])
	}
	if m := r["macro"]; m != "" && !contains(macros, m) {
		errs["macro"] = fmt.Sprintf("unknown macro '%s'", m)
	}
	for _, k := range []string{"dport", "sport"} {
		if r[k] != "" && r["proto"] == "" && r["macro"] == "" {
			errs["proto"] = fmt.Sprintf("missing property - '%s' requires this property", k)
		}
	}
	if len(errs) > 0 {
		return badParams(errs)
	}
	return nil
}

func isFirewallPort(_, v string) (string, error) {
	for _, p := range strings.Split(v, ":") {
		n, err := strconv.Atoi(p)
		switch {
		case err != nil && strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
			return "", fmt.Errorf("invalid port '%s'", p)
		case err == nil && (n < 0 || n > 65535):
			return "", fmt.Errorf("invalid port '%s'", p)
		}
	}
	return v, nil
}

// protocols are the names of IP protocols that rules use; numbers are accepted too.
var protocols = strings.Fields("tcp udp udplite icmp icmpv6 ipv6-icmp igmp gre esp ah sctp ospf vrrp ipip ipv6 dccp")

func isFirewallProtocol(_, v string) (string, error) {
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < 256 || contains(protocols, strings.ToLower(v)) {
		return v, nil
	}
	return "", fmt.Errorf("invalid protocol '%s'", v)
}

// isFirewallAddresses accepts a list of addresses, all of one version of IP.
func isFirewallAddresses(_, v string) (string, error) {
	version := 0
	for _, addr := range listOf(v) {
		if err := checkAddress(addr); err != nil {
			return "", err
		}
		this := ipVersion(addr)
		if version != 0 && this != 0 && this != version {
			return "", fmt.Errorf("detected mixed ipv4/ipv6 address list")
		}
		version = max(version, this)
	}
	return v, nil
}

// checkAddress accepts an address, a network, a range, a set (+name) or an alias.
func checkAddress(v string) error {
	if strings.HasPrefix(v, "+") {
		return nil
	}
	from, to, isRange := strings.Cut(v, "-")
	if isRange && strings.ContainsAny(from, ".:") {
		if err := checkAddress(to); err != nil {
			return err
		}
		v = from
	}
	addr, _, _ := strings.Cut(v, "/")
	if !strings.ContainsAny(addr, ".:") || strings.HasPrefix(addr, "dc/") || strings.HasPrefix(addr, "guest/") {
		return nil // an alias
	}
	if quads := strings.Split(addr, "."); len(quads) == 4 {
		for _, d := range quads {
			if n, err := strconv.Atoi(d); err != nil || n > 255 {
				return fmt.Errorf("invalid IP address: Invalid quad in IP address %s - %s", addr, d)
			}
		}
		return nil
	}
	if _, err := netip.ParseAddr(addr); err != nil {
		return fmt.Errorf("invalid IP address: %s", addr)
	}
	return nil
}

func isCIDROrAlias(_, v string) (string, error) {
	addr, _, _ := strings.Cut(v, "/")
	if !strings.ContainsAny(addr, ".:") {
		return v, nil
	}
	if _, err := netip.ParseAddr(addr); err != nil {
		return "", fmt.Errorf("value does not look like a valid IP address or CIDR network")
	}
	if _, err := netip.ParsePrefix(v); strings.Contains(v, "/") && err != nil {
		return "", fmt.Errorf("value does not look like a valid IP address or CIDR network")
	}
	return v, nil
}
