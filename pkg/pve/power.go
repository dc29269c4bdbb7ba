package pve

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// VMStatus is the state of a VM now.
type VMStatus struct {
	VMID      int
	Name      string
	Status    string // running or stopped
	QMPStatus string // what QEMU says: running, paused, prelaunch, ...
	Lock      string // clone, backup, ...; empty if not locked
	Template  bool
	Agent     bool // the guest agent is configured
	Uptime    time.Duration
	CPUs      int64
	MaxMem    int64 // bytes
	HAManaged bool
}

// Status asks for a VM's state. Gone means that this node has no configuration for the VMID.
func (c *Client) Status(ctx context.Context, node string, vmid int) (VMStatus, error) {
	r := request{op: vmOp("read the status of", vmid, node), method: http.MethodGet, path: vmPath(node, vmid, "status", "current")}
	var s struct {
		VMID      number `json:"vmid"`
		Name      text   `json:"name"`
		Status    string `json:"status"`
		QMPStatus string `json:"qmpstatus"`
		Lock      string `json:"lock"`
		Template  yesNo  `json:"template"`
		Agent     yesNo  `json:"agent"`
		Uptime    number `json:"uptime"`
		CPUs      number `json:"cpus"`
		MaxMem    number `json:"maxmem"`
		HA        struct {
			Managed yesNo `json:"managed"`
		} `json:"ha"`
	}
	if err := c.do(ctx, r, &s); err != nil {
		return VMStatus{}, err
	}
	if s.Status != "running" && s.Status != "stopped" {
		return VMStatus{}, c.odd(r, "a VM is running or stopped, not "+strconv.Quote(s.Status))
	}
	return VMStatus{VMID: vmid, Name: string(s.Name), Status: s.Status, QMPStatus: s.QMPStatus, Lock: s.Lock,
		Template: bool(s.Template), Agent: bool(s.Agent), Uptime: time.Duration(s.Uptime) * time.Second,
		CPUs: int64(s.CPUs), MaxMem: int64(s.MaxMem), HAManaged: bool(s.HA.Managed)}, nil
}

// Start starts a VM. That it runs already is known only when the task fails with Exists.
func (c *Client) Start(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.power(ctx, "start", node, vmid, nil)
}

// Stop takes a VM's power away, ending a shutdown that is under way. Stopping a stopped VM succeeds.
func (c *Client) Stop(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.power(ctx, "stop", node, vmid, map[string]string{"overrule-shutdown": "1"})
}

// Shutdown asks the guest to shut down and gives it the time-out; then, with forceStop, takes its power away.
func (c *Client) Shutdown(ctx context.Context, node string, vmid int, timeout time.Duration, forceStop bool) (UPID, error) {
	return c.power(ctx, "shutdown", node, vmid, map[string]string{"timeout": seconds(timeout), "forceStop": bit(forceStop)})
}

// Reboot asks the guest to shut down, gives it the time-out, and starts it again, with which pending changes come into
// force. Where the guest does not shut down in time, the task fails with Transient and the VM runs on. Conflict: it
// does not run.
func (c *Client) Reboot(ctx context.Context, node string, vmid int, timeout time.Duration) (UPID, error) {
	return c.power(ctx, "reboot", node, vmid, map[string]string{"timeout": seconds(timeout)})
}

// Reset does what the reset button of a machine does; pending changes stay pending. Conflict: it does not run.
func (c *Client) Reset(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.power(ctx, "reset", node, vmid, nil)
}

// seconds is a duration in whole seconds, rounded up: 0 would be no time at all.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func (c *Client) power(ctx context.Context, action, node string, vmid int, params map[string]string) (UPID, error) {
	return c.task(ctx, request{op: vmOp(action, vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "status", action), params: params})
}
