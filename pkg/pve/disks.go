package pve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
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

// MoveOptions say where a disk goes: to another VM, or to another storage.
type MoveOptions struct {
	TargetVMID int    // VM on the same node that gets the disk; its volume is renamed, nothing is copied
	TargetDisk string // key on that VM, which must be free; empty: the same as here. An unusedN only becomes an unusedN
	Storage    string // storage to copy the disk to; not with TargetVMID
	Delete     bool   // delete the old volume after a copy; else it stays as unusedN
	Digest     string // of the VM's configuration, as in Change
}

// MoveDisk starts to move a disk of a VM. Gone is said of this VM only: a missing TargetVMID is Refused. In the task
// the two cannot be told apart, and it is a Conflict. NOT TO BE REPEATED blindly: a copy that is repeated is a second
// volume.
func (c *Client) MoveDisk(ctx context.Context, node string, vmid int, disk string, o MoveOptions) (UPID, error) {
	params, where := map[string]string{"disk": disk}, "to storage "+o.Storage
	setIf(params, "storage", o.Storage)
	setIf(params, "target-disk", o.TargetDisk)
	setIf(params, "digest", o.Digest)
	if o.TargetVMID != 0 {
		params["target-vmid"], where = strconv.Itoa(o.TargetVMID), fmt.Sprintf("to VM %d", o.TargetVMID)
	}
	if o.Delete {
		params["delete"] = "1"
	}
	u, err := c.task(ctx, request{op: vmOp("move "+disk+" "+where+" from", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "move_disk"), params: params})
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Gone && o.TargetVMID != 0 && aboutVM(e.Message, o.TargetVMID) {
		e.Kind = Refused
	}
	return u, err
}

// aboutVM reports whether a text that says that a configuration is missing names the VMID.
func aboutVM(message string, vmid int) bool {
	m := missingConfig.FindStringSubmatch(message)
	return m != nil && m[1]+m[2] == strconv.Itoa(vmid)
}

// missingConfig finds the VMID in the two texts that are Gone.
var missingConfig = regexp.MustCompile(`/qemu-server/(\d+)\.conf'|file for VM (\d+) on`)
