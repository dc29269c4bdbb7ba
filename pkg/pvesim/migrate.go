package pvesim

import (
	"fmt"
	"strings"
	"time"
)

// migrateCheck says where a VM could go.
func (q *call) migrateCheck() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	allowed, disks := []string{}, []any{}
	for _, id := range v.volids() {
		if vol := q.c.volume(id, v.node); vol != nil && !vol.storage.Shared {
			disks = append(disks, object{"volid": id, "size": vol.size, "cdrom": flag(vol.content == "iso" || strings.Contains(vol.name, "cloudinit")), "is_unused": 0})
		}
	}
	for _, n := range q.c.nodes {
		if n.Name != v.node && n.online {
			allowed = append(allowed, n.Name)
		}
	}
	return object{"running": flag(v.running), "allowed_nodes": allowed, "not_allowed_nodes": object{}, "local_disks": disks, "local_resources": []string{}, "mapped-resources": []string{}, "mapped-resource-info": object{}, "has-dbus-vmstate": 0}, nil
}

// migrate moves a VM to another node, with its local disks.
func (q *call) migrate() (any, error) {
	target := q.p["target"]
	if target == q.node {
		return nil, badParam("target", "target is local node.")
	}
	if err := q.c.quorum(); err != nil {
		return nil, err
	}
	if q.c.node(target) == nil {
		return nil, fail("no such cluster node '%s'", target)
	}
	for _, k := range []string{"force", "migration_type", "migration_network"} {
		if q.p.has(k) && !q.who.isRoot() {
			return nil, badParam(k, "Only root may use this option.")
		}
	}
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if err := v.unlocked(false); err != nil {
		return nil, err
	}
	if v.running && !q.p.bool("online") {
		return nil, fail("can't migrate running VM without --online")
	}
	storages, err := q.targetStorages(v, target)
	if err != nil {
		return nil, err
	}
	if r := q.c.haOf(v.id); r != nil {
		return q.haMigrate(r, target, storages), nil
	}
	return q.migration(target, storages), nil
}

// haMigrate asks high availability to move a VM. It does so by itself, in a task of root@pam.
func (q *call) haMigrate(r *haResource, target string, storages map[string]string) string {
	return q.fork("hamigrate", q.vars["vmid"], func(t *task) *job {
		return &job{steps: once(0, func() error {
			t.log("Requesting HA migration for VM %d to node %s", r.vmid, target)
			manager := &call{c: q.c, who: identity{user: "root@pam"}, node: q.node, vars: q.vars, p: params{"online": "1", "with-local-disks": "1"}}
			manager.migration(target, storages)
			return nil
		})}
	})
}

// haMove asks high availability to move a VM. A running one keeps running, also where it is relocated.
func (q *call) haMove() (any, error) {
	r, err := q.haNamed()
	if err != nil {
		return nil, err
	}
	target, v := q.p["node"], q.c.vms[r.vmid]
	if q.c.node(target) == nil {
		return nil, fail("no such cluster node '%s'", target)
	}
	if v != nil && v.node != target {
		manager := &call{c: q.c, who: identity{user: "root@pam"}, node: v.node, vars: map[string]string{"vmid": itoa(v.id)}, p: params{"online": "1", "with-local-disks": "1"}}
		manager.migration(target, map[string]string{})
	}
	return object{"sid": haID(r.vmid), "requested-node": target}, nil
}

// migrateAll moves the guests of a node, each in a task of its own.
func (q *call) migrateAll() (any, error) {
	target := q.p["target"]
	if target == q.node {
		return nil, badParam("target", "target is local node.")
	}
	if q.c.node(target) == nil {
		return nil, fail("no such cluster node '%s'", target)
	}
	p := params{"target": target, "online": "1"}
	if q.p.bool("with-local-disks") {
		p["with-local-disks"] = "1"
	}
	return q.forAll("migrateall", "Migrating", func(*vm) bool { return true }, p, (*call).migrate)
}

// migration starts the task that moves a VM.
func (q *call) migration(target string, storages map[string]string) string {
	return q.fork("qmigrate", q.vars["vmid"], func(t *task) *job {
		m := &migration{q: q, t: t, target: q.c.node(target), storages: storages}
		return &job{locks: lockVM(q.vmid()), steps: []step{{run: m.begin}, {takes: q.c.cfg.Durations.Migrate, run: m.finish}}, undo: m.undo}
	})
}

// migration is the work of the task. Why it fails stands in its log alone (PVE::AbstractMigrate): the exit
// status is always the same.
type migration struct {
	q        *call
	t        *task
	target   *node
	storages map[string]string
	v        *vm
}

func (m *migration) log(format string, args ...any) {
	m.t.log("%s %s", m.q.c.cfg.Now().UTC().Format(time.DateTime), fmt.Sprintf(format, args...))
}

// aborted is the end of a migration that has left everything as it was.
func (m *migration) aborted(err error) error {
	m.log("ERROR: migration aborted (duration 00:00:00): %v", err)
	return fail("migration aborted")
}

func (m *migration) begin() error {
	v, err := m.q.vmOf()
	if err != nil {
		return m.aborted(err)
	}
	if err := v.unlocked(false); err != nil {
		return m.aborted(err)
	}
	if v.running && !m.q.p.bool("online") {
		return m.aborted(fail("can't migrate running VM without --online"))
	}
	if !m.target.online {
		return m.aborted(fail("Can't connect to destination address using public key"))
	}
	m.log("starting migration of VM %d to node '%s' (%s)", v.id, m.target.Name, m.target.IP)
	if err := m.scan(v); err != nil {
		return m.aborted(fail("Problem found while scanning volumes - %v", err))
	}
	m.v = v
	m.v.conf["lock"] = "migrate"
	return nil
}

