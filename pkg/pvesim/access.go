package pvesim

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// identity is who calls: a user, or one of the user's tokens.
type identity struct{ user, token string }

func (i identity) String() string {
	if i.token == "" {
		return i.user
	}
	return i.user + "!" + i.token
}

// isRoot: some options are for root@pam itself only, not for its tokens.
func (i identity) isRoot() bool { return i.user == "root@pam" && i.token == "" }

func splitToken(s string) (user, token string) {
	user, token, _ = strings.Cut(s, "!")
	return user, token
}

// access are users, tokens, roles and the access control list.
type access struct {
	users   map[string]*user
	groups  map[string]string // name to comment
	tokens  map[string]*token // by "user!token"
	roles   map[string][]string
	acl     []ACL
	tickets map[string]ticketInfo
}

type user struct {
	password string
	fields   map[string]string // by userFields
	groups   map[string]bool
}

func newUser(password string) *user {
	return &user{password, map[string]string{}, map[string]bool{}}
}

type token struct {
	secret  string
	privsep bool // its rights are those of the user and of the token
	comment string
	expire  int // Unix time; 0 for never
}

type ticketInfo struct {
	user, csrf string
	until      time.Time
}

func newAccess(cfg Config, r release) access {
	a := access{users: map[string]*user{"root@pam": newUser("")}, groups: map[string]string{}, tokens: map[string]*token{}, roles: map[string][]string{}, acl: cfg.ACL, tickets: map[string]ticketInfo{}}
	for name, privs := range builtinRoles {
		a.roles[name] = r.known(privs)
	}
	for name, privs := range cfg.Roles {
		a.roles[name] = privs
	}
	for name, password := range cfg.Passwords {
		a.users[name] = newUser(password)
	}
	for name, secret := range cfg.Tokens {
		owner, _ := splitToken(name)
		if a.users[owner] == nil {
			a.users[owner] = newUser("")
		}
		a.tokens[name] = &token{secret: secret, privsep: owner != "root@pam"}
	}
	return a
}

// forget removes the entries of the access control list for a path.
func (a *access) forget(path string) {
	kept := []ACL{}
	for _, e := range a.acl {
		if e.Path != path {
			kept = append(kept, e)
		}
	}
	a.acl = kept
}

func unauthorized(reason string) error { return &apiError{code: 401, reason: reason, empty: true} }

// login finds out who calls.
func (q *call) login(r *http.Request, rt *route) error {
	if rt != nil && rt.perm == "world" {
		return nil
	}
	header := r.Header.Get("Authorization")
	ticket := authValue(strings.Join(r.Header.Values("Cookie"), "; "), cookieValue)
	if ticket == "" {
		ticket = authValue(header, cookieValue)
	}
	if ticket == "" {
		if token := authValue(header, tokenValue); token != "" {
			return q.loginToken(token)
		}
		return unauthorized("No ticket")
	}
	t, ok := q.c.access.tickets[ticket]
	if !ok || q.c.cfg.Now().After(t.until) {
		return unauthorized("Authentication failed!")
	}
	if r.Method != http.MethodGet && r.Header.Get("CSRFPreventionToken") != t.csrf {
		return unauthorized("Permission denied - invalid csrf token")
	}
	q.who = identity{user: t.user}
	return nil
}

var (
	cookieValue = regexp.MustCompile(`(?:^|\s)PVEAuthCookie[= ]([^;]*)`)
	tokenValue  = regexp.MustCompile(`(?:^|\s)PVEAPIToken[= ]([^;]*)`)
)

// authValue finds a ticket or a token in a header. It may be encoded as in a URL.
func authValue(header string, pattern *regexp.Regexp) string {
	m := pattern.FindStringSubmatch(header)
	if m == nil {
		return ""
	}
	return unescape(m[1])
}

func (q *call) loginToken(s string) error {
	id, secret, _ := strings.Cut(s, "=")
	t := q.c.access.tokens[id]
	now := q.c.cfg.Now().Unix()
	if t == nil || t.expire > 0 && int64(t.expire) <= now || subtle.ConstantTimeCompare([]byte(t.secret), []byte(secret)) != 1 {
		return unauthorized("Authentication failed!")
	}
	q.who.user, q.who.token = splitToken(id)
	if u := q.c.access.users[q.who.user]; u == nil || !u.enabled(now) {
		return unauthorized("Authentication failed!")
	}
	return nil
}

// ticketLife is how long a ticket is good for.
const ticketLife = 2 * time.Hour

// loginPage is there for browsers, and empty.
func (q *call) loginPage() (any, error) { return nil, nil }

// ticket logs in with a password, or with a ticket that is to be renewed.
func (q *call) ticket() (any, error) {
	name := q.p["username"]
	if realm := q.p["realm"]; realm != "" && !strings.Contains(name, "@") {
		name += "@" + realm
	}
	now := q.c.cfg.Now()
	if u := q.c.access.users[name]; u == nil || !u.enabled(now.Unix()) || !q.c.access.proves(name, q.p["password"], now) {
		q.pause(q.c.cfg.AuthDelay, nil)
		return nil, &apiError{code: 401, reason: "authentication failure"}
	}
	value := fmt.Sprintf("PVE:%s:%08X::%s", name, now.Unix(), q.c.signature(256))
	csrf := fmt.Sprintf("%08X:%s", now.Unix(), strings.TrimRight(q.c.signature(32), "="))
	q.c.access.tickets[value] = ticketInfo{name, csrf, now.Add(ticketLife)}
	o := object{"ticket": value, "CSRFPreventionToken": csrf, "username": name, "cap": object{}}
	if len(q.c.nodes) > 1 {
		o["clustername"] = clusterName
	}
	return o, nil
}

