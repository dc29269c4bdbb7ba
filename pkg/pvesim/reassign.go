package pvesim

import "fmt"

// reassignment gives a disk of one VM to another.
type reassignment struct {
	q          *call
	disk, slot string
	id         int // of the other VM
}

func (q *call) reassign(v *vm) (any, error) {
	r := &reassignment{q, q.p["disk"], q.p.str("target-disk", q.p["disk"]), q.p.int("target-vmid", 0)}
	if err := q.need(fmt.Sprintf("/vms/%d", r.id), "VM.Config.Disk"); err != nil {
		return nil, err
	}
	if r.id == v.id {
		return nil, badParam("target-vmid", "must be different than source VMID to reassign disk")
	}
	_, vol, err := r.check(v)
	if err != nil {
		return nil, err
	}
	if err := q.need("/storage/"+vol.storage.Name, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	return q.fork("qmmove", fmt.Sprintf("%d-%s>%d-%s", v.id, r.disk, r.id, r.slot), func(t *task) *job {
		return &job{locks: append(lockVM(v.id), lockVM(r.id)...), steps: once(q.c.cfg.Durations.Move, func() error { return r.run(t) })}
	}), nil
}

// check finds the other VM and the volume, or what is in the way. It is done again under the locks.
func (r *reassignment) check(v *vm) (dst *vm, vol *volume, err error) {
	c := r.q.c
	dst = c.vms[r.id]
	switch {
	case dst == nil:
		return nil, nil, fail("could not find target VM %d", r.id)
	case dst.node != v.node:
		return nil, nil, fail("Both VMs need to be on the same node (%s != %s)", v.node, dst.node)
	}
	for _, x := range []struct {
		vm     *vm
		digest string
	}{{v, ""}, {dst, r.q.p["target-digest"]}} {
		if err := x.vm.unlocked(false); err != nil {
			return nil, nil, err
		}
		if err := x.vm.checkDigest(x.digest); err != nil {
			return nil, nil, fail("VM %d: %v", x.vm.id, err)
		}
	}
	d := mustDrive(r.disk, v.conf[r.disk])
	vol = c.volume(d.volid, v.node)
	return dst, vol, r.allowed(v, dst, d, vol)
}

func (r *reassignment) allowed(v, dst *vm, d drive, vol *volume) error {
	switch {
	case v.template() || dst.template():
		return fail("Can't move disks from or to template VMs")
	case v.conf[r.disk] == "":
		return fail("Disk '%s' for VM '%d' does not exist", r.disk, v.id)
	case dst.conf[r.slot] != "":
		return fail("Target disk key '%s' is already in use for VM '%d'", r.slot, r.id)
	case d.cdrom():
		return fail("CD drive contents can't be moved to another VM")
	case vol == nil:
		return fail("volume '%s' does not exist", d.volid)
	case v.inSnapshot(d.volid):
		return fail("Can't move disk used by a snapshot to another VM")
	case v.running && !isUnused(r.disk):
		return fail("Cannot move disk to another VM while the source VM is running - detach first")
	}
	return nil
}

func (v *vm) inSnapshot(volid string) bool {
	for _, s := range v.snapshots {
		if references(s.conf, volid) {
			return true
		}
	}
	return false
}

func (r *reassignment) run(t *task) error {
	v, err := r.q.vmOf()
	if err != nil {
		return err
	}
	dst, vol, err := r.check(v)
	if err != nil {
		return err
	}
	t.log("reassign disk '%s' from VM '%d' as '%s' to VM '%d'", r.disk, v.id, r.slot, r.id)
	d := mustDrive(r.disk, v.conf[r.disk])
	r.q.c.rename(vol, r.id)
	t.log("removing disk '%s' from VM '%d' config", r.disk, v.id)
	delete(v.conf, r.disk)
	d.volid = vol.volid()
	if isUnused(r.slot) {
		d.opts = nil // only the volume counts there
	}
	dst.conf[r.slot] = d.String()
	return nil
}
