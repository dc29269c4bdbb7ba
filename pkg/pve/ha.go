package pve

import (
	"context"
	"net/http"
	"strings"
)

// NodesInMaintenance lists the nodes that `ha-manager crm-command node-maintenance enable` has put into
// maintenance. It needs Sys.Audit on /. /cluster/resources does not tell: only the state of a node's local
// resource manager does, as "pve1 (maintenance mode, Thu Nov 27 10:00:00 2025)" (PVE::API2::HA::Status).
func (c *Client) NodesInMaintenance(ctx context.Context) ([]string, error) {
	var list []struct {
		Type   string `json:"type"`
		Node   string `json:"node"`
		Status text   `json:"status"`
	}
	err := c.do(ctx, request{op: "read the state of high availability", method: http.MethodGet, path: "/cluster/ha/status/current"}, &list)
	if err != nil {
		return nil, err
	}
	var nodes []string
	for _, e := range list {
		if e.Type == "lrm" && strings.HasPrefix(string(e.Status), e.Node+" (maintenance mode") {
			nodes = append(nodes, e.Node)
		}
	}
	return nodes, nil
}
