package pvesim

import "fmt"

// vmCreate makes a new VM.
func (q *call) vmCreate() (any, error) {
	if q.p.has("archive") {
		return q.restore()
	}
	id := q.p.int("vmid", 0)
	if err := q.needCreate(id); err != nil {
		return nil, err
	}
	if err := q.c.quorum(); err != nil {
		return nil, err
	}
	if p := q.p["pool"]; p != "" && q.c.pools[p] == nil {
		return nil, denied("pool '" + p + "' does not exist")
	}
	if v := q.c.vms[id]; v != nil {
		return nil, fail("unable to create VM %d - VM %d already exists on node '%s'", id, id, v.node)
	}
	q.vars["vmid"] = itoa(id)
	v := newVM(id, q.node)
	u, err := q.creation(v)
	if err != nil {
		return nil, err
	}
	return q.fork("qmcreate", itoa(id), func(t *task) *job {
		u.log = t.log
		steps := once(0, func() error {
			if q.c.vms[id] != nil {
				return fail("unable to create VM %d: config file already exists", id)
			}
			v.conf["lock"] = "create"
			q.c.vms[id] = v
			q.c.joinPool(q.p["pool"], id)
			return nil
		})
		steps = append(steps, u.allocating()...)
		return &job{
			locks: lockVM(id),
			steps: append(steps, once(q.c.cfg.Durations.Create, func() error { return q.fillIn(u, v) })...),
			undo: func() {
				if q.c.vms[id] == v {
					q.c.destroy(v, false)
				}
			},
		}
	}), nil
}

// needCreate checks the right to make a VM: on its path, or on the pool's.
func (q *call) needCreate(id int) error {
	if q.may(fmt.Sprintf("/vms/%d", id), "VM.Allocate") {
		return nil
	}
	if p := q.p["pool"]; p != "" && q.may("/pool/"+p, "VM.Allocate") {
		return nil
	}
	if v := q.c.vms[id]; v != nil && v.node == q.node && q.p.bool("force") && q.may(fmt.Sprintf("/vms/%d", id), "VM.Backup") {
		return nil // to restore it
	}
	return denied("")
}

// creation checks the configuration of a VM to be made.
func (q *call) creation(v *vm) (*update, error) {
	u := &update{q: q, set: map[string]string{}, drives: map[string]drive{}}
	for k, value := range q.p {
		if _, ok := configFields[k]; ok && k != "force" {
			u.set[k] = value
		}
	}
	if err := u.normalise(); err != nil {
		return nil, err
	}
	if err := u.checkRights(v); err != nil {
		return nil, err
	}
	return u, u.checkValues(v)
}

func (q *call) fillIn(u *update, v *vm) error {
	if err := u.apply(v); err != nil {
		return err
	}
	if err := q.c.applyPending(v); err != nil {
		return err
	}
	q.c.stamp(v)
	if v.conf["boot"] == "" {
		v.conf["boot"] = bootOrder(v.conf)
	}
	delete(v.conf, "lock")
	if q.p.bool("start") {
		if _, err := q.vmStart(); err != nil { // a task of its own, which waits for this one
			return err
		}
	}
	if q.p.bool("ha-managed") {
		state := map[bool]string{true: "started", false: "stopped"}[q.p.bool("start")]
		q.c.ha[haID(v.id)] = &haResource{v.id, map[string]string{"state": state}}
	}
	return nil
}

// bootOrder is what Proxmox VE sets when the caller does not: the first disk, CD drive and network card.
func bootOrder(conf map[string]string) string {
	var order []string
	for _, wantCD := range []bool{false, true} {
		for _, k := range diskSlots {
			if conf[k] != "" && isBootable(k) && mustDrive(k, conf[k]).cdrom() == wantCD {
				order = append(order, k)
				break
			}
		}
	}
	for _, k := range sortedKeys(conf) {
		if isNIC(k) {
			order = append(order, k)
			break
		}
	}
	return showBoot(order)
}

func isBootable(slot string) bool { return slot != "efidisk0" && slot != "tpmstate0" }
