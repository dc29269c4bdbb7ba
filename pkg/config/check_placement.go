package config

import (
	"fmt"
	"regexp"
	"slices"
)

// nodePattern is what Proxmox accepts as the name of a node (pve-node in pve-common).
var nodePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// The most that a limit of placement may say. More is a slip of the keyboard: whoever wants none says 0.
const (
	maxMemoryPercent = 1_000
	maxCPUPercent    = 10_000
	maxTasks         = 1_000
)

func (k *checker) placement(at string, p Placement) {
	for i, node := range p.Maintenance {
		key := fmt.Sprintf("%smaintenance[%d]", at, i)
		switch {
		case !nodePattern.MatchString(node):
			k.add(key, "want the name of a node, got %q", node)
		case slices.Contains(p.Maintenance[:i], node):
			k.add(key, "this node stands here twice")
		}
	}
	for _, limit := range []struct {
		key   string
		value *int
		most  int
	}{
		{"memory_percent", p.MemoryPercent, maxMemoryPercent}, {"cpu_percent", p.CPUPercent, maxCPUPercent},
		{"tasks_per_node", p.TasksPerNode, maxTasks}, {"tasks_per_storage", p.TasksPerStorage, maxTasks},
	} {
		if v := limit.value; v != nil && (*v < 0 || *v > limit.most) {
			k.add(at+limit.key, "want 1 to %d, or 0 for no limit, got %d", limit.most, *v)
		}
	}
}
