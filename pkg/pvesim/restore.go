package pvesim

import (
	"maps"
	"strings"
)

// savedVM is what a backup holds of a VM.
type savedVM struct {
	conf  map[string]string
	disks map[string]volumeWant // slot to the volume that it takes
}

// notSaved are keys that a backup or its restore leaves out.
var notSaved = strings.Fields("lock parent snaptime vmstate")

// save is a VM as a backup keeps it. Disks with backup=0 are not in it.
func (c *Cluster) save(v *vm) *savedVM {
	b := &savedVM{conf: maps.Clone(v.conf), disks: map[string]volumeWant{}}
	maps.DeleteFunc(b.conf, func(k, _ string) bool { return contains(notSaved, k) || isUnused(k) })
	for _, k := range drives(v.conf) {
		d := mustDrive(k, v.conf[k])
		switch vol := c.volume(d.volid, v.node); {
		case d.opts["backup"] == "0":
			delete(b.conf, k)
		case vol != nil && vol.content == "images":
			b.disks[k] = volumeWant{prefix: "vm", size: vol.size, format: vol.format}
		}
	}
	return b
}

// backupNamed finds a backup that the caller may read.
func (q *call) backupNamed(volid string) (*volume, error) {
	name, _, _ := strings.Cut(volid, ":")
	if _, err := q.c.usable(name, q.node); err != nil {
		return nil, err
	}
	b := q.c.volume(volid, q.node)
	if b == nil || b.content != "backup" {
		return nil, fail("volume '%s' does not exist", volid)
	}
	if err := q.mayVolume(b); err != nil {
		return nil, err
	}
	if b.saved == nil {
		return nil, fail("unable to read the configuration in '%s'", volid)
	}
	return b, nil
}

// backupConfig shows the configuration in a backup.
func (q *call) backupConfig() (any, error) {
	b, err := q.backupNamed(q.p["volume"])
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	writeSection(&text, b.saved.conf)
	return text.String(), nil
}

// restoring is a VM that is being made from a backup.
type restoring struct {
	q     *call
	from  *savedVM
	set   map[string]string // what the caller wants otherwise
	v     *vm
	fresh bool // the VM is new
	log   func(string, ...any)
}

// restore makes a VM from a backup: a new one, or with "force" one that exists as it was.
func (q *call) restore() (any, error) {
	id := q.p.int("vmid", 0)
	if err := q.needCreate(id); err != nil {
		return nil, err
	}
	if s := q.p["storage"]; s != "" {
		if err := q.need("/storage/"+s, "Datastore.AllocateSpace"); err != nil {
			return nil, err
		}
		if _, err := q.c.usable(s, q.node); err != nil {
			return nil, err
		}
	}
	b, err := q.backupNamed(q.p["archive"])
	if err != nil {
		return nil, err
	}
	q.vars["vmid"] = itoa(id)
	r := &restoring{q: q, from: b.saved, set: map[string]string{}}
	if err := r.prepare(id); err != nil {
		return nil, err
	}
	return q.fork("qmrestore", itoa(id), func(t *task) *job {
		r.log = t.log
		return &job{locks: lockVM(id), steps: []step{{run: r.begin}, {takes: q.c.cfg.Durations.Create, run: r.finish}}, undo: func() { delete(r.v.conf, "lock") }}
	}), nil
}

// prepare does the checks that come before the task, and locks the VM.
func (r *restoring) prepare(id int) error {
	q := r.q
	for k, value := range q.p {
		if isDrive(k) {
			return badParam(k, "option conflicts with option 'archive'")
		}
		if _, ok := configFields[k]; ok && k != "force" {
			r.set[k] = value
		}
	}
	u := &update{q: q, set: r.set, drives: map[string]drive{}}
	if err := u.normalise(); err != nil {
		return err
	}
	r.v = q.c.vms[id]
	switch {
	case r.v == nil:
		r.fresh, r.v = true, newVM(id, q.node)
		q.c.vms[id] = r.v
	case !q.p.bool("force") || r.v.node != q.node:
		return fail("unable to restore VM %d - VM %d already exists on node '%s'", id, id, r.v.node)
	default:
		if err := r.v.unlocked(false); err != nil {
			return fail("unable to restore VM %d - %s", id, err)
		}
	}
	r.v.conf["lock"] = "create"
	return nil
}

// begin checks what must hold under the VM's lock.
func (r *restoring) begin() error {
	switch {
	case r.v.conf["protection"] == "1":
		return fail("unable to restore VM %d - - protection mode enabled", r.v.id)
	case r.v.running:
		return fail("unable to restore VM %d - vm is running", r.v.id)
	}
	return nil
}

// finish replaces the disks that are in the backup, and the configuration. Other disks become unused.
func (r *restoring) finish() error {
	q, v := r.q, r.v
	conf := maps.Clone(r.from.conf)
	kept := r.clear()
	for _, k := range sortedKeys(r.from.disks) {
		text, err := r.disk(k, mustDrive(k, conf[k]), r.from.disks[k])
		if err != nil {
			return err
		}
		conf[k] = text
	}
	if conf["vmgenid"] != "" && conf["vmgenid"] != "0" {
		conf["vmgenid"] = q.c.uuid()
	}
	if q.p.bool("unique") {
		r.individual(conf)
	}
	maps.Copy(conf, r.set)
	for _, volid := range kept {
		conf[freeUnused(conf)] = volid
	}
	v.conf, v.pending, v.pendingDelete, v.snapshots = conf, map[string]string{}, map[string]int{}, nil
	q.c.joinPool(q.p["pool"], v.id)
	if v.template() {
		q.makeTemplate(v)
	}
	if q.p.bool("start") && !v.template() {
		q.c.boots(v)
	}
	return nil
}

// clear removes the VM's disks that the backup replaces, and says which others there are.
func (r *restoring) clear() (kept []string) {
	for _, k := range drives(r.v.conf) {
		d := mustDrive(k, r.v.conf[k])
		vol := r.q.c.volume(d.volid, r.v.node)
		if vol == nil || vol.vmid != r.v.id {
			continue
		}
		if _, restored := r.from.disks[k]; restored || d.cloudinit() {
			r.q.c.free(vol)
		} else {
			kept = append(kept, d.volid)
		}
	}
	return kept
}

// disk makes the volume for a slot and returns the slot's value.
func (r *restoring) disk(k string, d drive, w volumeWant) (string, error) {
	name := r.q.p.str("storage", d.storage())
	s, err := r.q.c.usable(name, r.q.node)
	if err != nil {
		return "", err
	}
	w.vmid = r.v.id
	if d.cloudinit() {
		w = cloudinitVolume(s, r.v.id)
	}
	vol, err := r.q.allocate(s, r.q.node, w, r.log)
	if err != nil {
		return "", err
	}
	r.log("new volume ID is '%s'", vol.volid())
	r.log("map 'drive-%s' to '%s' (write zeros = 0)", k, vol.volid())
	d.volid = vol.volid()
	if !d.cloudinit() {
		d.opts = withOption(d.opts, "size", showSize(vol.size))
	}
	return d.String(), nil
}

// individual gives a restored VM addresses of its own.
func (r *restoring) individual(conf map[string]string) {
	conf["smbios1"] = withUUID(conf["smbios1"], r.q.c.uuid())
	for _, k := range sortedKeys(conf) {
		if isNIC(k) {
			n, _ := parseNIC(k, conf[k]) // it was stored
			n.mac = r.q.c.mac()
			conf[k] = n.String()
		}
	}
}
