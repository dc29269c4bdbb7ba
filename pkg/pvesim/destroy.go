package pvesim

import "strings"

// vmDestroy removes a VM with its volumes.
func (q *call) vmDestroy() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if v.conf["protection"] == "1" {
		return nil, fail("can't remove VM %d - protection mode enabled", v.id)
	}
	if v.running {
		return nil, fail("VM %d is running - destroy failed", v.id)
	}
	if q.c.haOf(v.id) != nil && !q.p.bool("purge") {
		return nil, fail("unable to remove VM %d - used in HA resources and purge parameter not set.", v.id)
	}
	return q.fork("qmdestroy", q.vars["vmid"], func(t *task) *job {
		return &job{
			locks: lockVM(v.id),
			steps: []step{{run: func() error { return q.beginDestroy(t) }}, {takes: q.c.cfg.Durations.Destroy, run: func() error {
				if v := q.c.vms[q.vmid()]; v != nil {
					q.logMissing(t, v)
					q.c.destroy(v, q.p.bool("destroy-unreferenced-disks"))
				}
				return nil
			}}},
		}
	}), nil
}

// beginDestroy does the checks of the task and sets the lock that stays until the end.
func (q *call) beginDestroy(t *task) error {
	v, err := q.vmOf()
	if err != nil {
		return err
	}
	if err := v.unlocked(q.p.bool("skiplock")); err != nil {
		return err
	}
	if v.running {
		return fail("VM %d is running - destroy failed", v.id)
	}
	for _, id := range v.volids() {
		if vol := q.c.volume(id, v.node); vol != nil && q.c.hasClones(vol) {
			return fail("base volume '%s' is still in use by linked cloned", vol.volid())
		}
	}
	v.conf["lock"] = "destroyed"
	if q.p.bool("purge") {
		q.c.forgetBackups(v.id)
		t.log("purging VM %d from related configurations..", v.id)
	}
	return nil
}

// logMissing notes volumes that are gone already.
func (q *call) logMissing(t *task, v *vm) {
	for _, id := range v.volids() {
		if s := q.c.storage(strings.Split(id, ":")[0]); s != nil && q.c.volume(id, v.node) == nil {
			t.log("disk image '%s' does not exist", ghost(s, v.node, id).file())
		}
	}
}

// destroy removes a VM: its own volumes, also the unused ones, its firewall, pool membership and
// permissions. Backups stay.
func (c *Cluster) destroy(v *vm, unreferenced bool) {
	for _, id := range v.volids() {
		if vol := c.volume(id, v.node); vol != nil && vol.vmid == v.id && vol.content == "images" {
			c.free(vol)
		}
	}
	if unreferenced {
		for k, vol := range c.volumes {
			if vol.vmid == v.id && vol.content == "images" && (k.node == "" || k.node == v.node) {
				delete(c.volumes, k)
			}
		}
	}
	delete(c.vms, v.id)
	delete(c.ha, haID(v.id))
	c.forgetInRules(haID(v.id))
	delete(c.firewalls, v.id)
	c.leavePools(v.id)
	c.access.forget("/vms/" + itoa(v.id))
}
