package pve

import (
	"context"
	"net/http"
	"strconv"
)

// The calls for rules and IP sets are answered by any node, whether or not the VM exists: look at the VM first.

// FirewallOptions reads the options of a VM's firewall, with digest; an option that is not set has no entry.
func (c *Client) FirewallOptions(ctx context.Context, node string, vmid int) (map[string]string, error) {
	return c.values(ctx, request{op: vmOp("read the firewall options of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "firewall", "options")})
}

// ClusterFirewall reads the options of the cluster's firewall. Without enable=1 no VM's firewall works. It needs
// Sys.Audit on /.
func (c *Client) ClusterFirewall(ctx context.Context) (map[string]string, error) {
	return c.values(ctx, request{op: "read the firewall options of the cluster", method: http.MethodGet,
		path: "/cluster/firewall/options"})
}

// values does a read that answers with an object of single values.
func (c *Client) values(ctx context.Context, r request) (map[string]string, error) {
	var raw map[string]text
	if err := c.do(ctx, r, &raw); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		out[k] = string(v)
	}
	return out, nil
}

// SetFirewallOptions sets options: enable, policy_in, ipfilter, ... They count only where the cluster's firewall is on
// and the network card has firewall=1. An empty set calls nothing.
func (c *Client) SetFirewallOptions(ctx context.Context, node string, vmid int, set map[string]string) error {
	if len(set) == 0 {
		return nil
	}
	return c.do(ctx, request{op: vmOp("set the firewall options of", vmid, node), method: http.MethodPut,
		path: vmPath(node, vmid, "firewall", "options"), params: set}, nil)
}

// FirewallRule is one rule. Empty fields are not set.
type FirewallRule struct {
	Type     string // in, out, forward, group
	Action   string // ACCEPT, DROP, REJECT, or a group's name
	Enable   bool
	Macro    string // SSH, Web, ...
	Proto    string
	Source   string
	Sport    string
	Dest     string
	Dport    string
	ICMPType string
	Iface    string // net0, ...
	Log      string
	Comment  string
	Pos      int    // from 0, the first to match counts; read only
	Digest   string // of the whole list; read only
}

// FirewallRules reads the rules in their order.
func (c *Client) FirewallRules(ctx context.Context, node string, vmid int) ([]FirewallRule, error) {
	var list []map[string]text
	err := c.do(ctx, request{op: vmOp("read the firewall rules of", vmid, node), method: http.MethodGet,
		path: vmPath(node, vmid, "firewall", "rules")}, &list)
	out := make([]FirewallRule, len(list))
	for i, m := range list {
		out[i].Enable = m["enable"] != "" && m["enable"] != "0"
		out[i].Pos, _ = strconv.Atoi(string(m["pos"]))
		out[i].Digest = string(m["digest"])
		for key, field := range out[i].texts() {
			*field = string(m[key])
		}
	}
	return out, err
}

// texts are the fields of a rule by Proxmox's names.
func (r *FirewallRule) texts() map[string]*string {
	return map[string]*string{"type": &r.Type, "action": &r.Action, "macro": &r.Macro, "proto": &r.Proto,
		"source": &r.Source, "sport": &r.Sport, "dest": &r.Dest, "dport": &r.Dport, "icmp-type": &r.ICMPType,
		"iface": &r.Iface, "log": &r.Log, "comment": &r.Comment}
}

// AddFirewallRule puts a rule before all others, at position 0: add them in reverse order. Repeated it makes a second
// one.
func (c *Client) AddFirewallRule(ctx context.Context, node string, vmid int, rule FirewallRule) error {
	params := map[string]string{"enable": bit(rule.Enable)}
	for key, field := range rule.texts() {
		setIf(params, key, *field)
	}
	return c.do(ctx, request{op: vmOp("add a firewall rule to", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "firewall", "rules"), params: params}, nil)
}

// DeleteFirewallRule removes the rule at a position of the list that has the digest; Conflict if that has changed.
func (c *Client) DeleteFirewallRule(ctx context.Context, node string, vmid, pos int, digest string) error {
	params := map[string]string{}
	setIf(params, "digest", digest)
	return c.do(ctx, request{op: vmOp("delete firewall rule "+strconv.Itoa(pos)+" of", vmid, node), method: http.MethodDelete,
		path: vmPath(node, vmid, "firewall", "rules", pos), params: params}, nil)
}
