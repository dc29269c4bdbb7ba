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
