package pve

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// Resources is one look at the whole cluster, as far as the token may see it. It lags: a new VM has status "unknown"
// for up to 10 s, a re-used VMID may show the old name for as long, and a node that is down takes nothing out of the
// list. Never conclude from it alone that a VM is gone.
type Resources struct {
	VMs      []VM
	Nodes    []Node
	Storages []Storage
}

// VM is a KVM machine in the list of resources.
type VM struct {
	VMID     int
	Node     string
	Name     string
	Status   string // running, stopped, or unknown: not known yet, or the node is down
	Template bool
	Lock     string // clone, backup, ...; empty if not locked
	Tags     []string
	Pool     string
	MaxCPU   float64 // cores
	MaxMem   int64   // bytes
	MaxDisk  int64   // bytes, of the system disk
	Uptime   int64   // seconds
}

// Node is a node of the cluster. The figures are zero where the token lacks Sys.Audit.
type Node struct {
	Name   string
	Online bool
	MaxCPU float64 // cores
	CPU    float64 // share of MaxCPU in use, 0 to 1
	MaxMem int64   // bytes
	Mem    int64   // bytes in use
}

// Storage is a storage as one node sees it. A shared one is listed once for each node.
type Storage struct {
	Name    string
	Node    string
	Shared  bool
	Type    string   // dir, lvmthin, rbd, ...
	Content []string // images, backup, ...
	MaxDisk int64    // bytes
	Disk    int64    // bytes in use
	Avail   int64    // bytes
	Active  bool     // seen working within the last seconds
}

// resource is one entry of /cluster/resources, of whatever type.
type resource struct {
	Type       string  `json:"type"`
	Node       string  `json:"node"`
	Name       text    `json:"name"`
	Status     string  `json:"status"`
	VMID       number  `json:"vmid"`
	Template   yesNo   `json:"template"`
	Lock       string  `json:"lock"`
	Tags       text    `json:"tags"`
	Pool       text    `json:"pool"`
	MaxCPU     float64 `json:"maxcpu"`
	CPU        float64 `json:"cpu"`
	MaxMem     number  `json:"maxmem"`
	Mem        number  `json:"mem"`
	MaxDisk    number  `json:"maxdisk"`
	Disk       number  `json:"disk"`
	Uptime     number  `json:"uptime"`
	Storage    string  `json:"storage"`
	Shared     yesNo   `json:"shared"`
	PluginType string  `json:"plugintype"`
	Content    string  `json:"content"`
}

// Resources reads /cluster/resources in one call. Containers and networks are left out.
func (c *Client) Resources(ctx context.Context) (Resources, error) {
	var list []resource
	err := c.do(ctx, request{op: "list the cluster's resources", method: http.MethodGet, path: "/cluster/resources"}, &list)
	var out Resources
	for _, r := range list {
		switch r.Type {
		case "qemu":
			out.VMs = append(out.VMs, r.vm())
		case "node":
			out.Nodes = append(out.Nodes, Node{Name: r.Node, Online: r.Status == "online",
				MaxCPU: r.MaxCPU, CPU: r.CPU, MaxMem: int64(r.MaxMem), Mem: int64(r.Mem)})
		case "storage":
			out.Storages = append(out.Storages, r.storage())
		}
	}
	return out, err
}

func (r resource) vm() VM {
	return VM{VMID: int(r.VMID), Node: r.Node, Name: string(r.Name), Status: r.Status, Template: bool(r.Template),
		Lock: r.Lock, Tags: splitList(string(r.Tags)), Pool: string(r.Pool),
		MaxCPU: r.MaxCPU, MaxMem: int64(r.MaxMem), MaxDisk: int64(r.MaxDisk), Uptime: int64(r.Uptime)}
}

func (r resource) storage() Storage {
	return Storage{Name: r.Storage, Node: r.Node, Shared: bool(r.Shared), Type: r.PluginType,
		Content: splitList(r.Content), MaxDisk: int64(r.MaxDisk), Disk: int64(r.Disk),
		Avail: max(0, int64(r.MaxDisk-r.Disk)), Active: r.Status == "available"}
}

// splitList splits what Proxmox accepts as a list: parts between commas, semicolons or spaces (PVE::Tools split_list).
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(",; \t\n\x00", r) })
}

// VMIDFree reports whether no guest of the cluster, VM or container, on any node, up or down, uses the VMID. The
// contacted node answers from the cluster's file system; every token may ask. Nothing is reserved by it.
func (c *Client) VMIDFree(ctx context.Context, vmid int) (bool, error) {
	id := strconv.Itoa(vmid)
	r := request{op: "ask whether VMID " + id + " is free", method: http.MethodGet, path: "/cluster/nextid",
		params: map[string]string{"vmid": id}}
	var got text
	err := c.do(ctx, r, &got)
	switch {
	case KindOf(err) == Exists:
		return false, nil
	case err != nil:
		return false, err
	case string(got) != id:
		return false, c.odd(r, "asked about VMID "+id+", told of "+string(got))
	}
	return true, nil
}
