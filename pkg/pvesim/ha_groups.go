package pvesim

// haGroupRoutes are what came before the rules of version 9, which refuses them.
var haGroupRoutes = []routeRow{
	{"GET", "/cluster/ha/groups", dcAudit, "", groups("index groups", (*call).haGroupList)},
	{"POST", "/cluster/ha/groups", haChange, "+hagroup group!:configid nodes!:ha-nodes type:enum(group)", groups("create group", (*call).haGroupCreate)},
	{"GET", "/cluster/ha/groups/{group}", dcAudit, "", groups("read group", (*call).haGroupShow)},
	{"PUT", "/cluster/ha/groups/{group}", haChange, "+hagroup delete:configid-list<4096 digest:string<64 nodes:ha-nodes", groups("update group", (*call).haGroupUpdate)},
	{"DELETE", "/cluster/ha/groups/{group}", haChange, "", groups("delete group", (*call).haGroupDelete)},
}

// groups is a handler that version 9 refuses.
func groups(what string, handler func(*call) (any, error)) func(*call) (any, error) {
	return func(q *call) (any, error) {
		if q.c.release.nine {
			return nil, fail("cannot %s: ha groups have been migrated to rules", what)
		}
		return handler(q)
	}
}

func (q *call) haGroupList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.haGroups) {
		out = append(out, q.c.haGroups[name].show("group", name))
	}
	return out, nil
}

func (q *call) haGroupShow() (any, error) {
	e, err := q.entryNamed(q.c.haGroups, "group", "no such ha group '%s'")
	if err != nil {
		return nil, err
	}
	return e.show("group", q.vars["group"]), nil
}

func (q *call) haGroupCreate() (any, error) {
	name := q.p["group"]
	if q.c.haGroups[name] != nil {
		return nil, fail("create ha group failed: ha group ID '%s' already defined", name)
	}
	e := &haEntry{set: map[string]string{"type": "group"}}
	e.set = q.p.over(e.set, "group")
	q.c.haGroups[name] = e
	return nil, nil
}

func (q *call) haGroupUpdate() (any, error) {
	e, err := q.entryNamed(q.c.haGroups, "group", "update ha group failed: no such ha group '%s'")
	if err != nil {
		return nil, err
	}
	if err := checkDigest(q.p["digest"], digestOf(e.set)); err != nil {
		return nil, err
	}
	e.set = q.p.over(e.set, "group")
	return nil, nil
}

func (q *call) haGroupDelete() (any, error) {
	for sid, r := range q.c.ha {
		if r.settings["group"] == q.vars["group"] {
			return nil, fail("delete ha group failed: ha group is used by service '%s'", sid)
		}
	}
	delete(q.c.haGroups, q.vars["group"])
	return nil, nil
}

// checkGroup checks the group that a machine is to be in.
func (q *call) checkGroup() error {
	group := q.p["group"]
	switch {
	case group == "":
		return nil
	case q.c.release.nine:
		return fail("invalid parameter 'group': ha groups have been migrated to rules")
	case q.c.haGroups[group] == nil:
		return fail("HA group '%s' does not exist", group)
	}
	return nil
}
