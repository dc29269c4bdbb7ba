package pve

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// UPID names a task: UPID:node:pid:pstart:starttime:type:id:user: (PVE::UPID). "" means: there was no task, or it
// finished within the call.
type UPID string

// The id may be empty, and may contain @ (101@local) or > (160-unused0>105-unused0).
var upidPattern = regexp.MustCompile(`^UPID:([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

// maxUPID bounds a UPID's length in bytes; real ones have about 80.
const maxUPID = 512

// ParseUPID checks that s is a UPID.
func ParseUPID(s string) (UPID, error) {
	if len(s) > maxUPID || !upidPattern.MatchString(s) {
		return "", fmt.Errorf("pve: %.80q is not a UPID", s)
	}
	return UPID(s), nil
}

// field returns part i of the UPID, "" where there is none.
func (u UPID) field(i int) string {
	parts := strings.Split(string(u), ":")
	if i >= len(parts) {
		return ""
	}
	return parts[i]
}

// Node is the node that the task runs on.
func (u UPID) Node() string { return u.field(1) }

// Type is Proxmox's name for the kind of work: qmclone, qmstart, resize, ...
func (u UPID) Type() string { return u.field(5) }

// ID is what the task works on, usually a VMID. For qmclone it is the template's, not the new VM's.
func (u UPID) ID() string { return u.field(6) }

// User is who started it: user@realm or user@realm!token.
func (u UPID) User() string { return u.field(7) }

// Started is when the task started, by the node's clock, to the second; zero for a UPID that does not parse.
func (u UPID) Started() time.Time {
	sec, err := strconv.ParseInt(u.field(4), 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(sec, 0)
}

// subject is ID in words.
func (u UPID) subject() string {
	if _, err := strconv.Atoi(u.ID()); err == nil {
		return "VM " + u.ID()
	}
	return strconv.Quote(u.ID())
}
