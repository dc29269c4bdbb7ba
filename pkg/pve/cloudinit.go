package pve

import (
	"context"
	"net/http"
	"strings"
)

// RegenerateCloudInit writes a VM's cloud-init drive anew from its configuration. A VM without one is left alone, with
// success. Starting a VM does the same by itself.
func (c *Client) RegenerateCloudInit(ctx context.Context, node string, vmid int) error {
	return c.do(ctx, request{op: vmOp("write the cloud-init drive of", vmid, node), method: http.MethodPut,
		path: vmPath(node, vmid, "cloudinit")}, nil)
}

// CloudInitPending lists the cloud-init keys that the drive of a running VM does not have yet: Now is what the drive
// was made from, Then what the configuration says. RegenerateCloudInit and the next start end it. Passwords are masked
// by Proxmox.
func (c *Client) CloudInitPending(ctx context.Context, node string, vmid int) ([]PendingChange, error) {
	return c.pending(ctx, request{op: vmOp("read the pending cloud-init changes of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "cloudinit")})
}

// CloudInitPart is one of the documents on a cloud-init drive.
type CloudInitPart string

// The documents of a cloud-init drive.
const (
	CloudInitUser    CloudInitPart = "user" // holds the password's hash: never log it
	CloudInitNetwork CloudInitPart = "network"
	CloudInitMeta    CloudInitPart = "meta"
)

// CloudInitDump returns a document of the cloud-init drive as Proxmox would write it now, which is YAML.
func (c *Client) CloudInitDump(ctx context.Context, node string, vmid int, part CloudInitPart) (string, error) {
	r := request{op: vmOp("read the cloud-init "+string(part)+" data of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "cloudinit", "dump"), params: map[string]string{"type": string(part)}}
	var yaml text
	if err := c.do(ctx, r, &yaml); err != nil {
		return "", err
	}
	if !strings.HasSuffix(string(yaml), "\n") {
		return "", c.odd(r, "no whole YAML document")
	}
	return string(yaml), nil
}
