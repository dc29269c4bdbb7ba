package pvesim

import (
	"slices"
	"strings"
)

// storageRoutes are the storage configuration of the cluster.
var storageRoutes = []routeRow{
	{"GET", "/storage", "", "type:enum(storages)", (*call).storageConfigList},
	{"POST", "/storage", "/storage Datastore.Allocate", `+storage storage!:storage-id type!:enum(storages) authsupported:string base:string
		datastore:string export:string iscsiprovider:string path:string portal:string share:string target:string thinpool:string vgname:string`, (*call).storageCreate},
	{"GET", "/storage/{storage}", "/storage/{storage} Datastore.Allocate", "", (*call).storageConfigShow},
	{"PUT", "/storage/{storage}", "/storage Datastore.Allocate", "+storage delete:configid-list<4096 digest:string<64", (*call).storageUpdate},
	{"DELETE", "/storage/{storage}", "/storage Datastore.Allocate", "", (*call).storageDelete},
}

// config is a storage's entry in the configuration.
func (s *storage) config() object {
	o := object{"storage": s.Name, "type": s.Type, "content": strings.Join(s.Content, ",")}
	for k, v := range s.more {
		o[k] = v
	}
	if s.Shared {
		o["shared"] = 1
	}
	if s.Disabled {
		o["disable"] = 1
	}
	if s.files() {
		o["path"] = s.path
	}
	if len(s.Nodes) > 0 {
		o["nodes"] = strings.Join(s.Nodes, ",")
	}
	if s.Preallocation != "" {
		o["preallocation"] = s.Preallocation
	}
	o["digest"] = s.digest()
	return o
}

func (s *storage) digest() string {
	m := map[string]string{
		"storage": s.Name, "content": strings.Join(s.Content, ","), "nodes": strings.Join(s.Nodes, ","),
		"disable": itoa(flag(s.Disabled)), "shared": itoa(flag(s.Shared)), "preallocation": s.Preallocation,
	}
	for k, v := range s.more {
		m[k] = v
	}
	return digestOf(m)
}

func (q *call) storageConfigList() (any, error) {
	out := []any{}
	for _, s := range q.c.storages {
		if q.mayStore(s.Name) && (q.p["type"] == "" || q.p["type"] == s.Type) {
			out = append(out, s.config())
		}
	}
	return out, nil
}

// storageNamed finds the storage of a path.
func (q *call) storageNamed() (*storage, error) {
	if s := q.c.storage(q.vars["storage"]); s != nil {
		return s, nil
	}
	return nil, fail("storage '%s' does not exist", q.vars["storage"])
}

func (q *call) storageConfigShow() (any, error) {
	s, err := q.storageNamed()
	if err != nil {
		return nil, err
	}
	return s.config(), nil
}

// storageSettings are parameters that the simulator minds; all others it only keeps.
var storageSettings = strings.Fields("storage type path content nodes shared preallocation disable delete digest")

// configure sets what a call says about a storage.
func (s *storage) configure(p params) {
	for _, k := range sortedKeys(p) {
		if !contains(storageSettings, k) && !contains(secretParams, k) {
			s.more[k] = p[k]
		}
	}
	if p.has("content") {
		s.Content = listOf(p["content"])
	}
	if p.has("nodes") {
		s.Nodes = listOf(p["nodes"])
	}
	if p.has("shared") {
		s.Shared = p.bool("shared")
	}
	if p.has("disable") {
		s.Disabled = p.bool("disable")
	}
	s.Preallocation = p.str("preallocation", s.Preallocation)
	s.path = p.str("path", s.path)
}

// alwaysShared are storage types whose content all nodes see.
var alwaysShared = strings.Fields("nfs cifs cephfs rbd iscsi iscsidirect zfs pbs")

func (q *call) storageCreate() (any, error) {
	name := q.p["storage"]
	if q.c.storage(name) != nil {
		return nil, fail("create storage failed: storage ID '%s' already defined", name)
	}
	for _, n := range listOf(q.p["nodes"]) {
		if q.c.node(n) == nil {
			return nil, fail("no such cluster node '%s'", n)
		}
	}
	s := newStorage(Storage{Name: name, Type: q.p["type"], Shared: contains(alwaysShared, q.p["type"])})
	s.configure(q.p)
	q.c.storages = append(q.c.storages, s)
	// What a storage of this name left behind is seen again.
	for k, v := range q.c.volumes {
		if k.storage == name {
			v.storage = s
		}
	}
	return object{"storage": name, "type": s.Type}, nil
}

func (q *call) storageUpdate() (any, error) {
	s, err := q.storageNamed()
	if err != nil {
		return nil, err
	}
	if err := checkDigest(q.p["digest"], s.digest()); err != nil {
		return nil, err
	}
	for _, k := range listOf(q.p["delete"]) {
		switch k {
		case "nodes":
			s.Nodes = nil
		case "disable":
			s.Disabled = false
		case "preallocation":
			s.Preallocation = ""
		default:
			delete(s.more, k)
		}
	}
	if q.p.has("shared") && q.p.bool("shared") != s.Shared {
		return nil, fail("update storage failed: the simulator cannot make a storage shared later, or the other way round")
	}
	s.configure(q.p)
	return object{"storage": s.Name, "type": s.Type}, nil
}

// storageDelete removes the configuration; the volumes stay where they are.
func (q *call) storageDelete() (any, error) {
	s, err := q.storageNamed()
	if err != nil {
		return nil, fail("delete storage failed: %s", err)
	}
	q.c.storages = slices.DeleteFunc(q.c.storages, func(x *storage) bool { return x == s })
	return nil, nil
}
