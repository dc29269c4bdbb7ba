package pvesim

import (
	"maps"
	"strings"
)

// run does the change, under the VM's lock.
func (u *update) run() error {
	v, err := u.q.vmOf()
	if err != nil {
		return err
	}
	if err := u.checkState(v); err != nil {
		return err
	}
	if err := u.checkBoot(v); err != nil {
		return err
	}
	u.followBoot(v)
	if err := u.apply(v); err != nil {
		return err
	}
	if v.running {
		return u.q.c.hotplug(v, u.touched())
	}
	return u.q.c.applyPending(v)
}

// touched are the keys that the change is about.
func (u *update) touched() map[string]bool {
	keys := map[string]bool{}
	for k := range u.set {
		keys[k] = true
	}
	for _, k := range u.remove {
		keys[k] = true
	}
	return keys
}

// apply writes the change into the pending section.
func (u *update) apply(v *vm) error {
	for _, k := range u.revert {
		delete(v.pending, k)
		delete(v.pendingDelete, k)
	}
	for _, k := range u.remove {
		if err := u.drop(v, k); err != nil {
			return err
		}
	}
	made := map[string]string{}
	for _, k := range sortedKeys(u.set) {
		value, err := u.value(v, k)
		if err != nil {
			for _, vol := range u.created {
				u.q.c.free(vol)
			}
			return err
		}
		made[k] = value
	}
	for k, value := range made {
		delete(v.pendingDelete, k)
		v.pending[k] = value
		if v.conf[k] == value {
			delete(v.pending, k)
		}
	}
	return nil
}

// drop marks a key for removal. Unused volumes go at once.
func (u *update) drop(v *vm, k string) error {
	value, ok := v.merged()[k]
	if !ok {
		u.log("cannot delete '%s' - not set in current configuration!", k)
		return nil
	}
	if isUnused(k) {
		if v.conf["protection"] == "1" {
			return fail("can't remove unused disk '%s' - protection mode enabled", value)
		}
		if err := v.inUse(k); err != nil {
			return err
		}
		u.q.c.freeIfUnreferenced(v, k)
		delete(v.conf, k)
		return nil
	}
	if isDrive(k) && v.conf["protection"] == "1" {
		return fail("can't remove drive '%s' - protection mode enabled", k)
	}
	if p, ok := v.pending[k]; ok && isDrive(k) {
		delete(v.pending, k)
		if d := mustDrive(k, p); !references(v.conf, d.volid) {
			v.conf[freeUnused(v.conf)] = d.volid
		}
	}
	delete(v.pending, k)
	if _, ok := v.conf[k]; ok {
		v.pendingDelete[k] = 1 + flag(u.force)
	}
	return nil
}

// value is what is stored for a key: volumes are made, MAC addresses chosen.
func (u *update) value(v *vm, k string) (string, error) {
	switch {
	case isDrive(k):
		return u.driveValue(v, k, u.drives[k])
	case isNIC(k):
		n, err := parseNIC(k, u.set[k])
		if err != nil {
			return "", err
		}
		return u.q.c.withMAC(n).String(), nil
	case isUnused(k):
		if u.q.c.volume(u.set[k], v.node) == nil {
			return "", fail("volume '%s' does not exist", u.set[k])
		}
	case k == "memory":
		return strings.TrimPrefix(u.set[k], "current="), nil
	}
	return u.set[k], nil
}

// driveValue makes the volume that a drive asks for, or checks the one that it names.
func (u *update) driveValue(v *vm, k string, d drive) (string, error) {
	c := u.q.c
	if d.volid == "none" || d.volid == "cdrom" {
		return d.String(), nil
	}
	if name, size, ok := d.wanted(); ok {
		s, err := c.usable(name, v.node)
		if err != nil {
			return "", err // it went away meanwhile
		}
		if small, ok := firmwareSize(k, d, s); ok {
			size = small
		}
		if from := d.opts["import-from"]; from != "" {
			src := c.volume(from, v.node)
			if src == nil {
				return "", fail("volume '%s' does not exist", from)
			}
			size = src.disk()
			delete(d.opts, "import-from")
		}
		vol, err := u.q.allocate(s, v.node, volumeWant{vmid: v.id, prefix: "vm", size: size, format: d.opts["format"]}, u.log)
		if err != nil {
			return "", err
		}
		u.created = append(u.created, vol)
		delete(d.opts, "format")
		text := drive{vol.volid(), withOption(d.opts, "size", sizeOrZero(size))}.String()
		u.log("%s: successfully created disk '%s'", k, text)
		return text, nil
	}
	if d.cloudinit() && strings.HasSuffix(d.volid, ":cloudinit") {
		s, err := c.usable(d.storage(), v.node)
		if err != nil {
			return "", err
		}
		vol, err := u.q.allocate(s, v.node, cloudinitVolume(s, v.id), u.log)
		if err != nil {
			return "", err
		}
		text := drive{vol.volid(), withOption(d.opts, "media", "cdrom")}.String()
		u.log("%s: successfully created disk '%s'", k, text)
		return text, nil
	}
	vol := c.volume(d.volid, v.node)
	if vol == nil {
		return "", fail("volume '%s' does not exist", d.volid)
	}
	if !d.cdrom() || vol.content == "iso" {
		d.opts = withOption(d.opts, "size", showSize(vol.size))
	}
	return d.String(), nil
}

