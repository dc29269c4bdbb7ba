package pvesim

import (
	"strings"
	"time"
)

// FaultKind says what goes wrong.
type FaultKind int

const (
	// Slow answers after Fault.Delay, otherwise rightly.
	Slow FaultKind = iota + 1
	// Refuse answers Fault.Code (500 when 0) and Fault.Text and does nothing.
	Refuse
	// RefuseAfter does the work and then answers Fault.Code (596 when 0) and Fault.Text.
	RefuseAfter
	// DropBefore closes the connection and does nothing.
	DropBefore
	// DropAfter does the work and then closes the connection.
	DropAfter
	// LockTimeout lets the VM's lock file look held by somebody else: at once as an answer 500, or
	// as the end of the task.
	LockTimeout
	// TaskError lets the task end with Fault.Text as its exit status, after its time, without effect.
	TaskError
	// TaskWarnings lets the task do its work and end with "WARNINGS: n", n from Fault.Warnings.
	TaskWarnings
	// StorageFull lets Fault.Storage ("" for any) have no room.
	StorageFull
	// NodeDown answers as if the node in the path could not be reached, with Fault.Text as the reason.
	NodeDown
)

// Fault is a failure that is ordered. The first fault that matches a call is the one that happens.
type Fault struct {
	Kind FaultKind
	// Method and Path say which calls are meant; "" means all. In Path, "*" stands for one part and
	// "**" at the end for the rest: "/nodes/*/qemu/*/clone".
	Method, Path string
	// Skip lets the first matching calls pass.
	Skip int
	// Times is how many calls are hit; 0 means all.
	Times int

	Delay    time.Duration
	Code     int
	Text     string
	Storage  string
	Warnings int

	hits int
}

// AddFault orders a failure. remove takes it back.
func (c *Cluster) AddFault(f Fault) (remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &f
	c.faults = append(c.faults, p)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, x := range c.faults {
			if x == p {
				c.faults = append(c.faults[:i:i], c.faults[i+1:]...)
				return
			}
		}
	}
}

func (f *Fault) is(k FaultKind) bool { return f != nil && f.Kind == k }

// matches counts a call and reports whether the fault hits it.
func (f *Fault) matches(method string, parts []string) bool {
	if f.Method != "" && f.Method != method || !pathMatches(f.Path, parts) {
		return false
	}
	f.hits++
	return f.hits > f.Skip && (f.Times == 0 || f.hits <= f.Skip+f.Times)
}

func pathMatches(pattern string, have []string) bool {
	if pattern == "" {
		return true
	}
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, w := range want {
		if w == "**" && i == len(want)-1 {
			return i < len(have)
		}
		if i >= len(have) || w != "*" && w != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}

// withFaults runs a handler with the fault that hits the call, if any.
func (q *call) withFaults(method string, parts []string, handle func() (any, error)) (any, error) {
	for _, f := range q.c.faults {
		if f.matches(method, parts) {
			copied := *f
			q.fault = &copied
			break
		}
	}
	f := q.fault
	if f == nil {
		return handle()
	}
	switch f.Kind {
	case Slow:
		q.pause(f.Delay, nil)
	case Refuse:
		return nil, f.answer(500, "fault")
	case DropBefore:
		return nil, errDropped
	}
	result, err := handle()
	switch f.Kind {
	case RefuseAfter:
		return nil, f.answer(596, "Connection timed out")
	case DropAfter:
		return nil, errDropped
	}
	return result, err
}

// code is the code of a fault's answer.
func (f *Fault) code(otherwise int) int {
	if f.Code != 0 {
		return f.Code
	}
	return otherwise
}

// answer is the error that a fault sends; codes of the proxy have no body.
func (f *Fault) answer(code int, text string) error {
	code = f.code(code)
	if f.Text != "" {
		text = f.Text
	}
	return &apiError{code: code, reason: text, empty: code > 500 && code != 501}
}

// breakTask puts a fault into a task's job.
func (q *call) breakTask(t *task, j *job) {
	f := q.fault
	switch {
	case f.is(TaskError):
		takes := time.Duration(0)
		for _, s := range j.steps {
			takes += s.takes
		}
		j.steps = once(takes, func() error { return fail("%s", f.Text) })
	case f.is(TaskWarnings):
		for i := range max(1, f.Warnings) {
			t.warn("simulated warning %d", i+1)
		}
	default:
		q.breakJob(j)
	}
}

// breakJob puts a lock time-out into a job.
func (q *call) breakJob(j *job) {
	if !q.fault.is(LockTimeout) {
		return
	}
	late := errLockTimeout(lockFile(q.vmid()))
	if len(j.locks) > 0 {
		late = j.locks[len(j.locks)-1].late
	}
	j.locks = nil
	j.steps = append(once(0, func() error { j.log("trying to acquire lock..."); return nil }), once(lockTimeout, func() error { return late })...)
	j.undo = nil
}
