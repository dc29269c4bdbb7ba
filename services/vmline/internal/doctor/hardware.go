package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
)

func checkNodes(f *facts) []Line {
	if f.resourcesErr != nil {
		return []Line{{Check: "nodes", Result: Problem, Found: "could not be listed: " + f.resourcesErr.Error(), Do: []string{pve.KindOf(f.resourcesErr).Advice()}}}
	}
	var online, offline []string
	for _, n := range f.resources.Nodes {
		if n.Online {
			online = append(online, n.Name)
			continue
		}
		offline = append(offline, n.Name)
	}
	var lines []Line
	switch {
	case len(online) == 0:
		lines = append(lines, problem("nodes", "none is reported as online",
			"Look at the cluster's state (pvecm status) and at what reports it (systemctl status pvestatd). A node that has just started reports itself within 10 s: ask again then."))
	default:
		lines = append(lines, ok("nodes", "online: "+list(online)))
	}
	if len(offline) > 0 && len(online) > 0 {
		lines = append(lines, warn("nodes", "offline: "+list(offline), "Machines there wait until the node is back."))
	}
	return lines
}

// checkStorages is about storages that disks or backups can be put on. What the caller may not see is not listed.
func checkStorages(f *facts) []Line {
	if f.resourcesErr != nil {
		return nil
	}
	var lines []Line
	disks, backups := map[string]bool{}, map[string]bool{}
	hasDisks := map[string]bool{} // by node
	for _, s := range f.resources.Storages {
		images, backup := slices.Contains(s.Content, "images"), slices.Contains(s.Content, "backup")
		if !images && !backup {
			continue
		}
		if !s.Active {
			if f.online(s.Node) {
				lines = append(lines, warn("storage", fmt.Sprintf("%s does not work on node %s", s.Name, s.Node), "Run on that node: pvesm status."))
			}
			continue
		}
		if images {
			disks[storageName(s)], hasDisks[s.Node] = true, true
		}
		if backup {
			backups[storageName(s)] = true
		}
	}
	lines = append(lines, storageSummary("for disks", disks, problem("storage", "none for disks can be seen",
		"Give a storage the content type Disk image (pvesm set STORAGE --content images,...), and the token Datastore.AllocateSpace on it.")))
	for _, n := range f.nodes {
		if len(disks) > 0 && !hasDisks[n.name] {
			lines = append(lines, warn("storage", "none for disks on node "+n.name, "Machines cannot live there. If they should, make a storage available on it."))
		}
	}
	return append(lines, storageSummary("for backups", backups, warn("storage", "none for backups can be seen",
		"Backups of a terminated machine stay where they are. If vmline should delete them, give the token Datastore.AllocateSpace on their storage.")))
}

func (f *facts) online(node string) bool {
	return slices.ContainsFunc(f.nodes, func(n nodeFacts) bool { return n.name == node })
}

func storageName(s pve.Storage) string {
	if s.Shared {
		return s.Name + " (shared)"
	}
	return s.Name
}

func storageSummary(what string, names map[string]bool, none Line) Line {
	if len(names) == 0 {
		return none
	}
	return ok("storage", what+": "+list(slices.Sorted(maps.Keys(names))))
}

// checkBridges looks for the bridge of each pool on each node that is online.
func checkBridges(f *facts) []Line {
	if len(f.pools) == 0 {
		return []Line{warn("bridge", "no pool of the configuration is for this cluster", "Add one under pools: machines get their addresses from there.")}
	}
	var lines []Line
	for _, n := range f.nodes {
		if n.bridgesErr != nil {
			lines = append(lines, unseen("bridge", n.bridgesErr))
		}
	}
	for _, name := range poolBridges(f) {
		on, missing, down := f.bridge(name)
		if len(on) > 0 {
			lines = append(lines, ok("bridge", name+" is on "+list(on)))
		}
		if len(missing) > 0 {
			lines = append(lines, problem("bridge", name+" is missing on "+list(missing), "Make the bridge there, or give the token SDN.Use on it; or correct pools."))
		}
		if len(down) > 0 {
			lines = append(lines, warn("bridge", name+" is not active on "+list(down), "Run on those nodes: ifreload -a."))
		}
	}
	return lines
}

func poolBridges(f *facts) []string {
	var names []string
	for _, p := range f.pools {
		names = append(names, p.Bridge)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// bridge says on which nodes a bridge is, is not, and is without being active. VNets have no such state.
func (f *facts) bridge(name string) (on, missing, down []string) {
	for _, n := range f.nodes {
		i := slices.IndexFunc(n.bridges, func(b pve.Bridge) bool { return b.Name == name })
		switch {
		case n.bridgesErr != nil:
		case i < 0:
			missing = append(missing, n.name)
		case !n.bridges[i].Active && n.bridges[i].Type != "vnet":
			down = append(down, n.name)
		default:
			on = append(on, n.name)
		}
	}
	return on, missing, down
}

// checkFirewall: the rules and address filters of machines count only where the cluster's firewall is on.
func checkFirewall(f *facts) []Line {
	enable := strings.TrimSpace(f.firewall["enable"])
	switch {
	case pve.KindOf(f.firewallErr) == pve.NoPermission:
		commands := aclCommands("/", "PVEAuditor --propagate 0", f.who())
		return []Line{warn("firewall", "whether it is on for the cluster, and which nodes are in maintenance, cannot be seen (Sys.Audit on / is missing)",
			append([]string{"Look at Datacenter > Firewall > Options, or let vmline see it:"}, commands...)...)}
	case f.firewallErr != nil:
		return []Line{unseen("firewall", f.firewallErr)}
	case enable == "" || enable == "0":
		return []Line{warn("firewall", "off for the whole cluster: no machine's rules and address filters are in force",
			"Allow your own access first, then switch it on: pvesh set /cluster/firewall/options --enable 1.")}
	}
	return []Line{ok("firewall", "on for the cluster")}
}
