package pvesim

import (
	"regexp"
	"strings"
)

// aclPath are the paths that permissions can be given on.
var aclPath = regexp.MustCompile(`^(/|/access|/access/groups|/access/groups/[\w.-]+|/access/realm|/access/realm/[\w.-]+` +
	`|/mapping|/mapping/(dir|hwrng|pci|usb)|/mapping/(dir|hwrng|pci|usb)/[\w.-]+|/nodes|/nodes/[\w.-]+` +
	`|/pool|/pool/[\w.-]+(/[\w.-]+){0,2}|/sdn|/sdn/(controllers|dns|fabrics|ipams)(/[\w.-]+)?|/sdn/zones|/sdn/zones/[\w.-]+(/[\w.-]+(/[1-9]\d{0,3})?)?` +
	`|/storage|/storage/[\w.-]+|/vms|/vms/[1-9]\d{2,})$`)

func (q *call) aclList() (any, error) {
	out := []any{}
	if !q.may("/access", "Sys.Audit|Permissions.Modify") {
		return out, nil
	}
	for _, e := range q.c.access.acl {
		kind := "user"
		switch {
		case strings.Contains(e.Who, "!"):
			kind = "token"
		case strings.HasPrefix(e.Who, "@"):
			kind = "group"
		}
		out = append(out, object{"path": e.Path, "roleid": e.Role, "ugid": strings.TrimPrefix(e.Who, "@"), "type": kind, "propagate": flag(!e.NoPropagate)})
	}
	return out, nil
}

func (q *call) aclUpdate() (any, error) {
	path := q.p["path"]
	if err := q.need(path, "Permissions.Modify"); err != nil {
		return nil, err
	}
	if err := q.checkACL(); err != nil {
		return nil, err
	}
	a := &q.c.access
	for _, role := range listOf(q.p["roles"]) {
		if _, ok := a.roles[role]; !ok {
			return nil, fail("ACL update failed: role '%s' does not exist", role)
		}
		for _, who := range q.aclSubjects() {
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

// checkACL checks the path of a change of permissions, and that those whom it is about exist.
func (q *call) checkACL() error {
	a := &q.c.access
	if !q.p.has("users") && !q.p.has("groups") && !q.p.has("tokens") {
		text := "either 'users', 'groups' or 'tokens' is required."
		return badParams(map[string]string{"users": text, "groups": text, "tokens": text})
	}
	if !q.p.bool("delete") && !aclPath.MatchString(q.p["path"]) {
		return badParam("path", "invalid ACL path '%s'", q.p["path"])
	}
	for _, name := range listOf(q.p["users"]) {
		if a.users[name] == nil {
			return fail("ACL update failed: user '%s' does not exist", name)
		}
	}
	for _, name := range listOf(q.p["groups"]) {
		if _, ok := a.groups[name]; !ok {
			return fail("ACL update failed: group '%s' does not exist", name)
		}
	}
	for _, full := range listOf(q.p["tokens"]) {
		if user, id := splitToken(full); a.tokens[full] == nil {
			return fail("ACL update failed: no such token '%s' for user '%s'", id, user)
		}
	}
	return nil
}

// aclSubjects are the users, groups and tokens of a change of permissions.
func (q *call) aclSubjects() []string {
	list := append(listOf(q.p["users"]), listOf(q.p["tokens"])...)
	for _, g := range listOf(q.p["groups"]) {
		list = append(list, "@"+g)
	}
	return list
}
