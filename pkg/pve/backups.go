package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Backup is one backup of a VM.
type Backup struct {
	VolID     string // local:backup/vzdump-qemu-101-...
	Storage   string
	Protected bool
	Size      int64 // bytes
	CTime     time.Time
	Notes     string
}

// BackupStorages returns the storages for backups that the node has.
func (c *Client) BackupStorages(ctx context.Context, node string) ([]string, error) {
	var list []struct {
		Storage string `json:"storage"`
	}
	err := c.do(ctx, request{op: "list the storages for backups on node " + node, method: http.MethodGet,
		path: at("nodes", node, "storage"), params: map[string]string{"content": "backup", "enabled": "1"}}, &list)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.Storage
	}
	return out, err
}

// Backups lists the backups of a VMID on a node's storages; see BackupStorages. A storage that cannot be read is an
// error: its backups are not "none". Proxmox shows backups only to a token with VM.Backup on the VM, so list and delete
// them before the VM.
func (c *Client) Backups(ctx context.Context, node string, storages []string, vmid int) ([]Backup, error) {
	var out []Backup
	for _, storage := range storages {
		found, err := c.backupsOn(ctx, node, storage, vmid)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (c *Client) backupsOn(ctx context.Context, node, storage string, vmid int) ([]Backup, error) {
	var list []struct {
		VolID     string `json:"volid"`
		VMID      number `json:"vmid"`
		Protected yesNo  `json:"protected"`
		Size      number `json:"size"`
		CTime     number `json:"ctime"`
		Notes     text   `json:"notes"`
	}
	err := c.do(ctx, request{op: vmOp("list the backups on storage "+storage+" of", vmid, node), method: http.MethodGet,
		path:   at("nodes", node, "storage", storage, "content"),
		params: map[string]string{"content": "backup", "vmid": strconv.Itoa(vmid)}}, &list)
	var out []Backup
	for _, b := range list {
		if int(b.VMID) != vmid { // Proxmox filters; what is to be deleted is looked at twice
			continue
		}
		out = append(out, Backup{VolID: b.VolID, Storage: storage, Protected: bool(b.Protected), Size: int64(b.Size),
			CTime: time.Unix(int64(b.CTime), 0), Notes: string(b.Notes)})
	}
	return out, err
}

// DeleteBackup starts to delete a backup. A protected one is Refused; one that is gone is a success.
func (c *Client) DeleteBackup(ctx context.Context, node string, b Backup) (UPID, error) {
	return c.task(ctx, request{op: backupOp("delete", b, node), method: http.MethodDelete, path: backupPath(node, b)})
}

// UnprotectBackup lets a backup be deleted.
func (c *Client) UnprotectBackup(ctx context.Context, node string, b Backup) error {
	return c.do(ctx, request{op: backupOp("unprotect", b, node), method: http.MethodPut, path: backupPath(node, b),
		params: map[string]string{"protected": "0"}}, nil)
}

func backupOp(what string, b Backup, node string) string {
	return fmt.Sprintf("%s backup %s on node %s", what, b.VolID, node)
}

// backupPath keeps the slash of a volume's name: it is the last part of the path and may have more than one.
func backupPath(node string, b Backup) string {
	volume := strings.ReplaceAll(url.PathEscape(b.VolID), "%2F", "/")
	return at("nodes", node, "storage", b.Storage, "content") + "/" + volume
}
