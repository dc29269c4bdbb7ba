package pvesim

import (
	"slices"
	"strings"
)

// backupRoutes are the backups that are to be made at certain times. They are kept, and never made: the
// simulator starts no work by itself.
var backupRoutes = []routeRow{
	{"GET", "/cluster/backup", dcAudit, "", (*call).backupJobList},
	{"POST", "/cluster/backup", dcModify, "+backupjob id:configid", (*call).backupJobCreate},
	{"GET", "/cluster/backup/{id}", dcAudit, "", (*call).backupJobShow},
	{"PUT", "/cluster/backup/{id}", dcModify, "+backupjob delete:configid-list", (*call).backupJobUpdate},
	{"DELETE", "/cluster/backup/{id}", dcModify, "", (*call).backupJobDelete},
	{"GET", "/cluster/backup/{id}/included_volumes", dcAudit, "", (*call).backupJobVolumes},
	{"GET", "/cluster/backup-info/not-backed-up", dcAudit, "", (*call).notBackedUp},
}

// backupFields are the settings of such a job.
var backupFields schema

// backupJob is one that is to be made again and again.
type backupJob struct {
	id  string
	set map[string]string
}

func (j *backupJob) show() object {
	o := object{"id": j.id, "type": "vzdump"}
	for k, v := range j.set {
		o[k] = backupFields[k].asJSON(v)
	}
	return o
}

func (q *call) backupJobNamed() (*backupJob, error) {
	for _, j := range q.c.backupJobs {
		if j.id == q.vars["id"] {
			return j, nil
		}
	}
	return nil, badParam("id", "No such job '%s'", q.vars["id"])
}

func (q *call) backupJobList() (any, error) {
	out := []any{}
	for _, j := range q.c.backupJobs {
		out = append(out, j.show())
	}
	return out, nil
}

func (q *call) backupJobShow() (any, error) {
	j, err := q.backupJobNamed()
	if err != nil {
		return nil, err
	}
	return j.show(), nil
}

func (q *call) backupJobCreate() (any, error) {
	j := &backupJob{q.p.str("id", "backup-"+q.c.uuid()[:13]), map[string]string{"enabled": "1"}}
	q.vars["id"] = j.id
	if _, err := q.backupJobNamed(); err == nil {
		return nil, fail("Job '%s' already exists", j.id)
	}
	if !q.p.has("schedule") && !q.p.has("starttime") {
		return nil, badParam("schedule", "neither 'starttime' nor 'schedule' were set")
	}
	if err := j.take(q); err != nil {
		return nil, err
	}
	q.c.backupJobs = append(q.c.backupJobs, j)
	return nil, nil
}

func (q *call) backupJobUpdate() (any, error) {
	j, err := q.backupJobNamed()
	if err != nil {
		return nil, err
	}
	return nil, j.take(q)
}

// take takes over what a call says about a job, if what comes of it makes sense.
func (j *backupJob) take(q *call) error {
	next := q.p.over(j.set, "id")
	switch {
	case q.p.has("schedule") && q.p.has("starttime"):
		return badParam("starttime", "'starttime' and 'schedule' cannot both be set")
	case next["all"] == "1" && next["vmid"] != "":
		return badParam("all", "option conflicts with option 'vmid'")
	case next["exclude"] != "" && next["vmid"] != "":
		return badParam("exclude", "option conflicts with option 'vmid'")
	case next["all"] != "1" && next["vmid"] == "" && next["pool"] == "" && next["exclude"] == "":
		return badParam("vmid", "property is missing and it is not optional")
	case next["pool"] != "" && q.c.pools[next["pool"]] == nil:
		return denied("pool '" + next["pool"] + "' does not exist")
	}
	if start := next["starttime"]; start != "" { // the old way to say when
		next["schedule"] = strings.TrimSpace(next["dow"] + " " + start)
		delete(next, "starttime")
		delete(next, "dow")
	}
	j.set = next
	return nil
}

func (q *call) backupJobDelete() (any, error) {
	j, err := q.backupJobNamed()
	if err != nil {
		return nil, err
	}
	q.c.backupJobs = slices.DeleteFunc(q.c.backupJobs, func(x *backupJob) bool { return x == j })
	return nil, nil
}

// covers reports whether a job backs up a VM.
func (c *Cluster) covers(j *backupJob, v *vm) bool {
	id := itoa(v.id)
	switch {
	case j.set["node"] != "" && j.set["node"] != v.node:
		return false
	case j.set["vmid"] != "":
		return contains(listOf(j.set["vmid"]), id)
	case j.set["pool"] != "":
		return c.poolOf(v.id) == j.set["pool"]
	}
	return !contains(listOf(j.set["exclude"]), id)
}

// forgetBackups takes a VM out of all jobs. A job without a VM goes.
func (c *Cluster) forgetBackups(vmid int) {
	c.backupJobs = slices.DeleteFunc(c.backupJobs, func(j *backupJob) bool {
		ids := listOf(j.set["vmid"])
		if !contains(ids, itoa(vmid)) {
			return false
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == itoa(vmid) })
		j.set["vmid"] = strings.Join(ids, ",")
		return len(ids) == 0
	})
}

// notBackedUp lists the VMs that no job backs up.
func (q *call) notBackedUp() (any, error) {
	out := []any{}
	for _, id := range sortedIDs(q.c.vms) {
		v := q.c.vms[id]
		if !slices.ContainsFunc(q.c.backupJobs, func(j *backupJob) bool { return q.c.covers(j, v) }) {
			out = append(out, object{"vmid": id, "name": v.name(), "type": "qemu"})
		}
	}
	return out, nil
}

// backupJobVolumes is the tree of what a job backs up.
func (q *call) backupJobVolumes() (any, error) {
	j, err := q.backupJobNamed()
	if err != nil {
		return nil, err
	}
	guests := []any{}
	for _, id := range sortedIDs(q.c.vms) {
		v := q.c.vms[id]
		if !q.c.covers(j, v) {
			continue
		}
		volumes := []any{}
		for _, k := range drives(v.conf) {
			d := mustDrive(k, v.conf[k])
			if d.cdrom() {
				continue
			}
			in := d.opts["backup"] != "0"
			reason := map[bool]string{true: "enabled", false: "disabled"}[in]
			volumes = append(volumes, object{"id": k, "name": d.volid, "included": flag(in), "reason": reason})
		}
		guests = append(guests, object{"id": id, "name": v.name(), "type": "qemu", "children": volumes})
	}
	return object{"children": guests}, nil
}
