package pve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// CloneOptions say what becomes of a template.
type CloneOptions struct {
	NewID       int
	Name        string // a DNS name; empty: Copy-of-VM-<template's name>
	Description string // empty: the template's
	Pool        string
	Storage     string // where a full clone's disks go; empty: where the template's are
	Target      string // node; another than the template's only with shared storage
	Full        bool   // copy the disks; else they refer to the template's
}

// Clone starts to clone a template. Exists means that the node has a VM NewID; one on another node fails in the task.
// A missing template is Refused, not Gone: Gone is said of machines.
func (c *Client) Clone(ctx context.Context, node string, template int, o CloneOptions) (UPID, error) {
	params := map[string]string{"newid": strconv.Itoa(o.NewID), "full": bit(o.Full)}
	setIf(params, "name", o.Name)
	setIf(params, "description", o.Description)
	setIf(params, "pool", o.Pool)
	setIf(params, "storage", o.Storage)
	setIf(params, "target", o.Target)
	u, err := c.task(ctx, request{op: fmt.Sprintf("clone template %d on node %s into VM %d", template, node, o.NewID),
		method: http.MethodPost, path: vmPath(node, template, "clone"), params: params})
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == Gone {
		e.Kind = Refused
	}
	return u, err
}

// DestroyOptions say what goes with a VM besides the disks in its configuration, which always go, unusedN included.
// Backups never do.
type DestroyOptions struct {
	Purge               bool // its entries in backup jobs, replication and HA
	DestroyUnreferenced bool // images of the VMID on any storage that its configuration does not name
}

// Destroy starts to remove a VM. It must be stopped: Conflict says that it runs.
func (c *Client) Destroy(ctx context.Context, node string, vmid int, o DestroyOptions) (UPID, error) {
	return c.task(ctx, request{op: vmOp("destroy", vmid, node), method: http.MethodDelete, path: vmPath(node, vmid),
		params: map[string]string{"purge": bit(o.Purge), "destroy-unreferenced-disks": bit(o.DestroyUnreferenced)}})
}

// MigrateOptions say how a VM moves.
type MigrateOptions struct {
	TargetStorage  string // storage on the target, or pairs source:target; empty: of the same name
	Online         bool   // keep it running
	WithLocalDisks bool   // with Online: copy disks that are not on shared storage
}

// Migrate starts to move a VM to another node.
func (c *Client) Migrate(ctx context.Context, node string, vmid int, target string, o MigrateOptions) (UPID, error) {
	params := map[string]string{"target": target}
	setIf(params, "targetstorage", o.TargetStorage)
	if o.Online {
		params["online"] = "1"
	}
	if o.WithLocalDisks {
		params["with-local-disks"] = "1"
	}
	return c.task(ctx, request{op: vmOp("migrate to node "+target, vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "migrate"), params: params})
}
