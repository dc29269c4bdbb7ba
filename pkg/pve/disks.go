package pve

import (
	"context"
	"net/http"
	"strconv"
)

// Resize starts to grow a disk to gb GiB. The size is absolute: the size that it has is a success, a smaller one
// fails in the task. digest fences it as in Change. The UPID is empty on Proxmox VE up to 8.0.1, which is done at once.
func (c *Client) Resize(ctx context.Context, node string, vmid int, disk string, gb int64, digest string) (UPID, error) {
	size := strconv.FormatInt(gb, 10) + "G"
	params := map[string]string{"disk": disk, "size": size}
	setIf(params, "digest", digest)
	return c.maybeTask(ctx, request{op: vmOp("resize "+disk+" to "+size+" of", vmid, node), method: http.MethodPut,
		path: vmPath(node, vmid, "resize"), params: params})
}
