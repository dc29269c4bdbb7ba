package pvesim

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// route is one method of the API.
type route struct {
	method, path string
	// perm is what the caller must have: "" anything, or "PATH PRIV[|PRIV]..." (any of them).
	perm    string
	schema  schema
	handler func(*call) (any, error)
	// anywhere: the node that was contacted answers from the cluster file system.
	anywhere bool

	parts []string
}

const (
	vmPath   = "/nodes/{node}/qemu/{vmid}"
	fwPath   = vmPath + "/firewall"
	stPath   = "/nodes/{node}/storage/{storage}"
	anyVMCfg = "/vms/{vmid} VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.HWType|VM.Config.Options|VM.Config.Cloudinit"
	audit    = "/vms/{vmid} VM.Audit"
	power    = "/vms/{vmid} VM.PowerMgmt"
	netCfg   = "/vms/{vmid} VM.Config.Network"
	diskCfg  = "/vms/{vmid} VM.Config.Disk"
	allocate = "/vms/{vmid} VM.Allocate"
	useStore = "/storage/{storage} Datastore.Audit|Datastore.AllocateSpace"
	agentUse = "/vms/{vmid} VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted"

	agentPower = "/vms/{vmid} VM.PowerMgmt|VM.GuestAgent.Unrestricted"
	agentFiles = "/vms/{vmid} VM.GuestAgent.FileSystemMgmt|VM.GuestAgent.Unrestricted"
)

// routeTable is filled in by init, because handlers use tables that are made of formats.
var routeTable []*route

// routeRows is the whole API: method, path, permission, parameters, handler.
func routeRows() []routeRow {
	return slices.Concat(
		indexRoutes(), clusterRoutes, storageRoutes, fileRoutes, backupRoutes, factRoutes, consoleRoutes, haRuleRoutes, haGroupRoutes, nodePowerRoutes, networkRoutes, pruneRoutes, haRoutes, nodeRoutes, vmRoutes, agentRoutes, accessRoutes, firewallRoutes,
		firewallRows("/cluster/firewall", dcAudit, dcModify), firewallRows(fwPath, audit, netCfg),
	)
}

type routeRow struct {
	method, path, perm, params string
	handler                    func(*call) (any, error)
}

// fromClusterFS are the parts of a VM's firewall that the contacted node answers itself.
var fromClusterFS = []string{fwPath + "/rules", fwPath + "/ipset", fwPath + "/aliases", fwPath + "/refs"}

func buildRoutes() []*route {
	configFields, haSettings, userSchema = parseSchema("+vmconfig"), parseSchema("+ha"), parseSchema("+user")
	backupFields, haFields, nodeFields = parseSchema("+backupjob"), parseSchema("+harule +hagroup"), parseSchema("+node")
	ifaceFields = parseSchema("+iface")
	pathFields = parseSchema("node:node vmid:vmid storage:storage-id snapname:configid<40 pos:int(0..)")
	table := []*route{}
	for _, row := range routeRows() {
		r := &route{method: row.method, path: row.path, perm: row.perm, handler: row.handler, parts: strings.FieldsFunc(row.path, func(r rune) bool { return r == '/' })}
		r.schema = parseSchema(row.params)
		r.anywhere = row.path == fwPath || row.path == wakePath
		for _, p := range fromClusterFS {
			r.anywhere = r.anywhere || strings.HasPrefix(row.path, p)
		}
		table = append(table, r)
	}
	return table
}

// splitPath splits a URL's path into its decoded parts, without the base of the API and the format of its
// answers. A part may have a slash in it that was sent as %2F; empty parts do not count.
func splitPath(u *url.URL) (format string, parts []string, err error) {
	for _, part := range strings.Split(u.EscapedPath(), "/") {
		if decoded, err := url.PathUnescape(part); err == nil && decoded != "" {
			parts = append(parts, decoded)
		}
	}
	switch {
	case len(parts) == 0 || parts[0] != "api2":
		return "", nil, &apiError{code: 501, reason: "no such file '" + u.Path + "'", empty: true}
	case len(parts) < 2 || !formatName.MatchString(parts[1]):
		return "", nil, &apiError{code: 501, reason: "no such uri", empty: true}
	case parts[1] != formatJSON && parts[1] != formatExtJS:
		return "", nil, &apiError{code: 501, reason: "no formatter for uri /" + strings.Join(parts[2:], "/") + ", " + parts[1], empty: true}
	}
	return parts[1], parts[2:], nil
}

var formatName = regexp.MustCompile(`^[a-z][a-z0-9]+$`)

// findRoute finds the route for a path, and the variables in it. A variable at the end called
// {volume} takes the rest of the path.
func findRoute(method string, parts []string) (*route, map[string]string) {
	for _, r := range routeTable {
		if r.method != method {
			continue
		}
		if vars, ok := r.match(parts); ok {
			return r, vars
		}
	}
	return nil, nil
}

func (r *route) match(parts []string) (map[string]string, bool) {
	rest := strings.HasSuffix(r.path, "/{volume}")
	if len(parts) < len(r.parts) || len(parts) > len(r.parts) && !rest {
		return nil, false
	}
	vars := map[string]string{}
	for i, p := range r.parts {
		switch {
		case p == "{volume}" && i == len(r.parts)-1:
			vars["volume"] = strings.Join(parts[i:], "/")
		case strings.HasPrefix(p, "{"):
			vars[strings.Trim(p, "{}")] = parts[i]
		case p != parts[i]:
			return nil, false
		}
	}
	return vars, true
}
