package pvesim

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// resize changes a disk's size, absolute or by a plus. Nearly all checks are in the task, where there
// is one.
func (q *call) resize() (any, error) {
	work := func(t *task) *job {
		return &job{locks: lockVM(q.vmid()), steps: once(q.c.cfg.Durations.Resize, func() error { return q.resizeDisk(t) })}
	}
	if !q.c.release.resizeTask {
		j := work(&task{})
		q.breakJob(j)
		return nil, q.wait(j)
	}
	return q.fork("resize", q.vars["vmid"], work), nil
}

func (q *call) resizeDisk(t *task) error {
	k := q.p["disk"]
	v, err := q.vmOf()
	if err != nil {
		return err
	}
	if err := v.checkDigest(q.p["digest"]); err != nil {
		return err
	}
	if err := v.unlocked(q.p.bool("skiplock")); err != nil {
		return err
	}
	value, ok := v.conf[k]
	if !ok {
		return fail("disk '%s' does not exist", k)
	}
	d := mustDrive(k, value)
	if d.cdrom() {
		return fail("you can't resize a cdrom")
	}
	grown, err := q.grow(v, d.volid)
	if err != nil || !grown {
		return err
	}
	d.opts["size"] = showSize(q.c.volume(d.volid, v.node).size)
	v.conf[k] = d.String()
	if !v.running {
		t.log("Image resized.")
	}
	return nil
}

// grow makes a volume as large as the call wants it, and reports whether there was anything to do.
func (q *call) grow(v *vm, volid string) (bool, error) {
	vol := q.c.volume(volid, v.node)
	if vol == nil {
		return false, fail("volume '%s' does not exist", volid)
	}
	size, plus := strings.CutPrefix(q.p["size"], "+")
	want := parseSize(size)
	if plus {
		want += vol.size
	}
	if want < vol.size {
		return false, fail("shrinking disks is not supported")
	}
	if want == vol.size {
		return false, nil
	}
	if err := q.room(vol.storage, v.node, vol.name, want-vol.size); err != nil {
		return false, fail("%s", strings.Replace(err.Error(), "unable to create image", "resize failed", 1))
	}
	vol.size = want
	return true, nil
}

// unlink is the config call with "delete", waited for.
func (q *call) unlink() (any, error) {
	q.p["delete"] = q.p["idlist"]
	delete(q.p, "idlist")
	return q.configPut()
}

// template makes a VM a template: its disks become base volumes.
func (q *call) template() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if err := v.unlocked(false); err != nil {
		return nil, err
	}
	switch {
	case len(v.snapshots) > 0:
		return nil, fail("unable to create template, because VM contains snapshots")
	case v.template() && !q.p.has("disk"):
		return nil, fail("you can't convert a template to a template")
	case v.running:
		return nil, fail("you can't convert a VM to template if VM is running")
	}
	return q.fork("qmtemplate", q.vars["vmid"], func(*task) *job {
		return &job{locks: lockVM(v.id), steps: once(q.c.cfg.Durations.Template, func() error {
			q.makeTemplate(v)
			return nil
		})}
	}), nil
}

func (q *call) makeTemplate(v *vm) {
	v.conf["template"] = "1"
	for _, k := range drives(v.conf) {
		d := mustDrive(k, v.conf[k])
		vol := q.c.volume(d.volid, v.node)
		if vol == nil || d.cdrom() || strings.Contains(vol.name, "base-") {
			continue
		}
		q.c.free(vol)
		vol.name = strings.Replace(vol.name, "vm-", "base-", 1)
		q.c.volumes[vol.storage.key(vol.node, vol.name)] = vol
		d.volid = vol.volid()
		v.conf[k] = d.String()
	}
}

// feature says whether a VM's storages can do something.
func (q *call) feature() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	can := true
	if q.p["feature"] == "snapshot" {
		can = q.c.canSnapshot(v)
	}
	nodes := []string{}
	for _, n := range q.c.nodes {
		if n.Name == v.node || q.c.onlyShared(v) {
			nodes = append(nodes, n.Name)
		}
	}
	return object{"hasFeature": flag(can), "nodes": nodes}, nil
}

// onlyShared reports whether all volumes of a VM are on shared storages.
func (c *Cluster) onlyShared(v *vm) bool {
	for _, id := range v.volids() {
		if vol := c.volume(id, v.node); vol != nil && !vol.storage.Shared {
			return false
		}
	}
	return true
}

// moveDisk moves a disk to another storage or gives it to another VM.
func (q *call) moveDisk() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if err := v.unlocked(false); err != nil {
		return nil, err
	}
	if err := v.checkDigest(q.p["digest"]); err != nil {
		return nil, err
	}
	switch {
	case q.p.has("storage") && q.p.has("target-vmid"):
		const both = "either set 'storage' or 'target-vmid', but not both"
		return nil, badParams(map[string]string{"storage": both, "target-vmid": both})
	case q.p.has("target-vmid"):
		return q.reassign(v)
	case q.p.has("storage"):
		return q.moveToStorage(v)
	}
	const neither = "both 'storage' and 'target-vmid' missing, either needs to be set"
	return nil, badParams(map[string]string{"storage": neither, "target-vmid": neither})
}

// rename makes a volume another VM's.
func (c *Cluster) rename(vol *volume, vmid int) {
	c.free(vol)
	fresh := c.newVolume(vol.storage, vol.node, volumeWant{vmid: vmid, prefix: "vm", size: vol.size, format: vol.format})
	c.free(fresh)
	vol.vmid, vol.name, vol.base = vmid, fresh.name, ""
	c.volumes[vol.storage.key(vol.node, vol.name)] = vol
}

func (q *call) moveToStorage(v *vm) (any, error) {
	disk := q.p["disk"]
	s, err := q.c.usable(q.p["storage"], v.node)
	if err != nil {
		return nil, err
	}
	if err := q.need("/storage/"+s.Name, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	if v.conf[disk] == "" {
		return nil, fail("disk '%s' does not exist", disk)
	}
	d := mustDrive(disk, v.conf[disk])
	if d.cdrom() {
		return nil, fail("you can't move a cdrom")
	}
	src := q.c.volume(d.volid, v.node)
	if src == nil {
		return nil, fail("volume '%s' does not exist", d.volid)
	}
	if q.p.bool("delete") && v.inSnapshot(d.volid) {
		return nil, fail("you can't move a disk with snapshots and delete the source")
	}
	if src.storage == s && q.p.str("format", src.format) == src.format {
		return nil, fail("you can't move to the same storage with same format")
	}
	return q.fork("qmmove", q.vars["vmid"], func(t *task) *job {
		steps := q.c.allocating(v.node, "storage migration failed: ", []*storage{s})
		return &job{locks: lockVM(v.id), steps: append(steps, once(q.c.cfg.Durations.Move, func() error {
			if _, err := q.vmOf(); err != nil {
				return err
			}
			if err := v.unlocked(false); err != nil {
				return err
			}
			t.log("create full clone of drive %s (%s)", disk, d.volid)
			vol, err := q.allocate(s, v.node, volumeWant{vmid: v.id, prefix: "vm", size: src.size, format: q.p.str("format", src.format)}, t.log)
			if err != nil {
				return fail("storage migration failed: %s", err)
			}
			d.volid = vol.volid()
			v.conf[disk] = d.String()
			if q.p.bool("delete") {
				q.c.free(src)
			} else {
				v.conf[freeUnused(v.conf)] = src.volid()
			}
			return nil
		})...)}
	}), nil
}
