package pve

import (
	"context"
	"net/http"
	"time"
)

// Snapshot is a snapshot of a VM.
type Snapshot struct {
	Name        string
	Description string
	Parent      string // the snapshot that it stands on; empty for a first one
	Time        time.Time
	VMState     bool // with the memory
}

// Snapshots lists a VM's snapshots, without the entry "current" that stands for the VM itself.
func (c *Client) Snapshots(ctx context.Context, node string, vmid int) ([]Snapshot, error) {
	var list []struct {
		Name        text   `json:"name"`
		Description text   `json:"description"`
		Parent      text   `json:"parent"`
		SnapTime    number `json:"snaptime"`
		VMState     yesNo  `json:"vmstate"`
	}
	err := c.do(ctx, request{op: vmOp("list the snapshots of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "snapshot")}, &list)
	var out []Snapshot
	for _, s := range list {
		if s.Name != "current" { // reserved: no real one can have the name
			out = append(out, Snapshot{Name: string(s.Name), Description: string(s.Description), Parent: string(s.Parent),
				Time: time.Unix(int64(s.SnapTime), 0), VMState: bool(s.VMState)})
		}
	}
	return out, err
}

// DeleteSnapshot starts to delete a snapshot. One that does not exist fails in the task, with Missing. Delete one at a
// time: each holds the VM's lock.
func (c *Client) DeleteSnapshot(ctx context.Context, node string, vmid int, name string) (UPID, error) {
	return c.task(ctx, request{op: vmOp("delete snapshot "+name+" of", vmid, node), method: http.MethodDelete,
		path: vmPath(node, vmid, "snapshot", name)})
}
