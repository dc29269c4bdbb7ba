package pvesim

import (
	"encoding/json"
	"fmt"
	"maps"
	"sort"
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
	if key == "snaptime" {
		return json.Number(value)
	}
	return configFields[key].asJSON(value)
}

// asJSON is a value of a field as JSON shows it.
func (f field) asJSON(value string) any {
	if f.kind == "boolean" || f.kind == "integer" {
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
	j := &job{locks: lockVM(q.vmid()), steps: append(u.allocating(), once(q.c.cfg.Durations.Config, u.run)...)}
	u.log = func(string, ...any) {}
	q.breakJob(j)
	return nil, q.wait(j)
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
		steps := once(0, func() error { t.log("update VM %d: %s", q.vmid(), u.commandLine()); return nil })
		steps = append(steps, u.allocating()...)
		return &job{locks: lockVM(q.vmid()), steps: append(steps, once(q.c.cfg.Durations.Config, u.run)...)}
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
	q.pause(d, over)
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

// allocating are the steps that wait for the storages of new volumes.
func (u *update) allocating() []step {
	var list []*storage
	for _, k := range sortedKeys(u.drives) {
		d := u.drives[k]
		_, _, wanted := d.wanted()
		if s := u.q.c.storage(d.storage()); s != nil && (wanted || strings.HasSuffix(d.volid, ":cloudinit")) {
			list = append(list, s)
		}
	}
	return u.q.c.allocating(u.q.node, "", list)
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
