package pvesim

import (
	"net/url"
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
)

// routeTable is filled in by init, because handlers use tables that are made of formats.
var routeTable []*route

// routeRows is the whole API: method, path, permission, parameters, handler.
func routeRows() []routeRow {
	rows := [][]routeRow{clusterRoutes, nodeRoutes, vmRoutes, firewallRoutes, accessRoutes}
	var all []routeRow
	for _, r := range rows {
		all = append(all, r...)
	}
	return all
}

type routeRow struct {
	method, path, perm, params string
	handler                    func(*call) (any, error)
}

var clusterRoutes = []routeRow{
	{"GET", "/version", "", "", (*call).version},
	{"GET", "/cluster/nextid", "", "vmid:vmid", (*call).nextID},
	{"GET", "/cluster/resources", "", "type:enum(vm,storage,node,sdn)", (*call).resources},
	{"GET", "/cluster/status", "/ Sys.Audit", "", (*call).clusterStatus},
	{"GET", "/cluster/tasks", "", "", (*call).clusterTasks},
	{"GET", "/cluster/options", "", "", (*call).datacenterOptions},
	{"PUT", "/cluster/options", "/ Sys.Modify", "delete:configid-list next-id:string tag-style:string user-tag-access:string migration:string description:string<65536", (*call).setDatacenterOptions},
	{"GET", "/cluster/firewall/options", "/ Sys.Audit", "", (*call).clusterFirewallOptions},
	{"PUT", "/cluster/firewall/options", "/ Sys.Modify", "delete:configid-list digest:string<64 ebtables:bool enable:int(0..) log_ratelimit:string policy_forward:enum(ACCEPT,DROP) policy_in:enum(ACCEPT,REJECT,DROP) policy_out:enum(ACCEPT,REJECT,DROP)", (*call).setClusterFirewallOptions},
	{"GET", "/pools", "", "poolid:poolid type:enum(qemu,lxc,storage)", (*call).poolList},
	{"POST", "/pools", "/pool/{poolid} Pool.Allocate", "comment:string poolid!:poolid", (*call).poolCreate},
	{"PUT", "/pools", "/pool/{poolid} Pool.Allocate", "+pool poolid!:poolid", (*call).poolUpdate},
	{"DELETE", "/pools", "/pool/{poolid} Pool.Allocate", "poolid!:poolid", (*call).poolDelete},
	{"GET", "/pools/{poolid}", "/pool/{poolid} Pool.Audit", "type:enum(qemu,lxc,storage)", (*call).poolShow},
	{"PUT", "/pools/{poolid}", "/pool/{poolid} Pool.Allocate", "+pool", (*call).poolUpdate},
	{"DELETE", "/pools/{poolid}", "/pool/{poolid} Pool.Allocate", "", (*call).poolDelete},
	{"GET", "/storage", "", "type:enum(storages)", (*call).storageConfig},
	{"POST", "/storage", "/storage Datastore.Allocate", "storage!:storage-id type!:enum(storages) path:string content:content-list nodes:string shared:bool preallocation:enum(off,metadata,falloc,full) disable:bool pool:string vgname:string thinpool:string server:string export:string", (*call).storageCreate},
}

