package pvesim

import (
	"sort"
	"strconv"
	"strings"
)

// pool is a group of VMs and storages.
type pool struct {
	name, comment string
	vms           map[int]bool
	storages      map[string]bool
}

func newPool(name, comment string) *pool {
	return &pool{name, comment, map[int]bool{}, map[string]bool{}}
}

// has reports whether the object of a permission path is a member.
func (p *pool) has(path string) bool {
	if s, ok := strings.CutPrefix(path, "/storage/"); ok {
		return p.storages[s]
	}
	s, ok := strings.CutPrefix(path, "/vms/")
	id, err := strconv.Atoi(s)
	return ok && err == nil && p.vms[id]
}

// poolOf is the name of the pool that a VM is in; "" for none.
func (c *Cluster) poolOf(vmid int) string {
	for name, p := range c.pools {
		if p.vms[vmid] {
			return name
		}
	}
	return ""
}

// joinPool puts a VM into a pool, unless that is gone by now.
func (c *Cluster) joinPool(name string, vmid int) {
	if p := c.pools[name]; p != nil {
		p.vms[vmid] = true
	}
}

func (c *Cluster) leavePools(vmid int) {
	for _, p := range c.pools {
		delete(p.vms, vmid)
	}
}

func sortedIDs[V any](m map[int]V) []int {
	ids := make([]int, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	return ids
}

// showPool is a pool with its members that the caller may see.
func (q *call) showPool(p *pool) object {
	members := []any{}
	for _, id := range sortedIDs(p.vms) {
		if v := q.c.vms[id]; v != nil && q.p["type"] != "storage" && q.may("/vms/"+itoa(id), "VM.Audit") {
			o := q.c.resource(v)
			for _, k := range []string{"pool", "tags", "lock"} {
				delete(o, k)
			}
			members = append(members, o)
		}
	}
	for _, name := range sortedKeys(p.storages) {
		s := q.c.storage(name)
		for _, n := range q.c.nodes {
			if s != nil && s.on(n.Name) && (q.p["type"] == "" || q.p["type"] == "storage") {
				members = append(members, q.c.storageResource(s, n))
			}
		}
	}
	o := object{"members": members, "poolid": p.name}
	if p.comment != "" {
		o["comment"] = p.comment
	}
	return o
}

func (q *call) poolNamed() (*pool, error) {
	name := q.p.str("poolid", q.vars["poolid"])
	if p := q.c.pools[name]; p != nil {
		return p, nil
	}
	return nil, fail("pool '%s' does not exist", name)
}

func (q *call) poolList() (any, error) {
	if q.p.has("poolid") {
		p, err := q.poolNamed()
		if err != nil {
			return nil, err
		}
		if err := q.need("/pool/"+p.name, "Pool.Audit"); err != nil {
			return nil, err
		}
		return []any{q.showPool(p)}, nil
	}
	out := []any{}
	for _, name := range sortedKeys(q.c.pools) {
		if q.may("/pool/"+name, "Pool.Audit") {
			o := object{"poolid": name}
			if cm := q.c.pools[name].comment; cm != "" {
				o["comment"] = cm
			}
			out = append(out, o)
		}
	}
	return out, nil
}

func (q *call) poolShow() (any, error) {
	p, err := q.poolNamed()
	if err != nil {
		return nil, err
	}
	return q.showPool(p), nil
}

func (q *call) poolCreate() (any, error) {
	name := q.p["poolid"]
	if q.c.pools[name] != nil {
		return nil, fail("create pool failed: pool '%s' already exists", name)
	}
	q.c.pools[name] = newPool(name, q.p["comment"])
	return nil, nil
}

func (q *call) poolUpdate() (any, error) {
	p, err := q.poolNamed()
	if err != nil {
		return nil, err
	}
	if q.p.has("comment") {
		p.comment = q.p["comment"]
	}
	remove := q.p.bool("delete")
	for _, name := range listOf(q.p["storage"]) {
		if remove {
			delete(p.storages, name)
		} else {
			p.storages[name] = true
		}
	}
	for _, word := range listOf(q.p["vms"]) {
		id, _ := strconv.Atoi(word)
		if err := q.changeMember(p, id, remove); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (q *call) changeMember(p *pool, id int, remove bool) error {
	other := q.c.poolOf(id)
	switch {
	case remove && !p.vms[id]:
		return fail("update pool failed: VM %d is not a pool member", id)
	case remove:
		delete(p.vms, id)
		return nil
	case other != "" && other != p.name && !q.p.bool("allow-move"):
		return fail("update pool failed: VM %d belongs already to pool '%s' and 'allow-move' is not set", id, other)
	}
	q.c.leavePools(id)
	p.vms[id] = true
	return nil
}

func (q *call) poolDelete() (any, error) {
	p, err := q.poolNamed()
	if err != nil {
		return nil, err
	}
	if len(p.vms)+len(p.storages) > 0 {
		return nil, fail("delete pool failed: pool '%s' is not empty", p.name)
	}
	delete(q.c.pools, p.name)
	return nil, nil
}