// sizeOrZero is a size as the API shows it, where an empty disk has the largest unit.
func sizeOrZero(n int64) string {
	if n == 0 {
		return "0T"
	}
	return showSize(n)
}

// allocate makes a volume for this call, if there is room.
func (q *call) allocate(s *storage, node string, w volumeWant, log func(string, ...any)) (*volume, error) {
	v := q.c.newVolume(s, node, w)
	if line := v.formatting(); line != "" && v.base == "" {
		log("%s", line)
	}
	q.c.free(v)
	if err := q.room(s, node, v.name, v.size); err != nil {
		return nil, err
	}
	q.c.volumes[s.key(node, v.name)] = v
	return v, nil
}

// freeIfUnreferenced removes the volume of a key when no other key and no snapshot uses it.
func (c *Cluster) freeIfUnreferenced(v *vm, k string) {
	first, _, _ := strings.Cut(v.conf[k], ",")
	rest := map[string]string{}
	for key, value := range v.conf {
		if key != k {
			rest[key] = value
		}
	}
	for _, s := range v.snapshots {
		if references(s.conf, first) {
			return
		}
	}
	if references(rest, first) || references(v.pending, first) {
		return
	}
	if vol := c.volume(first, v.node); vol != nil && vol.vmid == v.id {
		c.free(vol)
	}
}

// applyPending makes all pending changes the configuration of a stopped VM. What cannot be done stays pending.
func (c *Cluster) applyPending(v *vm) error {
	errs := map[string]string{}
	for _, k := range sortedKeys(v.pendingDelete) {
		if err := c.commitDelete(v, k); err != nil {
			errs[k] = "unable to apply pending change " + k + " : " + err.Error() + "\n"
		}
	}
	for _, k := range sortedKeys(v.pending) {
		c.commit(v, k)
	}
	if len(errs) > 0 {
		return badParams(errs)
	}
	return nil
}

// commitDelete removes a key for good. A disk's volume becomes unused, or is removed by force, unless a
// snapshot needs it.
func (c *Cluster) commitDelete(v *vm, k string) error {
	value, ok := v.conf[k]
	var d drive
	if ok = ok && isDrive(k); ok {
		d = mustDrive(k, value)
	}
	free := ok && (v.pendingDelete[k] == 2 || d.cloudinit())
	if free && !d.cdrom() {
		if err := v.inUse(k); err != nil {
			return err
		}
	}
	if free {
		c.freeIfUnreferenced(v, k)
	}
	delete(v.pendingDelete, k)
	delete(v.conf, k)
	if ok && !free {
		c.retire(v, d)
	}
	return nil
}

// inUse is the error for the volume of a key that cannot be freed, because another slot or a snapshot has it.
func (v *vm) inUse(k string) error {
	volid, _, _ := strings.Cut(v.conf[k], ",")
	confs := []map[string]string{maps.Clone(v.conf)}
	delete(confs[0], k)
	for _, s := range v.snapshots {
		confs = append(confs, s.conf)
	}
	for _, conf := range confs {
		for _, slot := range drives(conf) {
			if d := mustDrive(slot, conf[slot]); d.volid == volid && !d.cdrom() {
				return fail("unable to delete '%s' - volume is still in use (snapshot?)", volid)
			}
		}
	}
	return nil
}

// retire keeps a volume that left its slot as unusedN.
func (c *Cluster) retire(v *vm, d drive) {
	if d.cdrom() || references(v.conf, d.volid) || c.volume(d.volid, v.node) == nil {
		return
	}
	v.conf[freeUnused(v.conf)] = d.volid
}

// commit makes a pending value the one in force.
func (c *Cluster) commit(v *vm, k string) {
	value := v.pending[k]
	delete(v.pending, k)
	old, had := v.conf[k]
	v.conf[k] = value
	switch {
	case isDrive(k):
		d := mustDrive(k, value)
		for key, x := range v.conf {
			if isUnused(key) && x == d.volid {
				delete(v.conf, key)
			}
		}
		if had {
			if o := mustDrive(k, old); o.volid != d.volid {
				c.retire(v, o)
			}
		}
	case (k == "tags" || k == "description") && value == "": // written as nothing at all
		delete(v.conf, k)
	}
}
