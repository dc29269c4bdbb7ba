package pve

import (
	"context"
	"net/http"
)

// RegenerateCloudInit writes a VM's cloud-init drive anew from its configuration. A VM without one is left alone, with
// success. Starting a VM does the same by itself.
func (c *Client) RegenerateCloudInit(ctx context.Context, node string, vmid int) error {
	return c.do(ctx, request{op: vmOp("write the cloud-init drive of", vmid, node), method: http.MethodPut,
		path: vmPath(node, vmid, "cloudinit")}, nil)
}

// AgentPing returns nil when the guest agent answered. Transient: it does not answer yet. Conflict: the VM does not
// run. Refused: the VM is configured without an agent.
func (c *Client) AgentPing(ctx context.Context, node string, vmid int) error {
	return c.do(ctx, request{op: vmOp("ping the guest agent of", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "agent", "ping")}, nil)
}
