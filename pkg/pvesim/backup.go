package pvesim

import "strings"

// vzdump backs up VMs into a storage.
func (q *call) vzdump() (any, error) {
	if !q.p.has("vmid") && !q.p.has("all") && !q.p.has("exclude") && !q.p.has("pool") && !q.p.has("stop") {
		return nil, badParam("vmid", "property is missing")
	}
	s, err := q.c.usable(q.p.str("storage", "local"), q.node)
	if err != nil {
		return nil, err
	}
	if !contains(s.Content, "backup") {
		return nil, fail("storage '%s' does not support backups", s.Name)
	}
	ids, err := q.guestsToBackUp()
	if err != nil {
		return nil, err
	}
	if err := q.need("/storage/"+s.Name, "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	name := ""
	if len(ids) == 1 {
		name = ids[0]
	}
	return q.fork("vzdump", name, func(t *task) *job {
		j := &job{}
		for _, id := range ids {
			j.steps = append(j.steps, q.backupSteps(t, s, id)...)
		}
		return j
	}), nil
}

// guestsToBackUp are those that the caller names. Without names they are all of the node or of a pool that are not
// excluded, as far as the caller may back them up.
func (q *call) guestsToBackUp() ([]string, error) {
	ids := listOf(q.p["vmid"])
	for _, id := range ids {
		if err := q.need("/vms/"+id, "VM.Backup"); err != nil {
			return nil, err
		}
	}
	if len(ids) > 0 || q.p.bool("stop") {
		return ids, nil
	}
	job := &backupJob{set: q.p.over(nil)}
	for _, id := range sortedIDs(q.c.vms) {
		if v := q.c.vms[id]; v.node == q.node && q.c.covers(job, v) && q.may("/vms/"+itoa(id), "VM.Backup") {
			ids = append(ids, itoa(id))
		}
	}
	return ids, nil
}

// backupNotes are the notes of a backup: the caller's, with what Proxmox VE fills in.
func (q *call) backupNotes(v *vm) string {
	return strings.NewReplacer("{{cluster}}", clusterName, "{{guestname}}", v.conf["name"], "{{node}}", v.node, "{{vmid}}", itoa(v.id),
		`\n`, "\n", `\\`, `\`).Replace(q.p["notes-template"])
}

// backupSteps back up one VM; the lock key is "backup" meanwhile.
func (q *call) backupSteps(t *task, s *storage, id string) []step {
	find := func() (*vm, error) { q.vars["vmid"] = id; return q.vmOf() }
	return []step{{run: func() error {
		v, err := find()
		if err != nil {
			return fail("unable to find VM '%s'", id)
		}
		if err := v.unlocked(false); err != nil {
			return err
		}
		v.conf["lock"] = "backup"
		t.log("INFO: Starting Backup of VM %d (qemu)", v.id)
		return nil
	}}, {takes: q.c.cfg.Durations.Backup, run: func() error {
		v, err := find()
		if err != nil {
			return err
		}
		delete(v.conf, "lock")
		for _, k := range drives(v.conf) {
			if d := mustDrive(k, v.conf[k]); d.opts["backup"] == "0" {
				t.log("INFO: exclude disk '%s' '%s' (backup=no)", k, d.volid)
			}
		}
		made := q.c.addBackup(s, BackupSpec{VMID: v.id, Node: v.node, Time: q.c.cfg.Now(), SizeBytes: 1 << 20, Protected: q.p.bool("protected"), Notes: q.backupNotes(v)})
		made.saved = q.c.save(v)
		if q.p.str("remove", "1") == "1" {
			q.removeOld(s, v.id, q.p["prune-backups"], func(volid string) { t.log("INFO: removing backup '%s'", volid) })
		}
		t.log("INFO: Finished Backup of VM %d (00:00:00)", v.id)
		return nil
	}}}
}
