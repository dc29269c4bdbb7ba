package pve

import (
	"context"
	"net/http"
)

// PendingChange is one key of a VM's configuration whose change waits for the VM's next start.
type PendingChange struct {
	Key    string
	Now    string // what is in force; empty where the key is not set
	Then   string // what will be; empty where the key will be deleted
	Delete bool
}

// Pending lists the changes that wait for a VM's next start. VMConfig shows the configuration with them merged in, as
// it will be; this is what tells the two apart. A stopped VM has none. Passwords are masked by Proxmox.
func (c *Client) Pending(ctx context.Context, node string, vmid int) ([]PendingChange, error) {
	return c.pending(ctx, request{op: vmOp("read the pending changes of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "pending")})
}

// pending does a read that answers with keys and what waits for each.
func (c *Client) pending(ctx context.Context, r request) ([]PendingChange, error) {
	var list []struct {
		Key     string `json:"key"`
		Value   text   `json:"value"`
		Pending *text  `json:"pending"`
		Delete  number `json:"delete"` // 1, or 2 for a forced one
	}
	if err := c.do(ctx, r, &list); err != nil {
		return nil, err
	}
	var out []PendingChange
	for _, e := range list {
		switch {
		case e.Key == "":
			return nil, c.odd(r, "a change without a key")
		case e.Delete != 0:
			out = append(out, PendingChange{Key: e.Key, Now: string(e.Value), Delete: true})
		case e.Pending != nil:
			out = append(out, PendingChange{Key: e.Key, Now: string(e.Value), Then: string(*e.Pending)})
		}
	}
	return out, nil
}
