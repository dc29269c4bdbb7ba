package pvesim

import (
	"slices"
	"strings"
)

// set finds the ipset of a path.
func (q *call) set() (*firewall, *ipset, error) {
	f := q.fw()
	for _, s := range f.ipsets {
		if s.name == q.vars["name"] {
			return f, s, nil
		}
	}
	return nil, nil, fail("no such IPSet '%s'", q.vars["name"])
}

func (s *ipset) digest() string {
	var list []map[string]string
	for _, e := range s.entries {
		list = append(list, map[string]string{"cidr": e.cidr, "comment": e.comment, "nomatch": itoa(flag(e.nomatch))})
	}
	return digestOfAll(list)
}

func (f *firewall) setsDigest() string {
	m := map[string]string{}
	for _, s := range f.ipsets {
		m[s.name] = s.comment
	}
	return digestOf(m)
}

func (e *ipsetEntry) show(digest string) object {
	o := object{"cidr": e.cidr, "digest": digest}
	if e.comment != "" {
		o["comment"] = e.comment
	}
	if e.nomatch {
		o["nomatch"] = 1
	}
	return o
}

func (q *call) ipsetList() (any, error) {
	f, out := q.fw(), []any{}
	for _, s := range f.ipsets {
		o := object{"name": s.name, "digest": f.setsDigest()}
		if s.comment != "" {
			o["comment"] = s.comment
		}
		out = append(out, o)
	}
	return out, nil
}

func (q *call) ipsetCreate() (any, error) {
	f, name := q.fw(), q.p["name"]
	if err := checkDigest(q.p["digest"], f.setsDigest()); err != nil {
		return nil, err
	}
	for _, s := range f.ipsets {
		if s.name == q.p["rename"] {
			s.name, s.comment = name, q.p.str("comment", s.comment)
			return nil, nil
		}
		if s.name == name {
			return nil, badParam("name", "IPSet '%s' already exists", name)
		}
	}
	if q.p.has("rename") {
		return nil, badParam("name", "IPSet '%s' does not exist", q.p["rename"])
	}
	f.ipsets = append(f.ipsets, &ipset{name: name, comment: q.p["comment"]})
	q.saveFW(f)
	return nil, nil
}

func (q *call) ipsetShow() (any, error) {
	_, s, err := q.set()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, e := range s.entries {
		out = append(out, e.show(s.digest()))
	}
	return out, nil
}

func (q *call) ipsetAdd() (any, error) {
	_, s, err := q.set()
	if err != nil {
		return nil, err
	}
	cidr, err := q.setEntry()
	if err != nil {
		return nil, err
	}
	for _, e := range s.entries {
		if e.cidr == cidr {
			return nil, badParam("cidr", "address '%s' already exists", cidr)
		}
	}
	s.entries = append([]*ipsetEntry{{cidr, q.p["comment"], q.p.bool("nomatch")}}, s.entries...)
	return nil, nil
}

// setEntry is an entry as it is stored: an alias that exists, or an address without the length of a single one.
func (q *call) setEntry() (string, error) {
	cidr := q.p["cidr"]
	if ipVersion(cidr) != 0 {
		if strings.HasSuffix(cidr, "/0") {
			return "", badParam("cidr", "a zero prefix is not allowed in ipset entries")
		}
		return strings.TrimSuffix(strings.TrimSuffix(cidr, "/32"), "/128"), nil
	}
	scope, name, scoped := strings.Cut(cidr, "/")
	if !scoped {
		name = cidr
	}
	for _, f := range []*firewall{q.fw(), q.c.firewalls[0]} {
		if f == nil || scope == "dc" && f != q.c.firewalls[0] {
			continue
		}
		for _, a := range f.aliases {
			if a.name == name {
				return cidr, nil
			}
		}
	}
	return "", fail("no such alias '%s'", cidr)
}

func (q *call) ipsetDelete() (any, error) {
	f, s, err := q.set()
	if err != nil {
		return nil, err
	}
	if len(s.entries) > 0 && !q.p.bool("force") {
		return nil, fail("IPSet '%s' is not empty", s.name)
	}
	f.ipsets = slices.DeleteFunc(f.ipsets, func(x *ipset) bool { return x == s })
	return nil, nil
}

