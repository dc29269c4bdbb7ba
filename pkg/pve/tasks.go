package pve

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// TaskStatus is how far a task is.
type TaskStatus struct {
	Running    bool
	ExitStatus string // "OK", "WARNINGS: n" or the error text; empty while it runs
}

// taskPath is the path of a task, or of something below it.
func taskPath(u UPID, rest ...any) string {
	return at("nodes", u.Node(), "tasks", string(u)) + at(rest...)
}

func taskOp(what string, u UPID) string {
	return what + " task " + u.Type() + " of " + u.subject() + " on node " + u.Node()
}

// Task asks for a task's status. A task that the node does not know gives an error of kind TaskUnknown: nodes lose
// tasks when they restart.
func (c *Client) Task(ctx context.Context, u UPID) (TaskStatus, error) {
	r := request{op: taskOp("look at", u), method: http.MethodGet, path: taskPath(u, "status"), poll: true}
	var s struct {
		Status     text `json:"status"`
		ExitStatus text `json:"exitstatus"`
	}
	if err := c.do(ctx, r, &s); err != nil {
		return TaskStatus{}, err
	}
	switch s.Status {
	case "running":
		return TaskStatus{Running: true}, nil
	case "stopped":
		return TaskStatus{ExitStatus: string(s.ExitStatus)}, nil
	}
	return TaskStatus{}, c.odd(r, "a task is running or stopped, not "+string(s.Status))
}

// noLog is what the log of an unknown task consists of: Proxmox answers with success and this one line.
const noLog = "unable to open file - No such file or directory"

// TaskLog returns the last lines of a task's log, oldest first; lastN <= 0 returns all of it.
func (c *Client) TaskLog(ctx context.Context, u UPID, lastN int) ([]string, error) {
	r := request{op: taskOp("read the log of", u), method: http.MethodGet, path: taskPath(u, "log"),
		params: map[string]string{"limit": "0"}, poll: true}
	var lines []struct {
		T text `json:"t"`
	}
	if err := c.do(ctx, r, &lines); err != nil {
		return nil, err
	}
	if len(lines) == 1 && string(lines[0].T) == noLog {
		return nil, &Error{Cluster: c.cfg.Name, Op: r.op, Method: r.method, Path: r.path, Code: http.StatusOK,
			Message: noLog, Kind: TaskUnknown}
	}
	if lastN > 0 && len(lines) > lastN {
		lines = lines[len(lines)-lastN:]
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = bounded(string(l.T))
	}
	return newScrubber(c.cfg.secrets(), nil).lines(out), nil
}

// StopTask tells a running task to stop and does not wait for it. A task that has ended stays as it is.
func (c *Client) StopTask(ctx context.Context, u UPID) error {
	return c.do(ctx, request{op: taskOp("stop", u), method: http.MethodDelete, path: taskPath(u)}, nil)
}

// listed is one entry of a node's task list. Its status holds the exit status, or RUNNING.
type listed struct {
	UPID    UPID   `json:"upid"`
	Status  text   `json:"status"`
	EndTime number `json:"endtime"`
}

func (l listed) taskStatus() TaskStatus {
	if l.EndTime == 0 || l.Status == "RUNNING" {
		return TaskStatus{Running: true}
	}
	return TaskStatus{ExitStatus: string(l.Status)}
}

// listTasks returns the newest tasks of a node that started at or after since (Unix seconds, the node's clock), as
// far as the token may see them.
func (c *Client) listTasks(ctx context.Context, node string, since, limit string) ([]listed, error) {
	var out []listed
	err := c.do(ctx, request{op: "list the tasks of node " + node, method: http.MethodGet,
		path: at("nodes", node, "tasks"), poll: true,
		params: map[string]string{"source": "all", "since": since, "limit": limit}}, &out)
	return out, err
}