// scan looks for volumes that cannot go along.
func (m *migration) scan(v *vm) error {
	bad := false
	for _, id := range v.volids() {
		vol := m.q.c.volume(id, v.node)
		if vol == nil || vol.storage.Shared {
			continue
		}
		m.log("found local disk '%s'", id)
		if problem := m.stays(v, vol); problem != "" {
			m.log("can't migrate local disk '%s': %s", id, problem)
			bad = true
		}
	}
	if bad {
		return fail("can't migrate VM - check log")
	}
	for _, id := range v.volids() {
		if vol := m.q.c.volume(id, v.node); vol != nil && !vol.storage.Shared && vol.base != "" {
			return fail("can't migrate '%s' as it's a clone of '%s'", id, vol.base)
		}
	}
	return nil
}

// stays says why a local volume cannot go along; "" if it can.
func (m *migration) stays(v *vm, vol *volume) string {
	if strings.Contains(vol.name, "cloudinit") {
		return ""
	}
	if vol.content == "iso" {
		return "local cdrom image"
	}
	if _, err := m.q.c.usable(mapped(m.storages, vol.storage.Name), m.target.Name); err != nil {
		return err.Error()
	}
	for _, s := range v.snapshots {
		switch {
		case !references(s.conf, vol.volid()):
		case v.running:
			return "online storage migration not possible if non-replicated snapshot exists"
		case vol.storage.Type != "zfspool" && vol.format != "qcow2":
			return "non-migratable snapshot exists"
		}
	}
	if m.q.c.hasClones(vol) {
		return "referenced by linked clone(s)"
	}
	if v.running && attached(v, vol.volid()) && !m.q.p.bool("with-local-disks") {
		return "can't live migrate attached local disks without with-local-disks option"
	}
	return ""
}

// attached reports whether a volume is in a slot of the machine.
func attached(v *vm, volid string) bool {
	for _, k := range drives(v.conf) {
		if mustDrive(k, v.conf[k]).volid == volid {
			return true
		}
	}
	return false
}

func (m *migration) finish() error {
	if !m.target.online {
		return m.aborted(fail("Can't connect to destination address using public key"))
	}
	delete(m.v.conf, "lock")
	if m.v.running {
		// The target starts the machine, which can fail as any start can.
		if err := m.q.c.bridgesOn(m.target, m.v.conf); err != nil {
			m.log("[%s] %v", m.target.Name, err)
			m.log("ERROR: online migrate failure - remote command failed with exit code 255")
			m.log("aborting phase 2 - cleanup resources")
			m.log("ERROR: migration finished with problems (duration 00:00:00)")
			return fail("migration problems")
		}
	}
	m.q.c.relocate(m.v, m.target.Name, m.storages)
	m.log("migration finished successfully (duration 00:00:00)")
	return nil
}

func (m *migration) undo() {
	if m.v != nil {
		delete(m.v.conf, "lock")
	}
}

// targetStorages reads the map of storages; key "" is for all others.
func (q *call) targetStorages(v *vm, target string) (map[string]string, error) {
	m := map[string]string{}
	if !q.p.has("targetstorage") || q.p["targetstorage"] == "1" {
		return m, q.c.storagesOn(v, target)
	}
	for _, pair := range listOf(q.p["targetstorage"]) {
		from, to, ok := strings.Cut(pair, ":")
		if !ok {
			from, to = "", pair
		}
		if to == "1" {
			continue // each storage stays what it is
		}
		if _, err := q.c.usable(to, target); err != nil {
			return nil, err
		}
		if err := q.need("/storage/"+to, "Datastore.AllocateSpace"); err != nil {
			return nil, err
		}
		m[from] = to
	}
	return m, nil
}

func mapped(storages map[string]string, name string) string {
	if to, ok := storages[name]; ok {
		return to
	}
	if to, ok := storages[""]; ok {
		return to
	}
	return name
}

// storagesOn checks that a node has the storages of all volumes of a VM.
func (c *Cluster) storagesOn(v *vm, node string) error {
	for _, id := range v.volids() {
		vol := c.volume(id, v.node)
		if vol == nil {
			continue
		}
		if _, err := c.usable(vol.storage.Name, node); err != nil {
			return err
		}
	}
	return nil
}

// relocate puts a VM on another node. Its local volumes move along, to the storages that the map
// says; their names change only where the storage does.
func (c *Cluster) relocate(v *vm, target string, storages map[string]string) {
	moved := map[string]string{}
	for _, id := range v.volids() {
		vol := c.volume(id, v.node)
		if vol == nil || vol.storage.Shared || vol.content != "images" {
			continue
		}
		c.free(vol)
		if to := c.storage(mapped(storages, vol.storage.Name)); to != vol.storage {
			w := volumeWant{vmid: v.id, prefix: "vm", size: vol.size, format: vol.format}
			if strings.Contains(vol.name, "cloudinit") {
				w = cloudinitVolume(to, v.id)
			}
			vol = c.newVolume(to, target, w)
		}
		vol.node = target
		c.volumes[vol.storage.key(target, vol.name)] = vol
		moved[id] = vol.volid()
	}
	for _, conf := range v.confs() {
		for k, value := range conf {
			if !holdsVolume(k) {
				continue
			}
			first, rest, more := strings.Cut(value, ",")
			if to, ok := moved[first]; ok {
				conf[k] = to
				if more {
					conf[k] += "," + rest
				}
			}
		}
	}
	v.node = target
}