// entry finds the entry of a path.
func (q *call) entry() (*ipset, *ipsetEntry, error) {
	_, s, err := q.set()
	if err != nil {
		return nil, nil, err
	}
	if err := checkDigest(q.p["digest"], s.digest()); err != nil {
		return nil, nil, err
	}
	for _, e := range s.entries {
		if e.cidr == q.vars["cidr"] {
			return s, e, nil
		}
	}
	return nil, nil, fail("no such IP/Network")
}

func (q *call) ipsetEntry() (any, error) {
	s, e, err := q.entry()
	if err != nil {
		return nil, err
	}
	return e.show(s.digest()), nil
}

func (q *call) ipsetEntryUpdate() (any, error) {
	_, e, err := q.entry()
	if err != nil {
		return nil, err
	}
	e.comment = q.p.str("comment", e.comment)
	e.nomatch = q.p.bool("nomatch")
	return nil, nil
}

func (q *call) ipsetEntryDelete() (any, error) {
	s, e, err := q.entry()
	if err != nil {
		return nil, err
	}
	s.entries = slices.DeleteFunc(s.entries, func(x *ipsetEntry) bool { return x == e })
	return nil, nil
}

func (a *alias) show(digest string) object {
	o := object{"name": a.name, "cidr": a.cidr, "digest": digest}
	if v := ipVersion(a.cidr); v != 0 {
		o["ipversion"] = v
	}
	if a.comment != "" {
		o["comment"] = a.comment
	}
	return o
}

func (f *firewall) aliasDigest() string {
	m := map[string]string{}
	for _, a := range f.aliases {
		m[a.name] = a.cidr + a.comment
	}
	return digestOf(m)
}

func (q *call) aliasList() (any, error) {
	f, out := q.fw(), []any{}
	for _, a := range f.aliases {
		out = append(out, a.show(f.aliasDigest()))
	}
	return out, nil
}

func (q *call) aliasCreate() (any, error) {
	f := q.fw()
	for _, a := range f.aliases {
		if a.name == q.p["name"] {
			return nil, badParam("name", "alias '%s' already exists", a.name)
		}
	}
	f.aliases = append(f.aliases, &alias{q.p["name"], q.p["cidr"], q.p["comment"]})
	q.saveFW(f)
	return nil, nil
}

// aliasAt finds the alias of a path.
func (q *call) aliasAt() (*firewall, *alias, error) {
	f := q.fw()
	if err := checkDigest(q.p["digest"], f.aliasDigest()); err != nil {
		return nil, nil, err
	}
	for _, a := range f.aliases {
		if a.name == q.vars["name"] {
			return f, a, nil
		}
	}
	return nil, nil, badParam("name", "no such alias")
}

func (q *call) aliasShow() (any, error) {
	f, a, err := q.aliasAt()
	if err != nil {
		return nil, err
	}
	return a.show(f.aliasDigest()), nil
}

func (q *call) aliasUpdate() (any, error) {
	_, a, err := q.aliasAt()
	if err != nil {
		return nil, err
	}
	a.cidr, a.comment, a.name = q.p["cidr"], q.p.str("comment", a.comment), q.p.str("rename", a.name)
	return nil, nil
}

func (q *call) aliasDelete() (any, error) {
	f, a, err := q.aliasAt()
	if err != nil {
		return nil, err
	}
	f.aliases = slices.DeleteFunc(f.aliases, func(x *alias) bool { return x == a })
	return nil, nil
}

// firewallRefs are the names that a rule's addresses may use. VMs may use the cluster's too.
func (q *call) firewallRefs() (any, error) {
	out := []any{}
	if q.vmid() != 0 {
		out = append(out, q.refsOf(q.fw(), "guest")...)
	}
	if dc := q.c.firewalls[0]; dc != nil {
		out = append(out, q.refsOf(dc, "dc")...)
	}
	return out, nil
}

func (q *call) refsOf(f *firewall, scope string) []any {
	var out []any
	for _, a := range f.aliases {
		if q.p["type"] != "ipset" {
			out = append(out, object{"type": "alias", "name": a.name, "ref": scope + "/" + a.name, "scope": scope})
		}
	}
	for _, s := range f.ipsets {
		if q.p["type"] != "alias" {
			out = append(out, object{"type": "ipset", "name": s.name, "ref": "+" + scope + "/" + s.name, "scope": scope})
		}
	}
	return out
}