// proves reports whether a secret is a user's password, or a ticket of the user's that is still good.
func (a *access) proves(name, secret string, now time.Time) bool {
	if t, ok := a.tickets[secret]; ok {
		return t.user == name && now.Before(t.until)
	}
	password := a.users[name].password
	return password != "" && subtle.ConstantTimeCompare([]byte(password), []byte(secret)) == 1
}

// signature is n random bytes in Base64: a client must encode what they contain.
func (c *Cluster) signature(n int) string {
	b := []byte{}
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, c.rnd.Uint64())
	}
	b = b[:n]
	return base64.StdEncoding.EncodeToString(b)
}

// permit checks the permission of a route.
func (q *call) permit(perm string) error {
	switch perm {
	case "", "world":
		return nil
	case "clone":
		return q.permitClone()
	case "adduser":
		_, realm, _ := strings.Cut(q.p.str("userid", q.vars["userid"]), "@")
		return q.need("/access/realm/"+realm, "Realm.AllocateUser")
	}
	path, privs, _ := strings.Cut(perm, " ")
	return q.need(q.fill(path), privs)
}

// fill puts variables and parameters into a path.
func (q *call) fill(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name := strings.Trim(p, "{}"); name != p {
			if parts[i] = q.vars[name]; parts[i] == "" {
				parts[i] = q.p[name]
			}
		}
	}
	return strings.Join(parts, "/")
}

// permitClone: the right to clone, and to make a VM under the new ID or in the pool.
func (q *call) permitClone() error {
	if err := q.need("/vms/"+q.vars["vmid"], "VM.Clone"); err != nil {
		return err
	}
	if q.may("/vms/"+q.p["newid"], "VM.Allocate") {
		return nil
	}
	if p := q.p["pool"]; p != "" && q.may("/pool/"+p, "VM.Allocate") {
		return nil
	}
	if p := q.p["pool"]; p != "" && q.c.pools[p] == nil {
		return denied("pool '" + p + "' does not exist")
	}
	return denied("")
}

// need demands one of the privileges ("A|B") on a path.
func (q *call) need(path, privs string) error {
	privs = q.c.release.needed(privs)
	if q.may(path, privs) {
		return nil
	}
	return denied(path + ", " + privs)
}

// may reports whether the caller has one of the privileges on a path.
func (q *call) may(path, privs string) bool {
	for _, p := range strings.Split(q.c.release.needed(privs), "|") {
		if q.c.allowed(q.who, path, p) {
			return true
		}
	}
	return false
}

func (c *Cluster) allowed(who identity, path, priv string) bool {
	if who.token == "" {
		return c.userMay(who.user, path, priv)
	}
	t := c.access.tokens[who.String()]
	if t == nil || !c.userMay(who.user, path, priv) {
		return false
	}
	return !t.privsep || c.granted(who.String(), path, priv)
}

func (c *Cluster) userMay(name, path, priv string) bool {
	return name == "root@pam" || c.granted(name, path, priv)
}

// noAccess is the role that takes away what any other at the same place gives, and what pools give.
const noAccess = "NoAccess"

// granted looks a privilege up on a path and on the pools that the path's object is in.
func (c *Cluster) granted(who, path, priv string) bool {
	roles, _ := c.rolesAt(who, path)
	if contains(roles, noAccess) {
		return false
	}
	if c.anyRole(roles, priv) {
		return true
	}
	for name, p := range c.pools {
		if !p.has(path) {
			continue
		}
		if roles, ok := c.rolesAt(who, "/pool/"+name); ok && c.anyRole(roles, priv) {
			return true
		}
	}
	return false
}

func (c *Cluster) anyRole(roles []string, priv string) bool {
	if contains(roles, noAccess) {
		return false
	}
	for _, r := range roles {
		if contains(c.access.roles[r], priv) {
			return true
		}
	}
	return false
}

// rolesAt are the roles on a path: those of the deepest entry that applies. At the same depth the
// entries of the user itself count more than those of its groups.
func (c *Cluster) rolesAt(who, path string) (roles []string, ok bool) {
	deepest := -1
	for _, e := range c.access.acl {
		rank := c.access.rank(e.Who, who)
		if rank < 0 || !e.covers(path) {
			continue
		}
		switch n := 2*len(strings.Trim(e.Path, "/")) + rank; {
		case n > deepest:
			deepest, roles = n, []string{e.Role}
		case n == deepest:
			roles = append(roles, e.Role)
		}
	}
	return roles, deepest >= 0
}

// rank says how an entry for somebody applies to a user or token: 1 by name, 0 through a group, -1
// not at all.
func (a *access) rank(entry, who string) int {
	if entry == who {
		return 1
	}
	group, isGroup := strings.CutPrefix(entry, "@")
	if u := a.users[who]; isGroup && u != nil && u.groups[group] {
		return 0
	}
	return -1
}

// covers reports whether an entry applies to a path.
func (e ACL) covers(path string) bool {
	if e.Path == path {
		return true
	}
	return !e.NoPropagate && (e.Path == "/" || strings.HasPrefix(path, e.Path+"/"))
}

// needBridge demands the right to use a network card's bridge.
func (q *call) needBridge(n nic) error {
	b := n.opts["bridge"]
	if b == "" {
		return nil
	}
	path := "/sdn/zones/localnetwork/" + b
	if tag := n.opts["tag"]; tag != "" && q.may(path+"/"+tag, "SDN.Use") {
		return nil
	}
	return q.need(path, "SDN.Use")
}
