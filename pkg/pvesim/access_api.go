package pvesim

import (
	"slices"
	"strings"
)

func (q *call) roleList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.access.roles) {
		_, builtin := builtinRoles[name]
		out = append(out, object{"roleid": name, "privs": strings.Join(q.c.access.roles[name], ","), "special": flag(builtin)})
	}
	return out, nil
}

func (q *call) roleShow() (any, error) {
	name := q.vars["roleid"]
	privs, ok := q.c.access.roles[name]
	if !ok {
		return nil, fail("role '%s' does not exist", name)
	}
	o := object{}
	for _, p := range privs {
		o[p] = 1
	}
	return o, nil
}

func (q *call) roleCreate() (any, error) {
	name := q.p["roleid"]
	if _, ok := q.c.access.roles[name]; ok {
		return nil, fail("create role failed: role '%s' already exists", name)
	}
	q.c.access.roles[name] = listOf(q.p["privs"])
	return nil, nil
}

// roleNamed checks that a role of a path can be changed.
func (q *call) roleNamed(what string) (name string, err error) {
	name = q.vars["roleid"]
	if _, ok := q.c.access.roles[name]; !ok {
		return "", fail("%s role failed: role '%s' does not exist", what, name)
	}
	if _, builtin := builtinRoles[name]; builtin {
		return "", fail("%s role failed: auto-generated role '%s' cannot be modified", what, name)
	}
	return name, nil
}

func (q *call) roleUpdate() (any, error) {
	name, err := q.roleNamed("update")
	if err != nil {
		return nil, err
	}
	list := listOf(q.p["privs"])
	if q.p.bool("append") {
		list = append(list, q.c.access.roles[name]...)
	}
	slices.Sort(list)
	q.c.access.roles[name] = slices.Compact(list)
	return nil, nil
}

// roleDelete removes a role, also from the access control list.
func (q *call) roleDelete() (any, error) {
	name, err := q.roleNamed("delete")
	if err != nil {
		return nil, err
	}
	delete(q.c.access.roles, name)
	q.c.access.acl = slices.DeleteFunc(slices.Clone(q.c.access.acl), func(e ACL) bool { return e.Role == name })
	return nil, nil
}

// ownTokens checks that the tokens of a path are the caller's, or that the caller may change users.
func (q *call) ownTokens() error {
	name := q.vars["userid"]
	if name != q.who.user {
		if err := q.need("/access/groups", "User.Modify"); err != nil {
			return err
		}
	}
	if q.c.access.users[name] == nil {
		return fail("no such user ('%s')", name)
	}
	return nil
}

func (q *call) tokenList() (any, error) {
	if err := q.ownTokens(); err != nil {
		return nil, err
	}
	return q.c.access.tokensOf(q.vars["userid"]), nil
}

// tokensOf are the tokens of a user, without their secrets.
func (a *access) tokensOf(user string) []object {
	out := []object{}
	for _, full := range sortedKeys(a.tokens) {
		if owner, id := splitToken(full); owner == user {
			o := a.tokens[full].show()
			o["tokenid"] = id
			out = append(out, o)
		}
	}
	return out
}

func (t *token) show() object {
	o := object{"privsep": flag(t.privsep), "expire": t.expire}
	if t.comment != "" {
		o["comment"] = t.comment
	}
	return o
}

// tokenNamed finds the token of a path.
func (q *call) tokenNamed() (full string, t *token, err error) {
	if err := q.ownTokens(); err != nil {
		return "", nil, err
	}
	full = q.vars["userid"] + "!" + q.vars["tokenid"]
	if t = q.c.access.tokens[full]; t == nil {
		return "", nil, fail("no such token '%s' for user '%s'", q.vars["tokenid"], q.vars["userid"])
	}
	return full, t, nil
}

func (q *call) tokenShow() (any, error) {
	_, t, err := q.tokenNamed()
	if err != nil {
		return nil, err
	}
	return t.show(), nil
}

func (q *call) tokenUpdate() (any, error) {
	_, t, err := q.tokenNamed()
	if err != nil {
		return nil, err
	}
	for _, k := range listOf(q.p["delete"]) {
		switch k {
		case "comment":
			t.comment = ""
		case "expire":
			t.expire = 0
		}
	}
	t.comment = q.p.str("comment", t.comment)
	t.expire = q.p.int("expire", t.expire)
	if q.p.has("privsep") {
		t.privsep = q.p.bool("privsep")
	}
	return t.show(), nil
}

func (q *call) tokenCreate() (any, error) {
	if err := q.ownTokens(); err != nil {
		return nil, err
	}
	full := q.vars["userid"] + "!" + q.vars["tokenid"]
	if _, err := isToken("", full); err != nil {
		return nil, badParam("tokenid", "invalid format - %s\n", err)
	}
	if q.c.access.tokens[full] != nil {
		return nil, badParam("tokenid", "Token already exists.")
	}
	t := &token{secret: q.c.uuid(), privsep: q.p.str("privsep", "1") == "1", comment: q.p["comment"], expire: q.p.int("expire", 0)}
	q.c.access.tokens[full] = t
	info := object{"privsep": itoa(flag(t.privsep))}
	if t.comment != "" {
		info["comment"] = t.comment
	}
	return object{"full-tokenid": full, "info": info, "value": t.secret}, nil
}

func (q *call) tokenDelete() (any, error) {
	full, _, err := q.tokenNamed()
	if err != nil {
		return nil, err
	}
	delete(q.c.access.tokens, full)
	q.c.access.dismiss(func(who string) bool { return who == full })
	return nil, nil
}

// permissions shows what the caller may do, on all paths that the access control list names and on
// the members of pools.
func (q *call) permissions() (any, error) {
	out := object{}
	paths := map[string]int{}
	for _, e := range q.c.access.acl {
		paths[e.Path] = flag(!e.NoPropagate)
	}
	for _, p := range q.c.pools {
		for id := range p.vms {
			paths["/vms/"+itoa(id)] = 0
		}
		for s := range p.storages {
			paths["/storage/"+s] = 0
		}
	}
	if p := q.p["path"]; p != "" {
		paths = map[string]int{p: 1}
	}
	for path, propagate := range paths {
		o := object{}
		for _, priv := range q.c.release.privileges() {
			if q.may(path, priv) {
				o[priv] = propagate
			}
		}
		if len(o) > 0 {
			out[path] = o
		}
	}
	return out, nil
}
