package pvesim

import (
	"maps"
	"strings"
)

// userFields are what a user has beside the name, as parameters give it.
var userFields = strings.Fields("comment email firstname lastname keys expire enable")

// userSchema are the parameters of a user.
var userSchema schema

// set takes over what a call says about a user.
func (u *user) set(p params) {
	for _, k := range userFields {
		if v, ok := p[k]; ok {
			u.fields[k] = v
		}
	}
	if p.has("groups") {
		if !p.bool("append") {
			u.groups = map[string]bool{}
		}
		for _, g := range listOf(p["groups"]) {
			u.groups[g] = true
		}
	}
}

// show is a user without groups and tokens.
func (u *user) show() object {
	o := object{"enable": 1, "expire": 0}
	for k, v := range u.fields {
		o[k] = userSchema[k].asJSON(v)
	}
	delete(o, "keys")
	return o
}

// enabled reports whether a user may log in.
func (u *user) enabled(now int64) bool {
	expire := params(u.fields).int("expire", 0)
	return u.fields["enable"] != "0" && (expire == 0 || int64(expire) > now)
}

func (q *call) userList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.access.users) {
		u := q.c.access.users[name]
		if name != q.who.user && !q.may("/access/groups", "User.Modify|Sys.Audit") || q.p.bool("enabled") && !u.enabled(q.c.cfg.Now().Unix()) {
			continue
		}
		o := u.show()
		_, realm, _ := strings.Cut(name, "@")
		o["userid"], o["realm-type"] = name, realm
		if q.p.bool("full") {
			o["groups"] = strings.Join(sortedKeys(u.groups), ",")
			o["tokens"] = q.c.access.tokensOf(name)
		}
		out = append(out, o)
	}
	return out, nil
}

// checkGroups checks that the groups of a call exist.
func (q *call) checkGroups(what string) error {
	for _, g := range listOf(q.p["groups"]) {
		if _, ok := q.c.access.groups[g]; !ok {
			return fail("%s user failed: group '%s' does not exist", what, g)
		}
	}
	return nil
}

func (q *call) userCreate() (any, error) {
	name := q.p["userid"]
	if q.c.access.users[name] != nil {
		return nil, fail("create user failed: user '%s' already exists", name)
	}
	if err := q.checkGroups("create"); err != nil {
		return nil, err
	}
	u := newUser(q.p["password"])
	u.set(q.p)
	q.c.access.users[name] = u
	return nil, nil
}

func (q *call) userShow() (any, error) {
	u := q.c.access.users[q.vars["userid"]]
	if u == nil {
		return nil, fail("no such user ('%s')", q.vars["userid"])
	}
	o := u.show()
	o["groups"] = sortedKeys(u.groups)
	tokens := object{}
	for _, t := range q.c.access.tokensOf(q.vars["userid"]) {
		id := t["tokenid"].(string)
		delete(t, "tokenid")
		tokens[id] = t
	}
	if len(tokens) > 0 {
		o["tokens"] = tokens
	}
	return o, nil
}

func (q *call) userUpdate() (any, error) {
	u := q.c.access.users[q.vars["userid"]]
	if u == nil {
		return nil, fail("update user failed: no such user ('%s')", q.vars["userid"])
	}
	if err := q.checkGroups("update"); err != nil {
		return nil, err
	}
	u.set(q.p)
	return nil, nil
}

// userDelete removes a user with its tokens and its entries of the access control list.
func (q *call) userDelete() (any, error) {
	name := q.vars["userid"]
	a := &q.c.access
	switch {
	case a.users[name] == nil:
		return nil, fail("delete user failed: user '%s' does not exist", name)
	case name == "root@pam":
		return nil, fail("delete user failed: unable to delete 'root@pam'")
	}
	delete(a.users, name)
	for full := range a.tokens {
		if owner, _ := splitToken(full); owner == name {
			delete(a.tokens, full)
		}
	}
	a.dismiss(func(who string) bool { owner, _ := splitToken(who); return owner == name })
	maps.DeleteFunc(a.tickets, func(_ string, t ticketInfo) bool { return t.user == name })
	return nil, nil
}

