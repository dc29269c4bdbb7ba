package pvesim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// hashPassword is how a password looks when it is stored. It is not crypt(3): nobody logs in here.
func hashPassword(plain string) string {
	sum := sha256.Sum256([]byte("pvesim" + plain))
	return "$5$pvesim$" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// keyTypes are the SSH keys that Proxmox VE accepts.
var keyTypes = []string{"ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}

// checkKeys checks the SSH keys after decoding.
func checkKeys(encoded string) error {
	text, err := url.PathUnescape(encoded)
	if err != nil {
		return fail("SSH public key validation error")
	}
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		kind, _, ok := strings.Cut(line, " ")
		if !ok || !contains(keyTypes, kind) {
			return fail("SSH public key validation error")
		}
	}
	return nil
}

// shownCloudinit are the keys in the answer about cloud-init's state.
var shownCloudinit = strings.Fields("cicustom cipassword ciuser nameserver searchdomain sshkeys")

func (q *call) cloudinitPending() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, k := range shownCloudinit {
		now, isNow := v.conf[k]
		old, isOld := v.onDrive[k]
		if !v.running || v.onDrive == nil {
			old, isOld = now, isNow
		}
		if !isNow && !isOld {
			continue
		}
		o := object{"key": k}
		if isOld {
			o["value"] = shown(k, old)
		}
		switch {
		case isNow && now != old:
			o["pending"] = shown(k, now)
		case !isNow:
			o["delete"] = 1
		}
		out = append(out, o)
	}
	return out, nil
}

// cloudinitRegenerate makes the cloud-init drive anew.
func (q *call) cloudinitRegenerate() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if err := v.unlocked(false); err != nil {
		return nil, err
	}
	j := &job{locks: lockVM(v.id), steps: once(0, func() error {
		if !v.hasCloudinit() {
			return nil
		}
		if err := q.c.checkSnippets(v); err != nil {
			return err
		}
		q.c.writeCloudinit(v)
		return nil
	})}
	q.breakJob(j)
	return nil, q.wait(j)
}

func (v *vm) hasCloudinit() bool { return v.cloudinitSlot() != "" }

func (v *vm) cloudinitSlot() string {
	for _, k := range drives(v.conf) {
		if mustDrive(k, v.conf[k]).cloudinit() {
			return k
		}
	}
	return ""
}

// checkSnippets checks that the files of cicustom exist. The simulator has no snippets.
func (c *Cluster) checkSnippets(v *vm) error {
	files, _ := propStrings["cicustom"].parse("cicustom", v.conf["cicustom"]) // checked when it was set
	for _, k := range sortedKeys(files) {
		if c.volume(files[k], v.node) == nil {
			return fail("volume '%s' does not exist", files[k])
		}
	}
	return nil
}

// writeCloudinit remembers what the drive was made from and notes its size, as Proxmox VE does.
func (c *Cluster) writeCloudinit(v *vm) {
	v.onDrive = map[string]string{}
	for k, value := range v.conf {
		if isCloudinit(k) {
			v.onDrive[k] = value
		}
	}
	k := v.cloudinitSlot()
	d := mustDrive(k, v.conf[k])
	if vol := c.volume(d.volid, v.node); vol != nil {
		d.opts["size"] = showSize(vol.size)
		v.conf[k] = d.String()
	}
}

func (q *call) cloudinitDump() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	switch q.p["type"] {
	case "user":
		return v.userData(), nil
	case "network":
		return v.networkConfig(), nil
	}
	return "instance-id: " + sha1Hex(v.userData()+v.networkConfig()) + "\n", nil
}

// userData is the cloud-config document.
func (v *vm) userData() string {
	var b strings.Builder
	conf := v.merged()
	host, _, _ := strings.Cut(conf["name"], ".")
	fqdn := conf["name"]
	if d := conf["searchdomain"]; d != "" && host == fqdn {
		fqdn += "." + strings.Fields(d)[0]
	}
	fmt.Fprintf(&b, "#cloud-config\nhostname: %s\nmanage_etc_hosts: true\nfqdn: %s\n", host, fqdn)
	if u := conf["ciuser"]; u != "" {
		fmt.Fprintf(&b, "user: %s\n", u)
	} else {
		b.WriteString("disable_root: False\n")
	}
	if p := conf["cipassword"]; p != "" {
		fmt.Fprintf(&b, "password: %s\n", p)
	}
	if keys, err := url.PathUnescape(conf["sshkeys"]); err == nil && keys != "" {
		b.WriteString("ssh_authorized_keys:\n")
		for _, line := range strings.Split(strings.TrimSpace(keys), "\n") {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	b.WriteString("chpasswd:\n  expire: False\nusers:\n  - default\n")
	if conf["ciupgrade"] != "0" {
		b.WriteString("package_upgrade: true\n")
	}
	return b.String()
}

// networkConfig is the network document, version 1.
func (v *vm) networkConfig() string {
	var b strings.Builder
	conf := v.merged()
	b.WriteString("version: 1\nconfig:\n")
	for i := range 32 {
		n, err := parseNIC("net", conf["net"+itoa(i)])
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "    - type: physical\n      name: eth%d\n      mac_address: '%s'\n      subnets:\n", i, strings.ToLower(n.mac))
		ip, err := propStrings["ipconfig"].parse("ipconfig", conf["ipconfig"+itoa(i)])
		if err == nil {
			b.WriteString(subnets(ip))
		}
	}
	b.WriteString("    - type: nameserver\n      address:\n")
	for _, a := range listOf(conf["nameserver"]) {
		fmt.Fprintf(&b, "      - '%s'\n", a)
	}
	b.WriteString("      search:\n")
	for _, d := range listOf(conf["searchdomain"]) {
		fmt.Fprintf(&b, "      - '%s'\n", d)
	}
	return b.String()
}

func subnets(ip map[string]string) string {
	var b strings.Builder
	switch a := ip["ip"]; a {
	case "":
	case "dhcp":
		b.WriteString("      - type: dhcp4\n")
	default:
		p, _ := netip.ParsePrefix(a)
		mask := net.CIDRMask(p.Bits(), 32)
		fmt.Fprintf(&b, "      - type: static\n        address: '%s'\n        netmask: '%s'\n", p.Addr(), net.IP(mask))
		if gw := ip["gw"]; gw != "" {
			fmt.Fprintf(&b, "        gateway: '%s'\n", gw)
		}
	}
	switch a := ip["ip6"]; a {
	case "":
	case "dhcp":
		b.WriteString("      - type: dhcp6\n")
	case "auto":
		b.WriteString("      - type: ipv6_slaac\n")
	default:
		fmt.Fprintf(&b, "      - type: static6\n        address: '%s'\n", a)
		if gw := ip["gw6"]; gw != "" {
			fmt.Fprintf(&b, "        gateway: '%s'\n", gw)
		}
	}
	return b.String()
}
