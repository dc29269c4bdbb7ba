package pvesim

import "strings"

// nodePowerRoutes switch a node or all its guests.
var nodePowerRoutes = []routeRow{
	{"POST", "/nodes/{node}/startall", "", "force:bool max-workers:int(1..64) vms:vmid-list", (*call).startAll},
	{"POST", "/nodes/{node}/stopall", "", "force-stop:bool max-workers:int(1..64) timeout:int(0..7200) vms:vmid-list", (*call).stopAll},
	{"POST", "/nodes/{node}/suspendall", "", "max-workers:int(1..64) vms:vmid-list", (*call).suspendAll},
	{"POST", "/nodes/{node}/migrateall", "", "max-workers:int(1..64) maxworkers:int(1..64) target!:node vms:vmid-list with-local-disks:bool", (*call).migrateAll},
	{"POST", "/nodes/{node}/status", nodeSwitch, "command!:enum(reboot,shutdown)", (*call).nodePower},
	{"POST", wakePath, nodeSwitch, "", (*call).wake},
	{"GET", "/nodes/{node}/config", dcAudit, "property:enum(nodesettings)", (*call).nodeConfig},
	{"PUT", "/nodes/{node}/config", dcModify, "+node delete:configid-list digest:string<40", (*call).setNodeConfig},
}

const (
	wakePath   = "/nodes/{node}/wakeonlan"
	nodeSwitch = "/nodes/{node} Sys.PowerMgmt"
)

// nodeFields are a node's own settings.
var nodeFields schema

// forAll starts a task that does something with guests of a node, each in a task of its own.
func (q *call) forAll(typ, word string, wants func(*vm) bool, p params, act func(*call) (any, error)) (any, error) {
	ids := []int{}
	for _, id := range sortedIDs(q.c.vms) {
		if list := listOf(q.p["vms"]); len(list) > 0 && !contains(list, itoa(id)) || q.c.vms[id].node != q.node {
			continue
		}
		ids = append(ids, id)
	}
	if err := q.mayAll(ids, map[bool]string{true: "VM.Migrate", false: "VM.PowerMgmt"}[typ == "migrateall"]); err != nil {
		return nil, err
	}
	return q.fork(typ, "", func(t *task) *job {
		return &job{steps: once(0, func() error {
			for _, id := range ids {
				if v := q.c.vms[id]; v == nil || v.node != q.node || !wants(v) {
					continue
				}
				t.log("%s VM %d", word, id)
				one := &call{c: q.c, who: q.who, node: q.node, vars: map[string]string{"node": q.node, "vmid": itoa(id)}, p: p}
				if _, err := act(one); err != nil {
					t.log("%s VM %d failed: %v", word, id, err)
				}
			}
			return nil
		})}
	}), nil
}

// mayAll checks the right to do something with all guests, or with each of those that a call names.
func (q *call) mayAll(ids []int, priv string) error {
	if q.may("/", priv) {
		return nil
	}
	if !q.p.has("vms") {
		return q.need("/", priv)
	}
	for _, id := range ids {
		if err := q.need("/vms/"+itoa(id), priv); err != nil {
			return err
		}
	}
	return nil
}

func (q *call) startAll() (any, error) {
	wants := func(v *vm) bool {
		return !v.running && !v.template() && (v.conf["onboot"] == "1" || q.p.bool("force"))
	}
	return q.forAll("startall", "Starting", wants, params{}, (*call).vmStart)
}

func (q *call) stopAll() (any, error) {
	p := params{"timeout": q.p.str("timeout", "180"), "forceStop": q.p.str("force-stop", "1")}
	return q.forAll("stopall", "Stopping", func(v *vm) bool { return v.running }, p, (*call).vmShutdown)
}

func (q *call) suspendAll() (any, error) {
	return q.forAll("suspendall", "Suspending", func(v *vm) bool { return v.running }, params{"todisk": "1"}, (*call).vmSuspend)
}

// nodePower shuts a node down with its guests. After a reboot those that start with the node run again.
func (q *call) nodePower() (any, error) {
	n, c := q.c.node(q.node), q.c
	again := q.p["command"] == "reboot"
	c.after(c.cfg.Durations.Shutdown, func() {
		for _, v := range c.vms {
			if v.node == n.Name && v.running {
				c.halts(v)
			}
		}
		n.online = false
		if again {
			c.comesUp(n)
		}
	})
	return nil, nil
}

// comesUp boots a node.
func (c *Cluster) comesUp(n *node) {
	c.after(c.cfg.Durations.Reboot, func() {
		n.online = true
		for _, id := range sortedIDs(c.vms) {
			v := c.vms[id]
			if v.node == n.Name && !v.running && v.conf["onboot"] == "1" && !v.template() && v.unlocked(false) == nil {
				c.boots(v)
			}
		}
	})
}

// wake brings a node back that was shut down.
func (q *call) wake() (any, error) {
	n := q.c.node(q.node)
	if n == nil {
		return nil, fail("no such cluster node '%s'", q.node)
	}
	mac, _, _ := strings.Cut(n.settings["wakeonlan"], ",")
	mac = strings.TrimPrefix(mac, "mac=")
	if mac == "" {
		return nil, fail("No wake on LAN MAC address defined for '%s'!", n.Name)
	}
	if !n.online {
		q.c.comesUp(n)
	}
	return mac, nil
}

func (q *call) nodeConfig() (any, error) {
	o := object{}
	set := q.c.node(q.node).settings
	for k, v := range set {
		if want := q.p["property"]; want == "" || want == k {
			o[k] = nodeFields[k].asJSON(v)
		}
	}
	o["digest"] = digestOf(set)
	return o, nil
}

func (q *call) setNodeConfig() (any, error) {
	n := q.c.node(q.node)
	if err := checkDigest(q.p["digest"], digestOf(n.settings)); err != nil {
		return nil, err
	}
	n.settings = q.p.over(n.settings)
	return nil, nil
}
