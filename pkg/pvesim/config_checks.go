package pvesim

import (
	"strconv"
	"strings"
)

// newUpdate does all checks of a config call that come before its work.
func (q *call) newUpdate() (*update, error) {
	u := &update{q: q, set: map[string]string{}, drives: map[string]drive{}, force: q.p.bool("force"), digest: q.p["digest"], skip: q.p.bool("skiplock")}
	for k, value := range q.p {
		if !contains(controls, k) {
			u.set[k] = value
		}
	}
	u.remove, u.revert = listOf(q.p["delete"]), listOf(q.p["revert"])
	if len(u.set)+len(u.remove)+len(u.revert) == 0 {
		return nil, fail("no options specified")
	}
	if err := u.checkNames(); err != nil {
		return nil, err
	}
	if err := u.normalise(); err != nil {
		return nil, err
	}
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if err := u.checkRights(v); err != nil {
		return nil, err
	}
	if err := u.checkState(v); err != nil {
		return nil, err
	}
	return u, u.checkValues(v)
}

// checkNames checks the keys to delete and to revert.
func (u *update) checkNames() error {
	for _, k := range u.revert {
		if _, ok := u.set[k]; ok {
			return badParam("delete", "you can't use '-%s' and -revert %s' at the same time", k, k)
		}
	}
	for _, k := range u.remove {
		if _, ok := u.set[k]; ok {
			return badParam("delete", "you can't use '-%s' and -delete %s' at the same time", k, k)
		}
		if contains(u.revert, k) {
			return badParam("revert", "you can't use '-revert %s' and '-delete %s' at the same time", k, k)
		}
	}
	for i, list := range [][]string{u.remove, u.revert} {
		for _, k := range list {
			if _, ok := configFields[k]; !ok {
				return badParam([]string{"delete", "revert"}[i], "unknown option '%s'", k)
			}
		}
	}
	return nil
}

// normalise brings values into the form in which they are stored.
func (u *update) normalise() error {
	if cd, ok := u.set["cdrom"]; ok { // another name of ide2
		if _, both := u.set["ide2"]; both {
			return badParam("cdrom", "conflicts with option 'ide2'")
		}
		if !strings.Contains(cd, "media=cdrom") {
			cd += ",media=cdrom"
		}
		u.set["ide2"] = cd
		delete(u.set, "cdrom")
	}
	for _, k := range sortedKeys(u.set) {
		value := u.set[k]
		switch {
		case isDrive(k):
			d, err := parseDrive(k, value)
			if err != nil {
				return err
			}
			u.drives[k] = d
		case k == "tags":
			u.set[k] = tagList(value)
		case k == "cipassword":
			if value != "" {
				u.set[k] = hashPassword(value)
			}
		case k == "sshkeys":
			if err := checkKeys(value); err != nil {
				return err
			}
		case k == "cpuunits":
			n, _ := strconv.Atoi(value)
			u.set[k] = strconv.Itoa(max(1, min(n, 10000)))
		}
	}
	return nil
}

func tagList(v string) string {
	seen := map[string]bool{}
	for _, t := range listOf(strings.ToLower(v)) {
		seen[t] = true
	}
	return strings.Join(sortedKeys(seen), ";")
}

// checkState checks what may have changed since the call came in; it is done again under the lock.
func (u *update) checkState(v *vm) error {
	if err := v.checkDigest(u.digest); err != nil {
		return err
	}
	return v.unlocked(u.skip)
}

// checkValues checks values against the VM and the storages.
func (u *update) checkValues(v *vm) error {
	conf := v.merged()
	if b, ok := u.set["balloon"]; ok {
		memory := conf
		if m, ok := u.set["memory"]; ok {
			memory = map[string]string{"memory": m}
		}
		if n, _ := strconv.Atoi(b); n > memoryMiB(memory) {
			return fail("balloon value too large (must be smaller than assigned memory)")
		}
	}
	for _, k := range sortedKeys(u.drives) {
		d := u.drives[k]
		if strings.HasPrefix(d.volid, "/") && !u.q.who.isRoot() {
			return fail("Only root can pass arbitrary filesystem paths.")
		}
		if name := d.storage(); name != "" {
			s, err := u.q.c.usable(name, v.node)
			if err != nil {
				return err
			}
			if _, _, ok := d.wanted(); ok && !contains(s.Content, "images") {
				return fail("storage '%s' does not support content-type 'images'", name)
			}
		}
		if err := u.checkImport(k, d, v.node); err != nil {
			return err
		}
		if !d.cloudinit() {
			continue
		}
		for _, other := range drives(conf) {
			if other != k && mustDrive(other, conf[other]).cloudinit() && !contains(u.remove, other) {
				return fail("%s - cloud-init drive is already attached at '%s'", k, other)
			}
		}
	}
	return nil
}

// checkImport checks the volume that a new disk is to be made from.
func (u *update) checkImport(k string, d drive, node string) error {
	from := d.opts["import-from"]
	if from == "" {
		return nil
	}
	if _, size, ok := d.wanted(); !ok || size != 0 {
		return badParam(k, "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
	}
	if strings.HasPrefix(from, "/") {
		if !u.q.who.isRoot() {
			return fail("Only root can pass arbitrary filesystem paths.")
		}
		return fail("cannot import from '%s': the simulated nodes have no files outside of their storages", from)
	}
	if _, err := u.q.c.usable(strings.Split(from, ":")[0], node); err != nil {
		return err
	}
	src := u.q.c.volume(from, node)
	switch {
	case src == nil:
		return nil // the task says so
	case src.content != "images" && src.content != "import":
		return badParam(k, "%s has wrong type '%s' - needs to be 'images' or 'import'", from, src.content)
	case src.content == "images":
		return u.q.need("/vms/"+itoa(src.vmid), "VM.Clone")
	}
	return u.q.mayVolume(src)
}
