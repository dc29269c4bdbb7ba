package pvesim

import (
	"fmt"
	"strings"
	"time"
)

// haRoutes are the guests that high availability looks after.
var haRoutes = []routeRow{
	{"GET", "/cluster/ha/resources", dcAudit, "type:enum(ct,vm)", (*call).haList},
	{"POST", "/cluster/ha/resources", haChange, "+ha sid!:ha-sid type:enum(ct,vm)", (*call).haCreate},
	{"GET", "/cluster/ha/resources/{sid}", dcAudit, "", (*call).haShow},
	{"PUT", "/cluster/ha/resources/{sid}", haChange, "+ha delete:configid-list<4096 digest:string<64", (*call).haUpdate},
	{"DELETE", "/cluster/ha/resources/{sid}", haChange, "purge:bool", (*call).haDelete},
	{"POST", "/cluster/ha/resources/{sid}/migrate", haChange, "node!:node", (*call).haMove},
	{"POST", "/cluster/ha/resources/{sid}/relocate", haChange, "node!:node", (*call).haMove},
	{"GET", "/cluster/ha/status/current", dcAudit, "", (*call).haStatus},
}

const haChange = "/ Sys.Console"

// haResource is a VM under high availability, with the settings that calls gave it.
type haResource struct {
	vmid     int
	settings map[string]string
}

func (r *haResource) state() string {
	if s := r.settings["state"]; s != "" && s != "enabled" {
		return s
	}
	return "started"
}

func (r *haResource) show() object {
	o := object{"sid": haID(r.vmid), "type": "vm", "digest": digestOf(r.settings)}
	for k, v := range r.settings {
		o[k] = haSettings[k].asJSON(v)
	}
	o["state"] = r.state()
	return o
}

// haSettings are the parameters that a resource keeps.
var haSettings schema

func haID(vmid int) string { return "vm:" + itoa(vmid) }

// haOf is a VM's resource; nil when it has none.
func (c *Cluster) haOf(vmid int) *haResource { return c.ha[haID(vmid)] }

// haNamed finds the resource of a path; its type may be left out.
func (q *call) haNamed() (*haResource, error) {
	sid := q.vars["sid"]
	if r := q.c.ha["vm:"+strings.TrimPrefix(sid, "vm:")]; r != nil {
		return r, nil
	}
	return nil, fail("no such resource '%s'", sid)
}

func (q *call) haList() (any, error) {
	out := []any{}
	for _, sid := range sortedKeys(q.c.ha) {
		if q.p["type"] != "ct" {
			out = append(out, q.c.ha[sid].show())
		}
	}
	return out, nil
}

func (q *call) haShow() (any, error) {
	r, err := q.haNamed()
	if err != nil {
		return nil, err
	}
	return r.show(), nil
}

func (r *haResource) set(p params) {
	for k := range haSettings {
		if v, ok := p[k]; ok {
			r.settings[k] = v
		}
	}
}

func (q *call) haCreate() (any, error) {
	if err := q.checkGroup(); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(q.p["sid"], "vm:")
	for id := range q.c.vms {
		if itoa(id) != name {
			continue
		}
		if q.c.haOf(id) != nil {
			return nil, fail("create resource failed: resource ID '%s' already defined", haID(id))
		}
		r := &haResource{id, map[string]string{}}
		r.set(q.p)
		q.c.ha[haID(id)] = r
		q.c.obey(r)
		return nil, nil
	}
	return nil, fail("create resource failed: resource '%s' does not exist", q.p["sid"])
}

func (q *call) haUpdate() (any, error) {
	r, err := q.haNamed()
	if err != nil {
		return nil, err
	}
	if err := checkDigest(q.p["digest"], digestOf(r.settings)); err != nil {
		return nil, err
	}
	if err := q.checkGroup(); err != nil {
		return nil, err
	}
	for _, k := range listOf(q.p["delete"]) {
		delete(r.settings, k)
	}
	r.set(q.p)
	q.c.obey(r)
	return nil, nil
}

func (q *call) haDelete() (any, error) {
	r, err := q.haNamed()
	if err != nil {
		return nil, err
	}
	delete(q.c.ha, haID(r.vmid))
	if q.p.str("purge", "1") == "1" {
		q.c.forgetInRules(haID(r.vmid))
	}
	return nil, nil
}

func (q *call) haStatus() (any, error) {
	master := q.c.nodes[0].Name
	out := []any{
		object{"id": "quorum", "type": "quorum", "node": master, "status": map[bool]string{true: "OK", false: "No quorum!"}[q.c.quorate()], "quorate": flag(q.c.quorate())},
		object{"id": "master", "type": "master", "node": master, "status": master + " (active)"},
	}
	out = append(out, q.lrmStates()...)
	for _, sid := range sortedKeys(q.c.ha) {
		r := q.c.ha[sid]
		if v := q.c.vms[r.vmid]; v != nil {
			o := r.show()
			delete(o, "digest")
			o["id"], o["type"], o["node"], o["crm_state"], o["request_state"] = "service:"+sid, "service", v.node, r.state(), r.state()
			o["status"] = sid + " (" + v.node + ", " + r.state() + ")"
			out = append(out, o)
		}
	}
	return out, nil
}

// lrmStates are the states of the nodes' local resource managers, which exist once high availability was
// used.
func (q *call) lrmStates() (out []any) {
	used := len(q.c.ha) > 0
	for _, n := range q.c.nodes {
		used = used || n.maintenance
	}
	for _, n := range q.c.nodes {
		if !used {
			return nil
		}
		state := "idle"
		if n.maintenance {
			state = "maintenance mode"
		}
		out = append(out, object{
			"id": "lrm:" + n.Name, "type": "lrm", "node": n.Name,
			"status": fmt.Sprintf("%s (%s, %s)", n.Name, state, q.c.cfg.Now().Format(time.ANSIC)),
		})
	}
	return out
}

// obey lets the resource manager bring a VM into the state that is asked for. It works by itself: the
// task that asked is over before.
func (c *Cluster) obey(r *haResource) {
	takes := map[string]time.Duration{"started": c.cfg.Durations.Start, "stopped": c.cfg.Durations.Stop}
	want := r.state()
	c.after(takes[want], func() {
		v := c.vms[r.vmid]
		if v == nil || c.haOf(r.vmid) != r || r.state() != want || v.template() || v.unlocked(false) != nil {
			return
		}
		switch {
		case want == "started" && !v.running:
			c.boots(v)
		case want == "stopped" && v.running:
			c.halts(v)
		}
	})
}

// haTask asks high availability for a state. The answer is nil where the VM is not under it.
func (q *call) haTask(typ, word, state string) any {
	r := q.c.haOf(q.vmid())
	if r == nil {
		return nil
	}
	return q.fork(typ, q.vars["vmid"], func(t *task) *job {
		return &job{steps: once(0, func() error {
			t.log("Requesting HA %s for VM %d", word, r.vmid)
			r.settings["state"] = state
			q.c.obey(r)
			return nil
		})}
	})
}
