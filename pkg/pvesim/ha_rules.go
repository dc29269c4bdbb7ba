package pvesim

import (
	"maps"
	"slices"
	"strings"
)

// haRuleRoutes say where machines under high availability may run, since version 9. The simulator keeps the
// rules and moves nothing.
var haRuleRoutes = []routeRow{
	{"GET", "/cluster/ha/rules", dcAudit, "resource:string type:enum(node-affinity,resource-affinity)", rules((*call).haRuleList)},
	{"POST", "/cluster/ha/rules", haChange, "+harule resources!:ha-sid-list rule!:configid", rules((*call).haRuleCreate)},
	{"GET", "/cluster/ha/rules/{rule}", dcAudit, "", rules((*call).haRuleShow)},
	{"PUT", "/cluster/ha/rules/{rule}", haChange, "+harule delete:configid-list<4096 digest:string<64 resources:ha-sid-list", rules((*call).haRuleUpdate)},
	{"DELETE", "/cluster/ha/rules/{rule}", haChange, "", rules((*call).haRuleDelete)},
}

// haEntry is a rule or a group: its settings by name, and the place that it was made at.
type haEntry struct {
	set   map[string]string
	order int
}

// haFields are all settings of rules and groups.
var haFields schema

func (e *haEntry) show(key, name string) object {
	o := object{key: name, "digest": digestOf(e.set)}
	for k, v := range e.set {
		o[k] = haFields[k].asJSON(v)
	}
	return o
}

// rules is a handler that versions before 9 do not have.
func rules(handler func(*call) (any, error)) func(*call) (any, error) {
	return func(q *call) (any, error) {
		if !q.c.release.nine {
			return nil, notImplemented(q.method, q.path)
		}
		return handler(q)
	}
}

// entryNamed finds the rule or group of a path.
func (q *call) entryNamed(list map[string]*haEntry, key, missing string) (*haEntry, error) {
	if e := list[q.vars[key]]; e != nil {
		return e, nil
	}
	return nil, fail(missing, q.vars[key])
}

// inOrder are names by the order in which they were given.
func inOrder(list map[string]*haEntry) []string {
	return slices.SortedFunc(maps.Keys(list), func(a, b string) int { return list[a].order - list[b].order })
}

func (q *call) showRule(name string) object {
	o := q.c.haRules[name].show("rule", name)
	o["order"] = q.c.haRules[name].order
	if o["type"] == "node-affinity" && o["strict"] == nil {
		o["strict"] = 0
	}
	return o
}

func (q *call) haRuleList() (any, error) {
	out := []any{}
	for _, name := range inOrder(q.c.haRules) {
		set := q.c.haRules[name].set
		if want := q.p["type"]; want != "" && want != set["type"] {
			continue
		}
		if want := q.p["resource"]; want != "" && !contains(listOf(set["resources"]), want) {
			continue
		}
		out = append(out, q.showRule(name))
	}
	return out, nil
}

func (q *call) haRuleShow() (any, error) {
	if _, err := q.entryNamed(q.c.haRules, "rule", "no such ha rule '%s'"); err != nil {
		return nil, err
	}
	return q.showRule(q.vars["rule"]), nil
}

func (q *call) haRuleCreate() (any, error) {
	name := q.p["rule"]
	if q.c.haRules[name] != nil {
		return nil, fail("create ha rule failed: HA rule '%s' already defined", name)
	}
	e := &haEntry{map[string]string{}, 1}
	for _, other := range q.c.haRules {
		e.order = max(e.order, other.order+1)
	}
	set := q.p.over(e.set, "rule")
	if err := q.checkRule(name, set, "create ha rule failed: "); err != nil {
		return nil, err
	}
	e.set = set
	q.c.haRules[name] = e
	return nil, nil
}

func (q *call) haRuleUpdate() (any, error) {
	e, err := q.entryNamed(q.c.haRules, "rule", "update HA rules failed: HA rule '%s' does not exist")
	if err != nil {
		return nil, err
	}
	if err := checkDigest(q.p["digest"], digestOf(e.set)); err != nil {
		return nil, err
	}
	set := q.p.over(e.set, "rule")
	if err := q.checkRule(q.vars["rule"], set, "update HA rules failed: "); err != nil {
		return nil, err
	}
	e.set = set
	return nil, nil
}

func (q *call) haRuleDelete() (any, error) {
	delete(q.c.haRules, q.vars["rule"])
	return nil, nil
}

// checkRule checks that a rule can be followed, and writes its machines in the long form.
func (q *call) checkRule(name string, set map[string]string, what string) error {
	var unmanaged, unknown, sids []string
	for _, sid := range listOf(set["resources"]) {
		sid = "vm:" + strings.TrimPrefix(sid, "vm:")
		sids = append(sids, sid)
		if q.c.ha[sid] == nil {
			unmanaged = append(unmanaged, sid)
		}
	}
	for _, n := range listOf(set["nodes"]) {
		if n, _, _ = strings.Cut(n, ":"); q.c.node(n) == nil {
			unknown = append(unknown, n)
		}
	}
	set["resources"] = strings.Join(sids, ",")
	needs := map[string]string{"node-affinity": "nodes", "resource-affinity": "affinity"}[set["type"]]
	switch {
	case len(unmanaged) > 0:
		return fail("%scannot use unmanaged resource(s) %s.", what, strings.Join(unmanaged, ", "))
	case len(unknown) > 0:
		return fail("%scannot use non-existant node(s) %s.", what, strings.Join(unknown, ", ")) //nolint:misspell // Proxmox VE's own words
	case set[needs] == "":
		return badParam(needs, "property is missing and it is not optional")
	case needs == "affinity" && len(sids) < 2:
		return &apiError{code: 400, reason: "Rule '" + name + "' is invalid.", errors: map[string]string{"resources": "rule is ineffective as there are less than two resources"}}
	}
	return nil
}

// forgetInRules takes a machine out of all rules. A rule without one goes.
func (c *Cluster) forgetInRules(sid string) {
	maps.DeleteFunc(c.haRules, func(_ string, e *haEntry) bool {
		sids := slices.DeleteFunc(listOf(e.set["resources"]), func(s string) bool { return s == sid })
		e.set["resources"] = strings.Join(sids, ",")
		return len(sids) == 0
	})
}
