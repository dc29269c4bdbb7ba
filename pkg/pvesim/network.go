package pvesim

import (
	"maps"
	"slices"
	"strings"
)

// networkRoutes are the interfaces of a node. What is changed waits until it is applied.
var networkRoutes = []routeRow{
	{"GET", "/nodes/{node}/network", "", "type:enum(ifaces)", (*call).network},
	{"POST", "/nodes/{node}/network", nodeModify, "+iface iface!:iface<2..20", (*call).ifaceCreate},
	{"PUT", "/nodes/{node}/network", nodeModify, "regenerate-frr:bool", (*call).networkApply},
	{"DELETE", "/nodes/{node}/network", nodeModify, "", (*call).networkRevert},
	{"GET", "/nodes/{node}/network/{iface}", nodeAudit, "", (*call).networkShow},
	{"PUT", "/nodes/{node}/network/{iface}", nodeModify, "+iface delete:configid-list", (*call).ifaceUpdate},
	{"DELETE", "/nodes/{node}/network/{iface}", nodeModify, "", (*call).ifaceDelete},
}

// ifaceFields are the settings of an interface.
var ifaceFields schema

// bridgeTypes are the interfaces that cards of VMs can be on.
var bridgeTypes = strings.Fields("bridge OVSBridge")

// networkOf is a node's interfaces as they are: those made through the API with what they were given, and the
// bridges that it came with.
func networkOf(n *node) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, b := range n.Bridges {
		all[b] = map[string]string{"type": "bridge", "address": n.IP, "cidr": n.IP + "/32", "netmask": "32", "autostart": "1", "bridge_vlan_aware": "1"}
	}
	maps.Copy(all, n.ifaces)
	return all
}

// wanted is a node's interfaces as they will be, for changing.
func (n *node) wanted() map[string]map[string]string {
	if n.nextIfaces == nil {
		n.nextIfaces = networkOf(n)
	}
	return n.nextIfaces
}

// shownNetwork is what the API shows: the interfaces as they will be.
func (n *node) shownNetwork() map[string]map[string]string {
	if n.nextIfaces != nil {
		return n.nextIfaces
	}
	return networkOf(n)
}

// showIface is one interface; one that waits to be made is not active.
func (n *node) showIface(name string) object {
	set := n.shownNetwork()[name]
	o := object{"iface": name, "families": []string{"inet"}, "method": "static", "method6": "manual", "priority": 3 + slices.Index(sortedKeys(n.shownNetwork()), name)}
	if set["cidr"] == "" && set["address"] == "" {
		o["method"] = "manual"
	}
	if contains(bridgeTypes, set["type"]) {
		o["bridge_fd"], o["bridge_ports"], o["bridge_stp"] = 0, "", "off"
	}
	if _, active := networkOf(n)[name]; active {
		o["active"] = 1
	}
	for k, v := range set {
		o[k] = ifaceFields[k].asJSON(v)
	}
	return o
}

// ofType reports whether an interface is of a type that was asked for: "" for all, "any_..." for bridges.
func ofType(typ, want string) bool {
	return want == "" || want == typ || strings.HasPrefix(want, "any") && contains(bridgeTypes, typ)
}

func (q *call) network() (any, error) {
	n := q.c.node(q.node)
	out := []any{}
	for _, name := range sortedKeys(n.shownNetwork()) {
		typ := n.shownNetwork()[name]["type"]
		if !ofType(typ, q.p["type"]) {
			continue
		}
		if !q.may("/sdn/zones/localnetwork/"+name, "SDN.Audit|SDN.Use") && !q.may("/nodes/"+n.Name, "Sys.Audit") {
			continue
		}
		out = append(out, n.showIface(name))
	}
	return out, nil
}

// ifaceNamed checks that the interface of a path is there.
func (q *call) ifaceNamed() (*node, string, error) {
	n, name := q.c.node(q.node), q.vars["iface"]
	if _, ok := n.shownNetwork()[name]; !ok {
		return nil, "", badParam("iface", "interface does not exist")
	}
	return n, name, nil
}

func (q *call) networkShow() (any, error) {
	n, name, err := q.ifaceNamed()
	if err != nil {
		return nil, err
	}
	o := n.showIface(name)
	delete(o, "iface")
	return o, nil
}

func (q *call) ifaceCreate() (any, error) {
	n, name := q.c.node(q.node), q.p["iface"]
	if _, ok := n.shownNetwork()[name]; ok {
		return nil, badParam("iface", "interface already exists")
	}
	n.wanted()[name] = q.ifaceSettings(nil)
	return nil, nil
}

// ifaceSettings are settings with what a call says about them.
func (q *call) ifaceSettings(old map[string]string) map[string]string {
	set := map[string]string{}
	maps.Copy(set, old)
	for _, k := range listOf(q.p["delete"]) {
		delete(set, k)
	}
	for k, v := range q.p {
		if _, ok := ifaceFields[k]; ok {
			set[k] = v
		}
	}
	return set
}

func (q *call) ifaceUpdate() (any, error) {
	n, name, err := q.ifaceNamed()
	if err != nil {
		return nil, err
	}
	n.wanted()[name] = q.ifaceSettings(n.wanted()[name])
	return nil, nil
}

func (q *call) ifaceDelete() (any, error) {
	n, name, err := q.ifaceNamed()
	if err != nil {
		return nil, err
	}
	delete(n.wanted(), name)
	return nil, nil
}

// networkApply brings the changes into force.
func (q *call) networkApply() (any, error) {
	n := q.c.node(q.node)
	return q.fork("srvreload", "networking", func(*task) *job {
		return &job{steps: once(q.c.cfg.Durations.Config, func() error {
			if n.nextIfaces == nil {
				return nil
			}
			n.ifaces, n.nextIfaces, n.Bridges = n.nextIfaces, nil, nil
			for _, name := range sortedKeys(n.ifaces) {
				if contains(bridgeTypes, n.ifaces[name]["type"]) {
					n.Bridges = append(n.Bridges, name)
				}
			}
			return nil
		})}
	}), nil
}

// networkRevert forgets the changes.
func (q *call) networkRevert() (any, error) {
	q.c.node(q.node).nextIfaces = nil
	return nil, nil
}
