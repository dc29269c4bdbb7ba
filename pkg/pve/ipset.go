package pve

import (
	"context"
	"net/http"
)

// IPSets returns the names of a VM's IP sets.
func (c *Client) IPSets(ctx context.Context, node string, vmid int) ([]string, error) {
	var list []struct {
		Name text `json:"name"`
	}
	err := c.do(ctx, request{op: vmOp("list the IP sets of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "firewall", "ipset")}, &list)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s.Name)
	}
	return out, err
}

// IPSet returns the addresses and networks in an IP set. Missing means that the VM has no such set; it is not Gone,
// which is said of VMs only.
func (c *Client) IPSet(ctx context.Context, node string, vmid int, name string) ([]string, error) {
	var list []struct {
		CIDR text `json:"cidr"`
	}
	err := c.do(ctx, request{op: vmOp("read IP set "+name+" of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "firewall", "ipset", name)}, &list)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = string(e.CIDR)
	}
	return out, err
}

// CreateIPSet makes an empty IP set; Exists if there is one of that name. ipfilter-net0 holds the only addresses that
// net0 may send from, once the option ipfilter is on.
func (c *Client) CreateIPSet(ctx context.Context, node string, vmid int, name string) error {
	return c.do(ctx, request{op: vmOp("make IP set "+name+" for", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "firewall", "ipset"), params: map[string]string{"name": name}}, nil)
}

// AddIPSetEntry puts an address or network into an IP set; Exists if it is in it.
func (c *Client) AddIPSetEntry(ctx context.Context, node string, vmid int, name, cidr string) error {
	return c.do(ctx, request{op: vmOp("add "+cidr+" to IP set "+name+" of", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "firewall", "ipset", name), params: map[string]string{"cidr": cidr}}, nil)
}

// DeleteIPSetEntry takes an address or network out of an IP set. One that is not in it is a success.
func (c *Client) DeleteIPSetEntry(ctx context.Context, node string, vmid int, name, cidr string) error {
	return c.do(ctx, request{op: vmOp("take "+cidr+" out of IP set "+name+" of", vmid, node), method: http.MethodDelete,
		path: vmPath(node, vmid, "firewall", "ipset", name, cidr)}, nil)
}

// DeleteIPSet removes an IP set with everything in it. One that does not exist is Missing.
func (c *Client) DeleteIPSet(ctx context.Context, node string, vmid int, name string) error {
	return c.do(ctx, request{op: vmOp("delete IP set "+name+" of", vmid, node), method: http.MethodDelete,
		path: vmPath(node, vmid, "firewall", "ipset", name), params: map[string]string{"force": "1"}}, nil)
}
