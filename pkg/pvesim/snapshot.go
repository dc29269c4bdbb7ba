package pvesim

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// snapshot is a saved configuration, with the disks as they were.
type snapshot struct {
	name, description, parent string
	taken                     time.Time
	memory                    bool
	conf                      map[string]string
}

// shown is a snapshot's configuration with what belongs to the snapshot itself.
func (s *snapshot) shown() map[string]string {
	m := maps.Clone(s.conf)
	m["snaptime"] = itoa(int(s.taken.Unix()))
	if s.parent != "" {
		m["parent"] = s.parent
	}
	if s.description != "" {
		m["description"] = s.description
	}
	return m
}

func (v *vm) snapshotNamed(name string) *snapshot {
	for _, s := range v.snapshots {
		if s.name == name {
			return s
		}
	}
	return nil
}

// snapshot adds a snapshot to a VM.
func (c *Cluster) snapshot(v *vm, name, description string, memory bool) *snapshot {
	conf := maps.Clone(v.conf)
	maps.DeleteFunc(conf, func(k, _ string) bool { return contains([]string{"lock", "parent", "digest"}, k) || isUnused(k) })
	s := &snapshot{name, description, v.conf["parent"], c.cfg.Now(), memory, conf}
	v.snapshots = append(v.snapshots, s)
	v.conf["parent"] = name
	return s
}

// saveState makes the volume that a snapshot with memory keeps it in.
func (q *call) saveState(v *vm, s *snapshot) error {
	if !s.memory {
		return nil
	}
	st := q.c.stateStorage(v)
	if st == nil {
		return fail("storage '%s' does not exist", v.conf["vmstatestorage"])
	}
	size := int64(2*memoryMiB(v.conf)+500) << 20
	vol, err := q.allocate(st, v.node, volumeWant{vmid: v.id, prefix: "vm", suffix: "state-" + s.name, size: size, format: "raw"}, func(string, ...any) {})
	if err == nil {
		s.conf["vmstate"] = vol.volid()
		return nil
	}
	v.snapshots = slices.DeleteFunc(v.snapshots, func(x *snapshot) bool { return x == s })
	delete(v.conf, "parent")
	if s.parent != "" {
		v.conf["parent"] = s.parent
	}
	return err
}

// stateStorage is where the memory of a snapshot goes: where the VM says, else to a storage of its disks, best a
// shared one. It is nil when that does not exist.
func (c *Cluster) stateStorage(v *vm) *storage {
	if name := v.conf["vmstatestorage"]; name != "" {
		return c.storageOn(name, v.node)
	}
	var found *storage
	for _, k := range drives(v.conf) {
		s := c.storageOn(mustDrive(k, v.conf[k]).storage(), v.node)
		if s != nil && (found == nil || s.Shared && !found.Shared) {
			found = s
		}
	}
	if found == nil {
		return c.storageOn("local", v.node)
	}
	return found
}

func (q *call) snapshotList() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	out := []any{}
	for i := len(v.snapshots) - 1; i >= 0; i-- {
		s := v.snapshots[i]
		o := object{"name": s.name, "description": s.description, "snaptime": s.taken.Unix(), "vmstate": flag(s.memory)}
		if s.parent != "" {
			o["parent"] = s.parent
		}
		out = append(out, o)
	}
	current := object{"name": "current", "description": "You are here!", "digest": v.digest(), "running": flag(v.running)}
	if p := v.conf["parent"]; p != "" {
		current["parent"] = p
	}
	return append(out, current), nil
}

// canSnapshot reports whether all disks of a VM are on storages that can take snapshots.
func (c *Cluster) canSnapshot(v *vm) bool {
	for _, k := range drives(v.conf) {
		d := mustDrive(k, v.conf[k])
		vol := c.volume(d.volid, v.node)
		if d.cdrom() || vol == nil {
			continue
		}
		if vol.storage.files() && vol.format == "raw" || vol.storage.Type == "lvm" {
			return false
		}
	}
	return true
}

