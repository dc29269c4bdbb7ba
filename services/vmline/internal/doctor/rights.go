package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// scope is a kind of path that privileges are granted on.
type scope struct {
	grant string // where README.md grants the role
	below bool   // the privilege must reach below the path
	paths func(*facts) []string
}

var (
	onVMs      = &scope{"/vms", true, func(*facts) []string { return []string{"/vms"} }}
	onStorages = &scope{"/storage", false, storagePaths}
	onBridges  = &scope{"/sdn/zones/localnetwork", false, bridgePaths}
	onNodes    = &scope{"/nodes", false, nodePaths}
)

// need is a privilege that vmline uses.
type need struct {
	privilege string
	on        *scope
	why       string
	only      int // major version of Proxmox VE that has it; 0 means all
}

// needs is the minimal role: every privilege, what for, and where. README.md is held against it by a test. Which call
// wants which privilege stands in the API's description; that none is too many is shown by carrying machines through
// their life without it (services/internal/rig).
var needs = []need{
	{"VM.Allocate", onVMs, "make and destroy machines", 0},
	{"VM.Clone", onVMs, "clone templates", 0},
	{"VM.Audit", onVMs, "see machines and their configuration", 0},
	{"VM.Config.CPU", onVMs, "set cores and their limits", 0},
	{"VM.Config.Memory", onVMs, "set memory", 0},
	{"VM.Config.Disk", onVMs, "make, grow and limit disks", 0},
	{"VM.Config.Network", onVMs, "set network cards and firewall", 0},
	{"VM.Config.Cloudinit", onVMs, "set users, passwords, keys and addresses, and write them to the cloud-init drive of a running machine", 0},
	{"VM.Config.Options", onVMs, "set name, tags, notes, agent and boot order", 0},
	{"VM.Config.CDROM", onVMs, "make the cloud-init drive", 0},
	{"VM.PowerMgmt", onVMs, "start and stop machines", 0},
	{"VM.Snapshot", onVMs, "delete the snapshots of a terminated or reinstalled machine", 0},
	{"VM.Backup", onVMs, "find and delete the backups of a terminated machine", 0},
	{"VM.Migrate", onVMs, "move machines to another node", 0},
	{"VM.GuestAgent.Unrestricted", onVMs, "ask the guest agent whether the machine and its cloud-init are ready, and set passwords through it", 9},
	{"VM.Monitor", onVMs, "ask the guest agent whether the machine and its cloud-init are ready, and set passwords through it", 8},
	{"Datastore.AllocateSpace", onStorages, "put disks on the storage", 0},
	{"Datastore.Audit", onStorages, "see the storage, its free space and its backups", 0},
	{"SDN.Use", onBridges, "plug network cards into the bridge", 0},
	{"Sys.Audit", onNodes, "see the node's free memory, its tasks and its clock", 0},
}

// needsOf are the needs on a version. Newer ones than we know have what the newest known one has.
func needsOf(version string) []need {
	m := min(max(major(version), 8), 9)
	return slices.DeleteFunc(slices.Clone(needs), func(n need) bool { return n.only != 0 && n.only != m })
}

// major is the number before the first dot; 0 if there is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// storagePaths are the storages for disks and backups that the cluster shows us, and those of the templates.
func storagePaths(f *facts) []string {
	var paths []string
	for _, s := range f.resources.Storages {
		if slices.Contains(s.Content, "images") || slices.Contains(s.Content, "backup") {
			paths = append(paths, "/storage/"+s.Name)
		}
	}
	for _, t := range f.templates {
		if disk, err := t.cfg.Disk(t.cfg.SystemDisk()); err == nil && disk.Storage() != "" {
			paths = append(paths, "/storage/"+disk.Storage())
		}
	}
	return orBase(paths, "/storage")
}

func bridgePaths(f *facts) []string {
	var paths []string
	for _, p := range f.pools {
		path := "/sdn/zones/localnetwork/" + p.Bridge
		if p.VLAN != 0 {
			path += "/" + strconv.FormatUint(uint64(p.VLAN), 10)
		}
		if !f.vnet(p.Bridge) {
			paths = append(paths, path)
		}
	}
	return orBase(paths, "/sdn/zones/localnetwork")
}

// vnet reports whether a bridge is a VNet. It belongs to a zone of its own, and it is listed for those alone who may
// use it.
func (f *facts) vnet(bridge string) bool {
	for _, n := range f.nodes {
		for _, b := range n.bridges {
			if b.Name == bridge && b.Type == "vnet" {
				return true
			}
		}
	}
	return false
}

func nodePaths(f *facts) []string {
	var paths []string
	for _, n := range f.resources.Nodes {
		paths = append(paths, "/nodes/"+n.Name)
	}
	return orBase(paths, "/nodes")
}

func orBase(paths []string, base string) []string {
	if len(paths) == 0 {
		return []string{base}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// lack is a privilege that is missing on some paths.
type lack struct {
	need
	paths []string
	all   bool // on all paths of its scope
}

func lacks(f *facts) []lack {
	var out []lack
	for _, n := range needsOf(f.version()) {
		paths := n.on.paths(f)
		missing := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
			below, has := f.permissions[path][n.privilege]
			return has && (below || !n.on.below)
		})
		if len(missing) > 0 {
			out = append(out, lack{n, missing, len(missing) == len(paths)})
		}
	}
	return out
}

func checkRights(f *facts) []Line {
	if f.rightsErr != nil {
		return []Line{unseen("rights", f.rightsErr)}
	}
	missing := lacks(f)
	if len(missing) == 0 {
		return []Line{ok("rights", fmt.Sprintf("%s has all %d privileges that vmline needs", f.who(), len(needsOf(f.version()))))}
	}
	l := problem("rights", fmt.Sprintf("%s lacks %d of the %d privileges that vmline needs", f.who(), len(missing), len(needsOf(f.version()))))
	for _, m := range missing {
		l.Details = append(l.Details, fmt.Sprintf("%s on %s, to %s", m.privilege, list(m.paths), m.why))
	}
	l.Do = append([]string{"Run on any node of the cluster:"}, pveum(f, missing)...)
	return []Line{l}
}

// who is the token or the user.
func (f *facts) who() string {
	if f.cluster.TokenID != "" {
		return f.cluster.TokenID
	}
	return f.cluster.User
}