// ActiveTasks returns the tasks of a VM that run on a node now, newest first, as far as the token may see them: its
// own always.
func (c *Client) ActiveTasks(ctx context.Context, node string, vmid int) ([]UPID, error) {
	var found []listed
	err := c.do(ctx, request{op: fmt.Sprintf("list the running tasks of VM %d on node %s", vmid, node), method: http.MethodGet,
		path: at("nodes", node, "tasks"), params: map[string]string{"source": "active", "vmid": strconv.Itoa(vmid)}}, &found)
	var running []UPID
	for _, l := range found {
		if l.taskStatus().Running {
			running = append(running, l.UPID)
		}
	}
	return running, err
}

// TaskResult is a task that ended well.
type TaskResult struct {
	UPID     UPID
	Warnings string   // "WARNINGS: 2", empty if there were none
	Log      []string // the last lines where there were warnings
}

// logTail is how many last lines of a task's log are kept with its result.
const logTail = 20

// Wait returns when the task has ended: nil for success, with or without warnings; a *TaskError for failure; an error
// of kind TaskUnknown where Proxmox does not know the task; the context's error, wrapped, when that ends first. A node
// that cannot be asked is waited for, but not in silence: an error of kind Transient says why, and nothing about the
// task, which is to be waited for again. "" is a task that finished within its call.
func (c *Client) Wait(ctx context.Context, u UPID) (TaskResult, error) {
	if u == "" {
		return TaskResult{}, nil
	}
	if _, err := ParseUPID(string(u)); err != nil {
		return TaskResult{}, &Error{Cluster: c.cfg.Name, Op: "wait for a task", Message: err.Error(), Kind: Refused}
	}
	status, err := c.watches.wait(ctx, u)
	if err != nil {
		return TaskResult{}, err
	}
	return c.result(ctx, u, status)
}

// result reads the end of the log where a person will want it. A log that cannot be read changes nothing.
func (c *Client) result(ctx context.Context, u UPID, s TaskStatus) (TaskResult, error) {
	if s.ExitStatus == "OK" {
		return TaskResult{UPID: u}, nil
	}
	log, _ := c.TaskLog(ctx, u, logTail)
	if strings.HasPrefix(s.ExitStatus, "WARNINGS: ") {
		return TaskResult{UPID: u, Warnings: s.ExitStatus, Log: log}, nil
	}
	exit, kind := newScrubber(c.cfg.secrets(), nil).text(bounded(s.ExitStatus)), taskKind(u, s.ExitStatus)
	if why := loggedReason(s.ExitStatus, log); why != "" {
		exit, kind = exit+": "+why, taskKind(u, why)
	}
	return TaskResult{}, &TaskError{Cluster: c.cfg.Name, UPID: u, ExitStatus: exit, Log: log, Kind: kind}
}

// vague are exit statuses that leave the reason to the log (PVE::AbstractMigrate).
var vague = regexp.MustCompile(`^migration (aborted|problems)$`)

// reasonLine is how a migration logs one: "2026-11-24 12:00:00 ERROR: migration aborted (duration 00:00:01): ...".
var reasonLine = regexp.MustCompile(`^[0-9-]{10} [0-9:]{8} ERROR: (?:migration aborted \(duration [0-9:]+\): )?(.+)$`)

// loggedReason is the last reason in the log of a task whose exit status gives none.
func loggedReason(exit string, log []string) string {
	if !vague.MatchString(exit) {
		return ""
	}
	for _, line := range slices.Backward(log) {
		if m := reasonLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "migration finished with problems") {
			return m[1]
		}
	}
	return ""
}

// taskKind is the kind of a failed task. A clone or a move that misses a configuration may mean either of two VMs, and a
// migration either of two nodes, so it proves nothing about any.
func taskKind(u UPID, exit string) Kind {
	k := classify(taskExit, true, exit)
	if k == Gone && slices.Contains([]string{"qmclone", "qmmove", "qmigrate"}, u.Type()) {
		return Conflict
	}
	return k
}
