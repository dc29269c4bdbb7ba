package pvesim

import (
	"maps"
	"net/netip"
	"strconv"
	"strings"
)

// firewall is one firewall file.
type firewall struct {
	comment string // of a security group
	options map[string]string
	rules   []map[string]string
	ipsets  []*ipset
	aliases []*alias
}

type ipset struct {
	name, comment string
	entries       []*ipsetEntry
}

type ipsetEntry struct {
	cidr, comment string
	nomatch       bool
}

type alias struct{ name, cidr, comment string }

func (f *firewall) copy() *firewall {
	n := &firewall{options: maps.Clone(f.options)}
	for _, r := range f.rules {
		n.rules = append(n.rules, maps.Clone(r))
	}
	for _, s := range f.ipsets {
		c := &ipset{name: s.name, comment: s.comment}
		for _, e := range s.entries {
			x := *e
			c.entries = append(c.entries, &x)
		}
		n.ipsets = append(n.ipsets, c)
	}
	for _, a := range f.aliases {
		x := *a
		n.aliases = append(n.aliases, &x)
	}
	return n
}

// fw is the firewall file that a call is about: a security group's, a node's, a VM's or the cluster's.
// It need not exist, nor the VM.
func (q *call) fw() *firewall {
	var f *firewall
	switch {
	case q.vars["group"] != "":
		f = q.c.groups[q.vars["group"]]
	case q.ofNode():
		f = q.c.nodeFirewalls[q.node]
	default:
		f = q.c.firewalls[q.vmid()]
	}
	if f == nil {
		f = &firewall{options: map[string]string{}}
	}
	return f
}

// ofNode reports whether a firewall call is about a node's own firewall.
func (q *call) ofNode() bool { return q.vars["node"] != "" && q.vars["vmid"] == "" }

// saveFW keeps a firewall file.
func (q *call) saveFW(f *firewall) {
	switch {
	case q.vars["group"] != "":
	case q.ofNode():
		q.c.nodeFirewalls[q.node] = f
	default:
		q.c.firewalls[q.vmid()] = f
	}
}

var errChanged = fail("detected modified configuration - file changed by other user? Try again.")

func checkDigest(sent, have string) error {
	if sent != "" && sent != have {
		return errChanged
	}
	return nil
}

func (q *call) firewallIndex() (any, error) {
	out := []any{}
	for _, name := range []string{"rules", "aliases", "ipset", "refs", "options"} {
		out = append(out, object{"name": name})
	}
	return out, nil
}

// numericOptions are firewall options that the API shows as numbers.
var numericOptions = strings.Fields("enable dhcp ipfilter macfilter ndp radv ebtables")

func showOptions(f *firewall) object {
	o := object{"digest": digestOf(f.options)}
	for k, v := range f.options {
		o[k] = v
		if contains(numericOptions, k) {
			o[k], _ = strconv.Atoi(v)
		}
	}
	return o
}

func (q *call) firewallOptions() (any, error) { return showOptions(q.fw()), nil }

func (q *call) setFirewallOptions() (any, error) {
	f := q.fw()
	if err := checkDigest(q.p["digest"], digestOf(f.options)); err != nil {
		return nil, err
	}
	f.options = q.p.over(f.options)
	q.saveFW(f)
	return nil, nil
}

// ruleKeys are what a rule consists of.
var ruleKeys = strings.Fields("type action enable comment dest dport icmp-type iface log macro proto source sport")

func showRule(r map[string]string, pos any, digest string) object {
	o := object{"pos": pos, "digest": digest}
	for k, v := range r {
		o[k] = v
	}
	o["enable"], _ = strconv.Atoi(r["enable"])
	for _, k := range []string{"source", "dest"} {
		if version := ipVersion(r[k]); version != 0 {
			o["ipversion"] = version
		}
	}
	return o
}

func ipVersion(list string) int {
	for _, a := range listOf(list) {
		addr, _, _ := strings.Cut(a, "/")
		if ip, err := netip.ParseAddr(addr); err == nil {
			if ip.Is6() {
				return 6
			}
			return 4
		}
	}
	return 0
}

func (q *call) ruleList() (any, error) {
	f := q.fw()
	digest := digestOfAll(f.rules)
	out := []any{}
	for i, r := range f.rules {
		out = append(out, showRule(r, i, digest))
	}
	return out, nil
}

// ruleAt finds the rule of a path.
func (q *call) ruleAt() (*firewall, int, error) {
	f := q.fw()
	pos, _ := strconv.Atoi(q.vars["pos"])
	if err := checkDigest(q.p["digest"], digestOfAll(f.rules)); err != nil {
		return nil, 0, err
	}
	if pos < 0 || pos >= len(f.rules) {
		return nil, 0, fail("no rule at position %d", pos)
	}
	return f, pos, nil
}

func (q *call) ruleShow() (any, error) {
	f, pos, err := q.ruleAt()
	if err != nil {
		return nil, err
	}
	return showRule(f.rules[pos], q.vars["pos"], digestOfAll(f.rules)), nil
}

// ruleCreate always inserts at the top, whatever pos says.
func (q *call) ruleCreate() (any, error) {
	f := q.fw()
	if err := checkDigest(q.p["digest"], digestOfAll(f.rules)); err != nil {
		return nil, err
	}
	r := map[string]string{"enable": "0"}
	for _, k := range ruleKeys {
		if v, ok := q.p[k]; ok {
			r[k] = v
		}
	}
	if err := q.checkFirewallRule(r); err != nil {
		return nil, err
	}
	f.rules = append([]map[string]string{r}, f.rules...)
	q.saveFW(f)
	return nil, nil
}

func (q *call) ruleUpdate() (any, error) {
	f, pos, err := q.ruleAt()
	if err != nil {
		return nil, err
	}
	if q.p.has("moveto") {
		f.move(pos, q.p.int("moveto", 0))
		return nil, nil
	}
	r := maps.Clone(f.rules[pos])
	for _, k := range listOf(q.p["delete"]) {
		delete(r, k)
	}
	for _, k := range ruleKeys {
		if v, ok := q.p[k]; ok {
			r[k] = v
		}
	}
	if err := q.checkFirewallRule(r); err != nil {
		return nil, err
	}
	f.rules[pos] = r
	return nil, nil
}

// move puts the rule at from in front of the one that is now at to.
func (f *firewall) move(from, to int) {
	moving := f.rules[from]
	rest := []map[string]string{}
	for i, r := range f.rules {
		if i == to {
			rest = append(rest, moving)
		}
		if i != from {
			rest = append(rest, r)
		}
	}
	if to >= len(f.rules) {
		rest = append(rest, moving)
	}
	f.rules = rest
}

func (q *call) ruleDelete() (any, error) {
	f, pos, err := q.ruleAt()
	if err != nil {
		return nil, err
	}
	f.rules = append(f.rules[:pos:pos], f.rules[pos+1:]...)
	return nil, nil
}
