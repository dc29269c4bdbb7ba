package pvesim

import "strings"

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

func (q *call) userList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.access.users) {
		if name == q.who.user || q.may("/access/groups", "User.Modify|Sys.Audit") {
			_, realm, _ := strings.Cut(name, "@")
			out = append(out, object{"userid": name, "enable": 1, "expire": 0, "realm-type": realm})
		}
	}
	return out, nil
}

func (q *call) userCreate() (any, error) {
	name := q.p["userid"]
	if q.c.access.users[name] != nil {
		return nil, fail("create user failed: user '%s' already exists", name)
	}
	q.c.access.users[name] = &user{password: q.p["password"], comment: q.p["comment"]}
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
	out := []any{}
	for _, full := range sortedKeys(q.c.access.tokens) {
		if owner, id := splitToken(full); owner == q.vars["userid"] {
			out = append(out, object{"tokenid": id, "privsep": flag(q.c.access.tokens[full].privsep), "expire": 0})
		}
	}
	return out, nil
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
	t := &token{secret: q.c.uuid(), privsep: q.p.str("privsep", "1") == "1", comment: q.p["comment"]}
	q.c.access.tokens[full] = t
	info := object{"privsep": itoa(flag(t.privsep))}
	if t.comment != "" {
		info["comment"] = t.comment
	}
	return object{"full-tokenid": full, "info": info, "value": t.secret}, nil
}

func (q *call) tokenDelete() (any, error) {
	if err := q.ownTokens(); err != nil {
		return nil, err
	}
	full := q.vars["userid"] + "!" + q.vars["tokenid"]
	if q.c.access.tokens[full] == nil {
		return nil, fail("no such token '%s' for user '%s'", q.vars["tokenid"], q.vars["userid"])
	}
	delete(q.c.access.tokens, full)
	return nil, nil
}

func (q *call) aclList() (any, error) {
	out := []any{}
	if !q.may("/access", "Sys.Audit|Permissions.Modify") {
		return out, nil
	}
	for _, e := range q.c.access.acl {
		kind := "user"
		if strings.Contains(e.Who, "!") {
			kind = "token"
		}
		out = append(out, object{"path": e.Path, "roleid": e.Role, "ugid": e.Who, "type": kind, "propagate": flag(!e.NoPropagate)})
	}
	return out, nil
}

func (q *call) aclUpdate() (any, error) {
	path := q.p["path"]
	if err := q.need(path, "Permissions.Modify"); err != nil {
		return nil, err
	}
	a := &q.c.access
	for _, role := range listOf(q.p["roles"]) {
		if _, ok := a.roles[role]; !ok {
			return nil, fail("ACL update failed: role '%s' does not exist", role)
		}
		for _, who := range append(listOf(q.p["users"]), listOf(q.p["tokens"])...) {
			kept := []ACL{}
			for _, e := range a.acl {
				if e.Path != path || e.Who != who || e.Role != role {
					kept = append(kept, e)
				}
			}
			a.acl = kept
			if !q.p.bool("delete") {
				a.acl = append(a.acl, ACL{Path: path, Who: who, Role: role, NoPropagate: q.p["propagate"] == "0"})
			}
		}
	}
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
