package provisioner

import "github.com/vmline/vmline/services/provisioner/internal/placement"

// Rules say what placement and heavy tasks (clone, migrate) keep to in one cluster. 0 means no limit.
type Rules struct {
	// Maintenance are nodes that get nothing new, besides those that Proxmox itself has in maintenance.
	Maintenance []string
	// MemoryLimit is the part of a node's memory that may be promised to machines; 1 is all of it.
	MemoryLimit float64
	// CPULimit is how many cores of machines each of a node's cores may carry.
	CPULimit float64
	// TasksPerNode and TasksPerStorage are how many heavy tasks run at once.
	TasksPerNode, TasksPerStorage int
}

// DefaultRules are those of a cluster whose configuration says nothing. Memory that is promised twice ends
// with machines that the node kills; a core that is shared is only slower, and counts in the choice of the
// node anyway. Two clones keep a storage busy; a third makes all three slower, and their locks time out.
func DefaultRules() Rules { return Rules{MemoryLimit: 1, TasksPerNode: 4, TasksPerStorage: 2} }

func (r Rules) limits() placement.Limits {
	return placement.Limits{Memory: r.MemoryLimit, CPU: r.CPULimit}
}
