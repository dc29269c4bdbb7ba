package pve

import (
	"context"
	"net/http"
	"time"
)

// Bridge is what network cards of VMs can be plugged into on one node: a bridge, or a VNet of a software-defined
// network.
type Bridge struct {
	Name      string
	Type      string // bridge, OVSBridge, vnet
	Active    bool
	VLANAware bool
}

// Bridges lists a node's bridges and VNets, as far as the caller may see them (SDN.Use, or Sys.Audit on the node).
func (c *Client) Bridges(ctx context.Context, node string) ([]Bridge, error) {
	r := request{op: "list the bridges of node " + node, method: http.MethodGet, path: at("nodes", node, "network"),
		params: map[string]string{"type": "any_bridge"}}
	var list []struct {
		Iface     string `json:"iface"`
		Type      string `json:"type"`
		Active    yesNo  `json:"active"`
		VLANAware yesNo  `json:"bridge_vlan_aware"`
	}
	if err := c.do(ctx, r, &list); err != nil {
		return nil, err
	}
	out := make([]Bridge, len(list))
	for i, b := range list {
		out[i] = Bridge{Name: b.Iface, Type: b.Type, Active: bool(b.Active), VLANAware: bool(b.VLANAware)}
	}
	return out, nil
}

// CPUModels lists the names of the CPU types that a node's VMs can have. Types that were defined on the cluster, named
// custom-..., are among them only for a caller with Sys.Audit on the node.
func (c *Client) CPUModels(ctx context.Context, node string) ([]string, error) {
	var list []struct {
		Name text `json:"name"`
	}
	err := c.do(ctx, request{op: "list the CPU types of node " + node, method: http.MethodGet,
		path: at("nodes", node, "capabilities", "qemu", "cpu")}, &list)
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = string(m.Name)
	}
	return out, err
}

// NodeTime reads a node's clock, in whole seconds. It needs Sys.Audit on the node.
func (c *Client) NodeTime(ctx context.Context, node string) (time.Time, error) {
	r := request{op: "read the clock of node " + node, method: http.MethodGet, path: at("nodes", node, "time")}
	var t struct {
		Time number `json:"time"`
	}
	if err := c.do(ctx, r, &t); err != nil {
		return time.Time{}, err
	}
	if t.Time <= 0 {
		return time.Time{}, c.odd(r, "no time in it")
	}
	return time.Unix(int64(t.Time), 0), nil
}
