package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Error is an answer outside success, or the lack of an answer. It holds no secrets.
type Error struct {
	Cluster string // Config.Name
	Op      string // what was being done, to which VM: "resize scsi0 of VM 101 on pve1"
	Method  string
	Path    string            // below /api2/json, without the query
	Code    int               // of HTTP; 0 when no answer came
	Reason  string            // HTTP reason phrase, where Proxmox puts its message
	Message string            // the message of the body, or the reason where the body has none
	Params  map[string]string // of a 400: the parameter and what is wrong with it
	Kind    Kind
	cause   error
	fate    fate
}

// Error says what failed and why, in one line, with where and what kind in brackets.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(e.text())
	fmt.Fprintf(&b, " (cluster %s", e.Cluster)
	if e.Method != "" {
		fmt.Fprintf(&b, ", %s %s", e.Method, e.Path)
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, ", %d", e.Code)
	}
	fmt.Fprintf(&b, ", %s)", e.Kind)
	return b.String()
}

// Unwrap gives the reason below, if there is one: a cancelled context, a network error.
func (e *Error) Unwrap() error { return e.cause }

// text is the message and, sorted, the complaints about parameters.
func (e *Error) text() string {
	parts := []string{e.Message}
	if e.Message == "" {
		parts[0] = e.Reason
	}
	for _, k := range slices.Sorted(maps.Keys(e.Params)) {
		parts = append(parts, k+": "+e.Params[k])
	}
	return oneLine(strings.Join(parts, " "))
}

// TaskError is a task that ended without success.
type TaskError struct {
	Cluster    string
	UPID       UPID
	ExitStatus string   // the error text that Proxmox gave the task
	Log        []string // its last lines, oldest first; empty where they could not be read
	Kind       Kind
}

// Error names the task, its VM and node, and why it failed.
func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s of %s on node %s: %s (cluster %s, %s, %s)",
		e.UPID.Type(), e.UPID.subject(), e.UPID.Node(), oneLine(e.ExitStatus), e.Cluster, e.UPID, e.Kind)
}

// maxText bounds what is kept of one text of a server, in bytes.
const maxText = 4 << 10

// oneLine makes a text of a server fit for a log line: no control characters, no runs of space, bounded.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(bounded(s), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

func bounded(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
