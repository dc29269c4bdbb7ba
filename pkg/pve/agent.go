package pve

import (
	"context"
	"net/http"
	"strconv"
)

// Errors of the calls to a guest agent. Transient: it does not answer yet. Conflict: the VM does not run. Refused: the
// VM is configured without an agent, or the agent will not do it (its text follows "Agent error:").

// AgentPing returns nil when the guest agent answered.
func (c *Client) AgentPing(ctx context.Context, node string, vmid int) error {
	return c.do(ctx, request{op: vmOp("ping the guest agent of", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "agent", "ping")}, nil)
}

// AgentSetPassword gives a user inside the guest a new password. It changes nothing in the VM's configuration; repeated
// it does the same again. It needs VM.GuestAgent.Unrestricted (VM.Monitor before Proxmox VE 9).
func (c *Client) AgentSetPassword(ctx context.Context, node string, vmid int, user, password string) error {
	return c.do(ctx, request{op: vmOp("set the password of user "+strconv.Quote(user)+" in", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "agent", "set-user-password"), params: map[string]string{"username": user, "password": password}}, nil)
}

// AgentRun starts a program in the guest, its arguments as they are, without a shell, and does not wait for it: pid is
// what AgentResult takes. It needs VM.GuestAgent.Unrestricted (VM.Monitor before Proxmox VE 9).
func (c *Client) AgentRun(ctx context.Context, node string, vmid int, command []string) (pid int, err error) {
	r := request{op: vmOp("run "+strconv.Quote(program(command))+" in", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "agent", "exec"), lists: map[string][]string{"command": command}}
	var started struct {
		PID number `json:"pid"`
	}
	if err := c.do(ctx, r, &started); err != nil {
		return 0, err
	}
	if started.PID <= 0 {
		return 0, c.odd(r, "no PID in it")
	}
	return int(started.PID), nil
}

// program is the first word of a command: its arguments may hold secrets.
func program(command []string) string {
	if len(command) == 0 {
		return ""
	}
	return command[0]
}

// AgentResult is how a program in the guest ended.
type AgentResult struct {
	Exited   bool
	ExitCode int // where it ended by itself
	Signal   int // where a signal ended it; else 0
	Out, Err string
}

// AgentResult asks how far a program is that AgentRun started. Missing: the guest does not know the PID, as after its
// restart. The agent forgets a program once it has told of its end.
func (c *Client) AgentResult(ctx context.Context, node string, vmid, pid int) (AgentResult, error) {
	r := request{op: vmOp("look at process "+strconv.Itoa(pid)+" in", vmid, node), method: http.MethodGet, poll: true,
		path: vmPath(node, vmid, "agent", "exec-status"), params: map[string]string{"pid": strconv.Itoa(pid)}}
	var s struct {
		Exited   *yesNo `json:"exited"`
		ExitCode number `json:"exitcode"`
		Signal   number `json:"signal"`
		Out      text   `json:"out-data"`
		Err      text   `json:"err-data"`
	}
	if err := c.do(ctx, r, &s); err != nil {
		return AgentResult{}, err
	}
	if s.Exited == nil {
		return AgentResult{}, c.odd(r, "it does not say whether the process has ended")
	}
	return AgentResult{Exited: bool(*s.Exited), ExitCode: int(s.ExitCode), Signal: int(s.Signal),
		Out: bounded(string(s.Out)), Err: bounded(string(s.Err))}, nil
}