// dismiss removes the entries of the access control list for some users, groups or tokens.
func (a *access) dismiss(gone func(who string) bool) {
	kept := []ACL{}
	for _, e := range a.acl {
		if !gone(e.Who) {
			kept = append(kept, e)
		}
	}
	a.acl = kept
}

func (q *call) setPassword() (any, error) {
	name := q.p["userid"]
	if name != q.who.user {
		_, realm, _ := strings.Cut(name, "@")
		if err := q.need("/access/realm/"+realm, "Realm.AllocateUser"); err != nil {
			return nil, err
		}
		if err := q.need("/access/groups", "User.Modify"); err != nil {
			return nil, err
		}
	}
	u := q.c.access.users[name]
	if u == nil {
		return nil, fail("user '%s' does not exist", name)
	}
	u.password = q.p["password"]
	return nil, nil
}

func (q *call) groupList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(q.c.access.groups) {
		if q.may("/access/groups", "User.Modify|Sys.Audit|Group.Allocate") {
			o := object{"groupid": name, "users": strings.Join(q.c.access.members(name), ",")}
			if c := q.c.access.groups[name]; c != "" {
				o["comment"] = c
			}
			out = append(out, o)
		}
	}
	return out, nil
}

// members are the users of a group.
func (a *access) members(group string) []string {
	list := []string{}
	for _, name := range sortedKeys(a.users) {
		if a.users[name].groups[group] {
			list = append(list, name)
		}
	}
	return list
}

// groupExists checks that the group of a path is there.
func (q *call) groupExists(prefix string) error {
	if _, ok := q.c.access.groups[q.vars["groupid"]]; !ok {
		return fail("%sgroup '%s' does not exist", prefix, q.vars["groupid"])
	}
	return nil
}

func (q *call) groupCreate() (any, error) {
	name := q.p["groupid"]
	if _, ok := q.c.access.groups[name]; ok {
		return nil, fail("create group failed: group '%s' already exists", name)
	}
	q.c.access.groups[name] = q.p["comment"]
	return nil, nil
}

func (q *call) groupShow() (any, error) {
	if err := q.groupExists(""); err != nil {
		return nil, err
	}
	name := q.vars["groupid"]
	o := object{"members": q.c.access.members(name)}
	if c := q.c.access.groups[name]; c != "" {
		o["comment"] = c
	}
	return o, nil
}

func (q *call) groupUpdate() (any, error) {
	if err := q.groupExists("update group failed: "); err != nil {
		return nil, err
	}
	if q.p.has("comment") {
		q.c.access.groups[q.vars["groupid"]] = q.p["comment"]
	}
	return nil, nil
}

func (q *call) groupDelete() (any, error) {
	if err := q.groupExists("delete group failed: "); err != nil {
		return nil, err
	}
	name := q.vars["groupid"]
	delete(q.c.access.groups, name)
	for _, u := range q.c.access.users {
		delete(u.groups, name)
	}
	q.c.access.dismiss(func(who string) bool { return who == "@"+name })
	return nil, nil
}

// realms are those that Proxmox VE has from the start.
var realms = map[string]string{"pam": "Linux PAM standard authentication", "pve": "Proxmox VE authentication server"}

func (q *call) realmList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(realms) {
		o := object{"realm": name, "type": name, "comment": realms[name]}
		if name == "pam" {
			o["default"] = 1
		}
		out = append(out, o)
	}
	return out, nil
}

func (q *call) realmShow() (any, error) {
	name := q.vars["realm"]
	if realms[name] == "" {
		return nil, fail("domain '%s' does not exist", name)
	}
	return object{"type": name, "comment": realms[name], "digest": digestOf(realms)}, nil
}