// snapshotTask starts a task on a VM's snapshots; the config's lock key says what goes on.
func (q *call) snapshotTask(typ, lock string, takes time.Duration, check, work func(*task, *vm) error) string {
	var v *vm
	return q.fork(typ, q.vars["vmid"], func(t *task) *job {
		return &job{
			locks: lockVM(q.vmid()),
			steps: []step{{run: func() (err error) {
				x, err := q.vmOf()
				if err != nil {
					return err
				}
				if err := x.unlocked(false); err != nil {
					return err
				}
				if err := check(t, x); err != nil {
					return err
				}
				v = x
				v.conf["lock"] = lock
				return nil
			}}, {takes: takes, run: func() error {
				delete(v.conf, "lock")
				return work(t, v)
			}}},
			undo: func() {
				if v != nil {
					delete(v.conf, "lock")
				}
			},
		}
	})
}

func (q *call) snapshotCreate() (any, error) {
	if _, err := q.vmOf(); err != nil {
		return nil, err
	}
	name := q.p["snapname"]
	if name == "current" || name == "pending" {
		return nil, fail("unable to use snapshot name '%s' (reserved name)", name)
	}
	return q.snapshotTask("qmsnapshot", "snapshot", q.c.cfg.Durations.Snapshot, func(_ *task, v *vm) error {
		if v.snapshotNamed(name) != nil {
			return fail("snapshot name '%s' already used", name)
		}
		if v.template() {
			return fail("you can't take a snapshot if it's a template")
		}
		if !q.c.canSnapshot(v) {
			return fail("snapshot feature is not available")
		}
		return nil
	}, func(t *task, v *vm) error {
		for _, k := range drives(v.conf) {
			if d := mustDrive(k, v.conf[k]); !d.cdrom() {
				t.log("snapshotting 'drive-%s' (%s)", k, d.volid)
			}
		}
		return q.saveState(v, q.c.snapshot(v, name, q.p["description"], q.p.bool("vmstate") && v.running))
	}), nil
}

// snapshotExists is the check that a snapshot is there.
func (q *call) snapshotExists(_ *task, v *vm) error {
	if v.snapshotNamed(q.vars["snapname"]) == nil {
		return fail("snapshot '%s' does not exist", q.vars["snapname"])
	}
	return nil
}

func (q *call) snapshotDelete() (any, error) {
	if _, err := q.vmOf(); err != nil {
		return nil, err
	}
	return q.snapshotTask("qmdelsnapshot", "snapshot-delete", q.c.cfg.Durations.SnapshotDelete, q.snapshotExists, func(_ *task, v *vm) error {
		gone := v.snapshotNamed(q.vars["snapname"])
		rest := []*snapshot{}
		for _, s := range v.snapshots {
			if s == gone {
				continue
			}
			if s.parent == gone.name {
				s.parent = gone.parent
			}
			rest = append(rest, s)
		}
		v.snapshots = rest
		if vol := q.c.volume(gone.conf["vmstate"], v.node); vol != nil {
			q.c.free(vol)
		}
		if v.conf["parent"] == gone.name {
			v.conf["parent"] = gone.parent
			if gone.parent == "" {
				delete(v.conf, "parent")
			}
		}
		return nil
	}), nil
}

func (q *call) snapshotRollback() (any, error) {
	if _, err := q.vmOf(); err != nil {
		return nil, err
	}
	return q.snapshotTask("qmrollback", "rollback", q.c.cfg.Durations.Rollback, q.snapshotExists, func(_ *task, v *vm) error {
		s := v.snapshotNamed(q.vars["snapname"])
		if v.running {
			q.c.halts(v)
		}
		conf := maps.Clone(s.conf)
		for k, value := range v.conf {
			if isUnused(k) && !references(conf, strings.Split(value, ",")[0]) {
				conf[k] = value
			}
		}
		delete(conf, "vmstate")
		conf["parent"], conf["vmgenid"] = s.name, q.c.uuid()
		v.conf, v.pending, v.pendingDelete = conf, map[string]string{}, map[string]int{}
		if q.p.bool("start") || s.memory {
			q.c.boots(v)
		}
		return nil
	}), nil
}

func (q *call) snapshotConfig() (any, error) {
	q.p["snapshot"] = q.vars["snapname"]
	return q.configGet()
}

func (q *call) snapshotUpdate() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	s := v.snapshotNamed(q.vars["snapname"])
	if s == nil {
		return nil, fail("snapshot '%s' does not exist", q.vars["snapname"])
	}
	s.description = q.p.str("description", s.description)
	return nil, nil
}