var nodeRoutes = []routeRow{
	{"GET", "/nodes", "", "", (*call).nodeList},
	{"GET", "/nodes/{node}/status", "/nodes/{node} Sys.Audit", "", (*call).nodeStatus},
	{"GET", "/nodes/{node}/network", "", "type:enum(ifaces)", (*call).network},
	{"GET", "/nodes/{node}/tasks", "", "errors:bool limit:int(0..) since:int source:enum(archive,active,all) start:int(0..) statusfilter:task-status typefilter:string until:int userfilter:string vmid:vmid", (*call).taskList},
	{"GET", "/nodes/{node}/tasks/{upid}", "", "", (*call).taskIndex},
	{"DELETE", "/nodes/{node}/tasks/{upid}", "", "", (*call).taskStop},
	{"GET", "/nodes/{node}/tasks/{upid}/status", "", "", (*call).taskStatus},
	{"GET", "/nodes/{node}/tasks/{upid}/log", "", "download:bool limit:int(0..) start:int(0..)", (*call).taskLog},
	{"GET", "/nodes/{node}/storage", "", "content:content-list enabled:bool format:bool storage:storage-id target:node", (*call).storageList},
	{"GET", stPath + "/status", useStore, "", (*call).storageStatus},
	{"GET", stPath + "/content", useStore, "content:content-list vmid:vmid", (*call).contentList},
	{"POST", stPath + "/content", "/storage/{storage} Datastore.AllocateSpace", "filename!:string format:enum(raw,qcow2,subvol,vmdk) size!:volume-size vmid!:vmid", (*call).contentCreate},
	{"GET", stPath + "/content/{volume}", "", "", (*call).contentShow},
	{"PUT", stPath + "/content/{volume}", "", "notes:string protected:bool", (*call).contentUpdate},
	{"DELETE", stPath + "/content/{volume}", "", "delay:int(1..30)", (*call).contentDelete},
	{"POST", "/nodes/{node}/vzdump", "", "bwlimit:int(0..) compress:enum(0,1,gzip,lzo,zstd) mode:enum(snapshot,suspend,stop) notes-template:string<1024 protected:bool remove:bool storage:storage-id vmid:vmid-list", (*call).vzdump},
}

var vmRoutes = []routeRow{
	{"GET", "/nodes/{node}/qemu", "", "full:bool", (*call).vmList},
	{"POST", "/nodes/{node}/qemu", "", "+vmconfig archive:string<255 bwlimit:int(0..) ha-managed:bool live-restore:bool import-working-storage:storage-id pool:poolid start:bool storage:storage-id unique:bool vmid!:vmid", (*call).vmCreate},
	{"DELETE", vmPath, allocate, "destroy-unreferenced-disks:bool purge:bool skiplock:bool", (*call).vmDestroy},
	{"GET", vmPath + "/config", audit, "current:bool snapshot:configid<40", (*call).configGet},
	{"PUT", vmPath + "/config", anyVMCfg, "+vmconfig +vmupdate", (*call).configPut},
	{"POST", vmPath + "/config", anyVMCfg, "+vmconfig +vmupdate background_delay:int(1..30) import-working-storage:storage-id", (*call).configPost},
	{"GET", vmPath + "/pending", audit, "", (*call).pending},
	{"GET", vmPath + "/cloudinit", audit, "", (*call).cloudinitPending},
	{"PUT", vmPath + "/cloudinit", "/vms/{vmid} VM.Config.Cloudinit", "", (*call).cloudinitRegenerate},
	{"GET", vmPath + "/cloudinit/dump", audit, "type!:enum(user,network,meta)", (*call).cloudinitDump},
	{"PUT", vmPath + "/resize", diskCfg, "digest:string<40 disk!:enum(disks) size!:disk-size skiplock:bool", (*call).resize},
	{"PUT", vmPath + "/unlink", diskCfg, "force:bool idlist!:configid-list", (*call).unlink},
	{"POST", vmPath + "/move_disk", diskCfg, "bwlimit:int(0..) delete:bool digest:string<40 disk!:enum(allslots) format:enum(raw,qcow2,vmdk) storage:storage-id target-digest:string<40 target-disk:enum(allslots) target-vmid:vmid", (*call).moveDisk},
	{"POST", vmPath + "/clone", "clone", "bwlimit:int(0..) description:string format:enum(raw,qcow2,vmdk) full:bool name:dns-name newid!:vmid pool:poolid snapname:configid<40 storage:storage-id target:node", (*call).clone},
	{"POST", vmPath + "/template", allocate, "disk:enum(disks)", (*call).template},
	{"GET", vmPath + "/migrate", "/vms/{vmid} VM.Migrate", "target:node", (*call).migrateCheck},
	{"POST", vmPath + "/migrate", "/vms/{vmid} VM.Migrate", "bwlimit:int(0..) force:bool migration_network:string migration_type:enum(secure,insecure) online:bool target!:node targetstorage:storage-pairs with-conntrack-state:bool with-local-disks:bool", (*call).migrate},
	{"GET", vmPath + "/feature", audit, "feature!:enum(snapshot,clone,copy) snapname:configid<40", (*call).feature},
	{"GET", vmPath + "/status/current", audit, "", (*call).statusCurrent},
	{"POST", vmPath + "/status/start", power, "force-cpu:string machine:string migratedfrom:node migration_network:string migration_type:enum(secure,insecure) nets-host-mtu:string skiplock:bool stateuri:string<128 targetstorage:storage-pairs timeout:int(0..) with-conntrack-state:bool", (*call).vmStart},
	{"POST", vmPath + "/status/stop", power, "keepActive:bool migratedfrom:node overrule-shutdown:bool skiplock:bool timeout:int(0..)", (*call).vmStop},
	{"POST", vmPath + "/status/shutdown", power, "forceStop:bool keepActive:bool skiplock:bool timeout:int(0..)", (*call).vmShutdown},
	{"POST", vmPath + "/status/reboot", power, "timeout:int(0..)", (*call).vmReboot},
	{"POST", vmPath + "/status/reset", power, "skiplock:bool", (*call).vmReset},
	{"POST", vmPath + "/status/suspend", power, "skiplock:bool statestorage:storage-id todisk:bool", (*call).vmSuspend},
	{"POST", vmPath + "/status/resume", power, "nocheck:bool skiplock:bool", (*call).vmResume},
	{"POST", vmPath + "/agent/ping", agentUse, "", (*call).agentPing},
	{"GET", vmPath + "/agent/get-osinfo", agentUse, "", (*call).agentOSInfo},
	{"GET", vmPath + "/agent/network-get-interfaces", agentUse, "", (*call).agentInterfaces},
	{"POST", vmPath + "/agent/exec", "/vms/{vmid} VM.GuestAgent.Unrestricted", "command!:command input-data:string<65536", (*call).agentExec},
	{"GET", vmPath + "/agent/exec-status", "/vms/{vmid} VM.GuestAgent.Unrestricted", "pid!:int", (*call).agentExecStatus},
	{"GET", vmPath + "/snapshot", audit, "", (*call).snapshotList},
	{"POST", vmPath + "/snapshot", "/vms/{vmid} VM.Snapshot", "description:string snapname!:configid<40 vmstate:bool", (*call).snapshotCreate},
	{"DELETE", vmPath + "/snapshot/{snapname}", "/vms/{vmid} VM.Snapshot", "force:bool", (*call).snapshotDelete},
	{"GET", vmPath + "/snapshot/{snapname}/config", "/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback|VM.Audit", "", (*call).snapshotConfig},
	{"POST", vmPath + "/snapshot/{snapname}/rollback", "/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback", "start:bool", (*call).snapshotRollback},
}

