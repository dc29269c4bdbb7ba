package pvesim

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// task is one worker process of a node.
type task struct {
	upid, node, typ, id string
	user, token         string // "user@realm", token name or ""
	pid, pstart         int
	started, ended      time.Time
	running             bool
	exit                string // exit status once stopped
	warnings            int
	lines               []string
	job                 *job
}

func (t *task) log(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// warn adds a warning, which makes the exit status "WARNINGS: n".
func (t *task) warn(format string, args ...any) {
	t.warnings++
	t.log("WARN: "+format, args...)
}

// fork starts a task of a call and returns its UPID. work gets the task, for its log.
func (q *call) fork(typ, id string, work func(*task) *job) string {
	c := q.c
	now := c.cfg.Now()
	c.pids += 17
	t := &task{
		node: q.node, typ: typ, id: id, user: q.who.user, token: q.who.token,
		pid: c.pids, pstart: int(now.Sub(c.boot) / (10 * time.Millisecond)), started: now, running: true,
	}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", t.node, t.pid, t.pstart, now.Unix(), typ, id, q.who)
	j := work(t)
	t.job = j
	j.log = t.log
	j.end = func(err error) { c.endTask(t, err) }
	q.breakTask(t, j)
	c.tasks[t.upid] = t
	c.taskOrder = append(c.taskOrder, t)
	delete(c.lastEnded, t.node)
	c.archive()
	begin := func() { j.stop = nil; c.start(j) }
	if d := c.cfg.Durations.Fork; d > 0 {
		j.stop = c.after(d, begin)
	} else {
		begin()
	}
	return t.upid
}

// archive forgets the oldest tasks that have ended, when there are far too many.
func (c *Cluster) archive() {
	n := c.cfg.KeepTasks
	if n == 0 || len(c.taskOrder) < 2*n {
		return
	}
	surplus := len(c.taskOrder) - n
	c.taskOrder = slices.DeleteFunc(c.taskOrder, func(t *task) bool {
		if surplus == 0 || t.running {
			return false
		}
		surplus--
		delete(c.tasks, t.upid)
		return true
	})
}

func (c *Cluster) endTask(t *task, err error) {
	t.running, t.ended = false, c.cfg.Now()
	c.lastEnded[t.node] = t
	switch {
	case err != nil:
		t.exit = oneLine(taskText(err))
		t.log("TASK ERROR: %s", t.exit)
	case t.warnings > 0:
		t.exit = fmt.Sprintf("WARNINGS: %d", t.warnings)
		t.log("TASK %s", t.exit)
	default:
		t.exit = "OK"
		t.log("TASK OK")
	}
}

// taskText is an error's text as Perl would print it in a task.
func taskText(err error) string {
	e, ok := errors.AsType[*apiError](err)
	if !ok || len(e.errors) == 0 {
		return err.Error()
	}
	var b strings.Builder
	b.WriteString(e.reason)
	for _, k := range sortedKeys(e.errors) {
		fmt.Fprintf(&b, " %s: %s", k, e.errors[k])
	}
	return b.String()
}

var upidFormat = regexp.MustCompile(`^UPID:([A-Za-z0-9][A-Za-z0-9-]*):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s]+):([^:\s]*):([^:\s]+):$`)

// taskOf finds the task that a call is about. found is false for a well formed but unknown UPID.
func (q *call) taskOf() (t *task, found bool, err error) {
	upid := q.vars["upid"]
	if !upidFormat.MatchString(upid) {
		return nil, false, badParam("upid", "unable to parse worker upid")
	}
	t, found = q.c.tasks[upid]
	if found && t.node != q.node {
		t, found = nil, false
	}
	return t, found, nil
}

// mayTask checks that a task is the caller's own, or that the caller may see (or change) all.
func (q *call) mayTask(t *task, priv string) error {
	if t != nil && t.user == q.who.user && t.token == q.who.token {
		return nil
	}
	if t != nil && t.user == q.who.user && q.who.token == "" {
		return nil
	}
	return q.need("/nodes/"+q.node, priv)
}

func (q *call) taskIndex() (any, error) {
	return []any{object{"name": "log"}, object{"name": "status"}}, nil
}

func (q *call) taskStatus() (any, error) {
	t, found, err := q.taskOf()
	if err != nil {
		return nil, err
	}
	if err := q.mayTask(t, "Sys.Audit"); err != nil {
		return nil, err
	}
	if !found {
		return nil, badParam("upid", "no such task")
	}
	o := t.show()
	o["status"] = "running"
	if !t.running {
		o["status"], o["exitstatus"] = "stopped", t.exit
	}
	return o, nil
}

// show are the fields that every view of a task has.
func (t *task) show() object {
	o := object{
		"upid": t.upid, "node": t.node, "pid": t.pid, "pstart": t.pstart,
		"starttime": t.started.Unix(), "type": t.typ, "id": t.id, "user": t.user,
	}
	if t.token != "" {
		o["tokenid"] = t.token
	}
	return o
}

func (q *call) taskLog() (any, error) {
	t, found, err := q.taskOf()
	if err != nil {
		return nil, err
	}
	if err := q.mayTask(t, "Sys.Audit"); err != nil {
		return nil, err
	}
	lines := []string{"unable to open file - No such file or directory"}
	if found {
		lines = t.lines
	}
	if q.p.bool("download") {
		return rawText(strings.Join(lines, "\n") + "\n"), nil
	}
	start, limit := q.p.int("start", 0), q.p.int("limit", 50)
	out := []any{}
	for i := start; i < len(lines) && (limit == 0 || i < start+limit); i++ {
		out = append(out, object{"n": i + 1, "t": lines[i]})
	}
	return counted{out, len(lines)}, nil
}

func (q *call) taskStop() (any, error) {
	t, found, err := q.taskOf()
	if err != nil {
		return nil, err
	}
	if err := q.mayTask(t, "Sys.Modify"); err != nil {
		return nil, err
	}
	if found && t.running {
		text := "interrupted by signal"
		if t.typ == "qmclone" {
			text = "clone failed: copy failed: command '/usr/bin/qemu-img convert' failed: interrupted by signal"
		}
		q.c.finish(t.job, fail("%s", text))
	}
	return nil, nil
}

// mayList reports whether a task is shown in lists.
func (q *call) mayList(t *task, node string) bool {
	return t.user == q.who.user && (q.who.token == "" || t.token == q.who.token) || q.may("/nodes/"+node, "Sys.Audit")
}

func (q *call) taskList() (any, error) {
	var found []any
	source := q.p.str("source", "archive")
	for i := len(q.c.taskOrder) - 1; i >= 0; i-- {
		t := q.c.taskOrder[i]
		if t.node != q.node || !q.mayList(t, q.node) || !q.taskWanted(t) {
			continue
		}
		switch {
		case t.running && source != "archive":
			found = append(found, t.listActive())
		case !t.running && source != "active":
			found = append(found, t.listEnded())
		}
	}
	total := len(found)
	start, limit := min(q.p.int("start", 0), total), q.p.int("limit", 50)
	found = found[start:]
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	if found == nil {
		found = []any{}
	}
	return counted{found, total}, nil
}

// listActive is a running task in a node's list: the user then includes the token.
func (t *task) listActive() object {
	o := t.show()
	delete(o, "tokenid")
	o["user"], o["saved"], o["status"] = identity{t.user, t.token}.String(), "0", "RUNNING"
	return o
}

func (t *task) listEnded() object {
	o := t.show()
	o["endtime"], o["status"] = t.ended.Unix(), t.exit
	return o
}

// taskWanted applies the filters of the task list.
func (q *call) taskWanted(t *task) bool {
	p := q.p
	if v := p["vmid"]; v != "" && t.id != v {
		return false
	}
	if v := p["typefilter"]; v != "" && t.typ != v {
		return false
	}
	if v := p["userfilter"]; v != "" && !strings.Contains(strings.ToLower(t.user), strings.ToLower(v)) {
		return false
	}
	if p.bool("errors") && (t.running || t.exit == "OK" || strings.HasPrefix(t.exit, "WARNINGS: ")) {
		return false
	}
	if v := p["statusfilter"]; v != "" && !contains(listOf(v), t.outcome()) {
		return false
	}
	at := int(t.started.Unix())
	return at >= p.int("since", 0) && (p["until"] == "" || at <= p.int("until", 0))
}

// outcome is the class of the exit status, as the status filter names it.
func (t *task) outcome() string {
	switch {
	case t.running:
		return "unknown"
	case t.exit == "OK":
		return "ok"
	case strings.HasPrefix(t.exit, "WARNINGS: "):
		return "warning"
	}
	return "error"
}

// statusRound is how often a node reads its list of tasks anew when nothing happens.
const statusRound = 10 * time.Second

// recentTasks is how many tasks of a node /cluster/tasks shows.
const recentTasks = 25

func (q *call) clusterTasks() (any, error) {
	out, perNode := []any{}, map[string]int{}
	for i := len(q.c.taskOrder) - 1; i >= 0; i-- {
		t := q.c.taskOrder[i]
		if perNode[t.node] == recentTasks || !q.mayList(t, t.node) {
			continue
		}
		perNode[t.node]++
		out = append(out, q.c.showRecent(t))
	}
	return out, nil
}

// showRecent is a task in the list of the cluster. There, "saved" is a number for a task that has just ended, until
// its node reads the list again: at its next task, or in its next round.
func (c *Cluster) showRecent(t *task) object {
	o := t.show()
	delete(o, "pid")
	delete(o, "pstart")
	if t.running {
		o["saved"] = "0"
		return o
	}
	o["endtime"], o["status"], o["saved"] = t.ended.Unix(), t.exit, "1"
	if c.lastEnded[t.node] == t && c.cfg.Now().Sub(t.ended) < statusRound {
		o["saved"] = 1
	}
	return o
}
