package pvesim

// inGroup makes a handler of rules one that works on a security group's.
func inGroup(handle func(*call) (any, error)) func(*call) (any, error) {
	return func(q *call) (any, error) {
		if q.c.groups[q.vars["group"]] == nil {
			return nil, fail("no such security group '%s'", q.vars["group"])
		}
		return handle(q)
	}
}

func (q *call) groupRulesList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.groups) {
		o := object{"group": name, "digest": digestOfAll(q.c.groups[name].rules)}
		if comment := q.c.groups[name].comment; comment != "" {
			o["comment"] = comment
		}
		out = append(out, o)
	}
	return out, nil
}

// groupRulesCreate makes a security group, or renames one.
func (q *call) groupRulesCreate() (any, error) {
	name, old := q.p["group"], q.p["rename"]
	if q.p.has("rename") {
		g := q.c.groups[old]
		if g == nil {
			return nil, badParam("group", "Security group '%s' does not exist", old)
		}
		if name != old && q.c.groups[name] != nil {
			return nil, badParam("group", "Security group '%s' already exists", name)
		}
		delete(q.c.groups, old)
		g.comment = q.p.str("comment", g.comment)
		q.c.groups[name] = g
		return nil, nil
	}
	if q.c.groups[name] != nil {
		return nil, badParam("group", "Security group '%s' already exists", name)
	}
	q.c.groups[name] = &firewall{comment: q.p["comment"], options: map[string]string{}}
	return nil, nil
}

func (q *call) groupRulesDelete() (any, error) {
	name := q.vars["group"]
	if len(q.c.groups[name].rules) > 0 {
		return nil, fail("Security group '%s' is not empty", name)
	}
	delete(q.c.groups, name)
	return nil, nil
}

func (q *call) macroList() (any, error) {
	out := []any{}
	for _, name := range macros {
		out = append(out, object{"macro": name, "descr": name + " traffic"})
	}
	return out, nil
}
