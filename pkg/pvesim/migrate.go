package pvesim

import "strings"

// migrateCheck says where a VM could go.
func (q *call) migrateCheck() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	allowed, disks := []string{}, []any{}
	for _, id := range v.volids() {
		if vol := q.c.volume(id, v.node); vol != nil && !vol.storage.Shared {
			disks = append(disks, object{"volid": id, "size": vol.size, "cdrom": flag(strings.Contains(vol.name, "cloudinit")), "is_unused": 0})
		}
	}
	for _, n := range q.c.nodes {
		if n.Name != v.node && n.online {
			allowed = append(allowed, n.Name)
		}
	}
	return object{"running": flag(v.running), "allowed_nodes": allowed, "not_allowed_nodes": object{}, "local_disks": disks, "local_resources": []string{}, "mapped-resources": []string{}, "has-dbus-vmstate": 0}, nil
}

// migrate moves a VM to another node, with its local disks.
func (q *call) migrate() (any, error) {
	target := q.p["target"]
	if target == q.node {
		return nil, badParam("target", "target is local node.")
	}
	if q.c.node(target) == nil {
		return nil, fail("no such cluster node '%s'", target)
	}
	if !q.c.node(target).online {
		return nil, fail("target node '%s' is not online", target)
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
	if v.running && !q.c.onlyShared(v) && !q.p.bool("with-local-disks") {
		return nil, fail("can't live migrate attached local disks without with-local-disks option")
	}
	storages, err := q.targetStorages(target)
	if err != nil {
		return nil, err
	}
	return q.fork("qmigrate", q.vars["vmid"], func(t *task) *job { return q.migration(t, target, storages) }), nil
}

// migration is the work of the task.
func (q *call) migration(t *task, target string, storages map[string]string) *job {
	var v *vm
	return &job{
		locks: lockVM(q.vmid()),
		steps: []step{{run: func() error {
			x, err := q.vmOf()
			if err != nil {
				return err
			}
			if err := x.unlocked(false); err != nil {
				return err
			}
			t.log("starting migration of VM %d to node '%s' (%s)", x.id, target, q.c.node(target).IP)
			if err := q.c.checkMove(x, target, storages); err != nil {
				return err
			}
			v = x
			v.conf["lock"] = "migrate"
			return nil
		}}, {takes: q.c.cfg.Durations.Migrate, run: func() error {
			if !q.c.node(target).online {
				return fail("migration aborted")
			}
			delete(v.conf, "lock")
			q.c.relocate(v, target, storages)
			t.log("migration finished successfully")
			return nil
		}}},
		undo: func() {
			if v != nil {
				delete(v.conf, "lock")
			}
		},
	}
}

// targetStorages reads the map of storages; key "" is for all others.
func (q *call) targetStorages(target string) (map[string]string, error) {
	m := map[string]string{}
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

// checkMove checks that each local volume has a place on the target.
func (c *Cluster) checkMove(v *vm, target string, storages map[string]string) error {
	for _, id := range v.volids() {
		vol := c.volume(id, v.node)
		if vol == nil || vol.storage.Shared {
			continue
		}
		if _, err := c.usable(mapped(storages, vol.storage.Name), target); err != nil {
			return err
		}
		if vol.base != "" {
			return fail("can't migrate local disk '%s': can't migrate linked clone", id)
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
		if vol == nil || vol.storage.Shared {
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
	for _, conf := range []map[string]string{v.conf, v.pending} {
		for k, value := range conf {
			if !isDrive(k) && !isUnused(k) {
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