var firewallRoutes = []routeRow{
	{"GET", fwPath, "", "", (*call).firewallIndex},
	{"GET", fwPath + "/options", audit, "", (*call).firewallOptions},
	{"PUT", fwPath + "/options", netCfg, "+fwoptions delete:configid-list digest:string<64", (*call).setFirewallOptions},
	{"GET", fwPath + "/rules", audit, "", (*call).ruleList},
	{"POST", fwPath + "/rules", netCfg, "+fwrule action!:fw-name<20 pos:int(0..) type!:enum(in,out,forward,group)", (*call).ruleCreate},
	{"GET", fwPath + "/rules/{pos}", audit, "", (*call).ruleShow},
	{"PUT", fwPath + "/rules/{pos}", netCfg, "+fwrule action:fw-name<20 delete:configid-list moveto:int(0..) type:enum(in,out,forward,group)", (*call).ruleUpdate},
	{"DELETE", fwPath + "/rules/{pos}", netCfg, "digest:string<64", (*call).ruleDelete},
	{"GET", fwPath + "/ipset", audit, "", (*call).ipsetList},
	{"POST", fwPath + "/ipset", netCfg, "comment:string digest:string<64 name!:fw-name<64 rename:fw-name<64", (*call).ipsetCreate},
	{"GET", fwPath + "/ipset/{name}", audit, "", (*call).ipsetShow},
	{"POST", fwPath + "/ipset/{name}", netCfg, "cidr!:cidr-or-alias comment:string nomatch:bool", (*call).ipsetAdd},
	{"DELETE", fwPath + "/ipset/{name}", netCfg, "force:bool", (*call).ipsetDelete},
	{"GET", fwPath + "/ipset/{name}/{cidr}", audit, "", (*call).ipsetEntry},
	{"PUT", fwPath + "/ipset/{name}/{cidr}", netCfg, "comment:string digest:string<64 nomatch:bool", (*call).ipsetEntryUpdate},
	{"DELETE", fwPath + "/ipset/{name}/{cidr}", netCfg, "digest:string<64", (*call).ipsetEntryDelete},
	{"GET", fwPath + "/aliases", audit, "", (*call).aliasList},
	{"POST", fwPath + "/aliases", netCfg, "cidr!:cidr-or-alias comment:string name!:fw-name<64", (*call).aliasCreate},
	{"GET", fwPath + "/aliases/{name}", audit, "", (*call).aliasShow},
	{"PUT", fwPath + "/aliases/{name}", netCfg, "cidr!:cidr-or-alias comment:string digest:string<64 rename:fw-name<64", (*call).aliasUpdate},
	{"DELETE", fwPath + "/aliases/{name}", netCfg, "digest:string<64", (*call).aliasDelete},
	{"GET", fwPath + "/refs", audit, "type:enum(alias,ipset)", (*call).firewallRefs},
}

