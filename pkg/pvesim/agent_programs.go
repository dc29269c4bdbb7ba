package pvesim

import (
	"slices"
	"strings"
)

// agentExec starts a program in the guest and does not wait for it.
func (q *call) agentExec() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	command := strings.FieldsFunc(q.p["command"], func(r rune) bool { return string(r) == listSeparator })
	if len(command) == 0 && !q.p.has("input-data") {
		return nil, fail("command or input-data (or both) required")
	}
	if v.programs == nil {
		v.programs = map[int][]string{}
	}
	v.execs++
	pid := 700 + v.execs
	v.programs[pid] = command
	return object{"pid": pid}, nil
}

// agentExecStatus says how far a program is. The agent forgets one once it has told of its end.
func (q *call) agentExecStatus() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	pid := q.p.int("pid", 0)
	command, known := v.programs[pid]
	if !known {
		return nil, fail("Agent error: PID %d does not exist", pid)
	}
	code, out, ended := q.c.guestRuns(v, command)
	if !ended {
		return object{"exited": 0}, nil
	}
	delete(v.programs, pid)
	status := object{"exited": 1, "exitcode": code}
	if out != "" {
		status["out-data"] = out
	}
	return status, nil
}

// guestRuns is what a program in the guest does: its exit code and what it prints, once it has ended. The
// guest has cloud-init; every other program ends well and prints nothing.
func (c *Cluster) guestRuns(v *vm, command []string) (code int, out string, ended bool) {
	if len(command) < 2 || command[0] != "cloud-init" || command[1] != "status" {
		return 0, "", true
	}
	if c.cfg.Now().Sub(v.started) < v.guest.CloudInitAfter {
		return 0, "status: running\n", !slices.Contains(command, "--wait")
	}
	switch v.guest.CloudInit {
	case "", "done":
		return 0, "status: done\n", true
	case "error":
		return 1, "status: error\n", true
	}
	return 0, "status: " + v.guest.CloudInit + "\n", true
}

// agentSetPassword changes a user's password inside the guest. The guest has root and the user that
// cloud-init has made from the configuration.
func (q *call) agentSetPassword() (any, error) {
	v, err := q.agent()
	if err != nil {
		return nil, err
	}
	user := q.p["username"]
	if user != "root" && user != v.onDrive["ciuser"] {
		return nil, fail("Agent error: child process has failed to set user password")
	}
	if v.passwords == nil {
		v.passwords = map[string]string{}
	}
	v.passwords[user] = q.p["password"]
	return object{"result": object{}}, nil
}
