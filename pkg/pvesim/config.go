package pvesim

import (
	"encoding/json"
	"fmt"
	"maps"
	"sort"
	"strconv"
	"strings"
	"time"
)

// controls are parameters of the config call that are no configuration keys.
var controls = []string{"delete", "revert", "digest", "force", "skiplock", "background_delay", "import-working-storage"}

// shown is a configuration value as JSON shows it: a number for booleans and integers.
func shown(key, value string) any {
	if key == "cipassword" {
		return "**********"
	}
	if f, ok := configFields[key]; ok && (f.kind == "boolean" || f.kind == "integer") {
		return json.Number(value)
	}
	return value
}

func (q *call) configGet() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	conf := v.merged()
	switch {
	case q.p.has("snapshot"):
		s := v.snapshotNamed(q.p["snapshot"])
		if s == nil {
			return nil, fail("snapshot '%s' does not exist", q.p["snapshot"])
		}
		conf = s.shown()
	case q.p.bool("current"):
		conf = v.conf
	}
	o := object{"digest": v.digest()}
	for k, value := range conf {
		o[k] = shown(k, value)
	}
	return o, nil
}

func (q *call) pending() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	out := []any{object{"key": "digest", "value": v.digest()}}
	keys := maps.Clone(v.conf)
	maps.Copy(keys, v.pending)
	for _, k := range sortedKeys(keys) {
		o := object{"key": k}
		if value, ok := v.conf[k]; ok {
			o["value"] = shown(k, value)
		}
		if value, ok := v.pending[k]; ok {
			o["pending"] = shown(k, value)
		}
		if n, ok := v.pendingDelete[k]; ok {
			o["delete"] = n
		}
		out = append(out, o)
	}
	return out, nil
}

func (q *call) configPut() (any, error) {
	u, err := q.newUpdate()
	if err != nil {
		return nil, err
	}
	j := &job{locks: lockVM(q.vmid()), steps: once(q.c.cfg.Durations.Config, u.run)}
	u.log = func(string, ...any) {}
	q.breakJob(j)
	return nil, q.c.wait(j)
}

func (q *call) configPost() (any, error) {
	u, err := q.newUpdate()
	if err != nil {
		return nil, err
	}
	var ended *task
	upid := q.fork("qmconfig", q.vars["vmid"], func(t *task) *job {
		ended = t
		u.log = t.log
		return &job{locks: lockVM(q.vmid()), steps: []step{
			{0, func() error { t.log("update VM %d: %s", q.vmid(), u.commandLine()); return nil }},
			{q.c.cfg.Durations.Config, u.run},
		}}
	})
	if delay := q.p.int("background_delay", 0); delay > 0 {
		return q.delayed(ended, upid, time.Duration(delay)*time.Second)
	}
	return upid, nil
}

// delayed waits some time for a task that is hoped to be short.
func (q *call) delayed(t *task, upid string, d time.Duration) (any, error) {
	if t.running {
		q.awaitTask(t, d)
	}
	switch {
	case t.running:
		return upid, nil
	case t.exit == "OK" || t.warnings > 0:
		return nil, nil
	}
	return nil, fail("failed to update VM %d: %s", q.vmid(), t.exit)
}

// awaitTask releases the mutex until a task has ended or d has passed.
func (q *call) awaitTask(t *task, d time.Duration) {
	over := make(chan struct{})
	end := t.job.end
	t.job.end = func(err error) { end(err); close(over) }
	late := make(chan struct{})
	stop := q.c.after(d, func() { close(late) })
	q.c.mu.Unlock()
	select {
	case <-over:
	case <-late:
	case <-q.c.closing:
	}
	q.c.mu.Lock()
	stop()
}

// update is one change of a configuration.
type update struct {
	q       *call
	set     map[string]string // normal values
	drives  map[string]drive
	remove  []string
	revert  []string
	force   bool
	digest  string
	skip    bool
	log     func(string, ...any)
	created []*volume // to be freed when the update fails
}

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
	if _, ok := u.set["lock"]; ok && !q.who.isRoot() {
		return nil, fail("only root can set 'lock' config")
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
	for _, k := range u.remove {
		if _, ok := u.set[k]; ok {
			return badParam("delete", "you can't use '-%s' and -delete %s' at the same time", k, k)
		}
	}
	for name, list := range map[string][]string{"delete": u.remove, "revert": u.revert} {
		for _, k := range list {
			if _, ok := configFields[k]; !ok {
				return badParam(name, "unknown option '%s'", k)
			}
		}
	}
	return nil
}

// normalise brings values into the form in which they are stored.
func (u *update) normalise() error {
	for k, value := range u.set {
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
		if name := d.storage(); name != "" {
			s, err := u.q.c.usable(name, v.node)
			if err != nil {
				return err
			}
			if _, _, ok := d.wanted(); ok && !contains(s.Content, "images") {
				return fail("storage '%s' does not support content-type 'images'", name)
			}
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

// commandLine is the change as the task log shows it.
func (u *update) commandLine() string {
	var parts []string
	shown := maps.Clone(map[string]string(u.q.p))
	for k, value := range shown {
		switch k {
		case "background_delay", "skiplock", "digest":
			continue
		case "cipassword":
			value = "<hidden>"
		}
		if strings.ContainsAny(value, " \n") {
			value = "'" + value + "'"
		}
		parts = append(parts, fmt.Sprintf("-%s %s", k, value))
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}