var accessRoutes = []routeRow{
	{"POST", "/access/ticket", "world", "new-format:bool otp:string password!:string path:string<64 privs:string<64 realm:string<32 tfa-challenge:string username!:string<64", (*call).ticket},
	{"GET", "/access/roles", "", "", (*call).roleList},
	{"POST", "/access/roles", "/access Sys.Modify", "privs:priv-list roleid!:roleid", (*call).roleCreate},
	{"GET", "/access/roles/{roleid}", "", "", (*call).roleShow},
	{"GET", "/access/users", "", "enabled:bool full:bool", (*call).userList},
	{"POST", "/access/users", "adduser", "+user password:string<64 userid!:userid<64", (*call).userCreate},
	{"GET", "/access/users/{userid}/token", "", "", (*call).tokenList},
	{"POST", "/access/users/{userid}/token/{tokenid}", "", "comment:string expire:int(0..) privsep:bool", (*call).tokenCreate},
	{"DELETE", "/access/users/{userid}/token/{tokenid}", "", "", (*call).tokenDelete},
	{"GET", "/access/acl", "", "", (*call).aclList},
	{"PUT", "/access/acl", "", "delete:bool groups:string path!:string propagate:bool roles!:roleid-list tokens:tokenid-list users:userid-list", (*call).aclUpdate},
	{"GET", "/access/permissions", "", "path:string userid:string", (*call).permissions},
}

// fromClusterFS are the parts of a VM's firewall that the contacted node answers itself.
var fromClusterFS = []string{fwPath + "/rules", fwPath + "/ipset", fwPath + "/aliases", fwPath + "/refs"}

func buildRoutes() []*route {
	configFields = parseSchema("+vmconfig")
	pathFields = parseSchema("node:node vmid:vmid storage:storage-id snapname:configid<40 pos:int(0..)")
	table := []*route{}
	for _, row := range routeRows() {
		r := &route{method: row.method, path: row.path, perm: row.perm, handler: row.handler, parts: strings.FieldsFunc(row.path, func(r rune) bool { return r == '/' })}
		r.schema = parseSchema(row.params)
		r.anywhere = row.path == fwPath
		for _, p := range fromClusterFS {
			r.anywhere = r.anywhere || strings.HasPrefix(row.path, p)
		}
		table = append(table, r)
	}
	setRequires(table)
	return table
}

// setRequires adds the dependencies between parameters to the tables.
func setRequires(table []*route) {
	needs := map[string]string{"dport": "proto", "sport": "proto", "icmp-type": "proto", "force": "delete", "unique": "archive"}
	for _, r := range table {
		for name, other := range needs {
			f, ok := r.schema[name]
			if _, both := r.schema[other]; ok && both {
				f.requires = other
				r.schema[name] = f
			}
		}
	}
}

// splitPath splits a URL's path into its decoded parts, without the base of the API. A part may have a
// slash in it that was sent as %2F; empty parts do not count.
func splitPath(u *url.URL) (parts []string, isAPI bool) {
	for _, part := range strings.Split(u.EscapedPath(), "/") {
		if decoded, err := url.PathUnescape(part); err == nil && decoded != "" {
			parts = append(parts, decoded)
		}
	}
	if len(parts) < 2 || parts[0] != "api2" || parts[1] != "json" {
		return nil, false
	}
	return parts[2:], true
}

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
