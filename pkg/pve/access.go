package pve

import (
	"context"
	"net/http"
)

// Permissions asks what the caller itself may do on a path: /vms, /storage/local, ... Each privilege comes with
// whether it reaches below the path. For a privilege-separated token it is what both token and user have.
func (c *Client) Permissions(ctx context.Context, path string) (map[string]bool, error) {
	r := request{op: "read the own permissions on " + path, method: http.MethodGet, path: "/access/permissions",
		params: map[string]string{"path": path}}
	var byPath map[string]map[string]yesNo
	if err := c.do(ctx, r, &byPath); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for about, privileges := range byPath {
		if about != path {
			return nil, c.odd(r, "asked about "+path+", told of "+about)
		}
		for name, below := range privileges {
			out[name] = bool(below)
		}
	}
	return out, nil
}

// Roles lists the privileges of each role of the cluster. Everybody may ask.
func (c *Client) Roles(ctx context.Context) (map[string][]string, error) {
	var list []struct {
		RoleID string `json:"roleid"`
		Privs  string `json:"privs"`
	}
	if err := c.do(ctx, request{op: "list the roles", method: http.MethodGet, path: "/access/roles"}, &list); err != nil {
		return nil, err
	}
	out := make(map[string][]string, len(list))
	for _, r := range list {
		out[r.RoleID] = splitList(r.Privs)
	}
	return out, nil
}
