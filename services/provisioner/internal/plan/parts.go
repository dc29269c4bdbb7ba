package plan

import vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"

// Part is a group of settings that one step is about. Parts are combined with |.
type Part uint16

// The parts of a machine's configuration.
const (
	// Compute is CPU, memory and whether the machine starts with its node.
	Compute Part = 1 << iota
	// SystemSize and SystemLimits are the system disk's.
	SystemSize
	SystemLimits
	// AdditionalDisk makes the additional disk, with size and limits, where there is none.
	AdditionalDisk
	// AdditionalSize and AdditionalLimits are those of an additional disk that is there.
	AdditionalSize
	AdditionalLimits
	// Network is the first network card.
	Network
	// CloudInit is the machine's name and what the guest is told.
	CloudInit

	// All is everything that a package says of a configuration.
	All Part = 1<<iota - 1
)

// partOf has the steps that change the configuration.
var partOf = map[vmlinev1.Status]Part{
	vmlinev1.Status_STATUS_SET_CPU_RAM:                   Compute,
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE:          SystemSize,
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH:     SystemLimits,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK:   AdditionalDisk,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE:      AdditionalSize,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH: AdditionalLimits,
	vmlinev1.Status_STATUS_SET_NETWORK:                   Network,
	vmlinev1.Status_STATUS_SET_CLOUDINIT:                 CloudInit,
}

// Of returns the parts that the steps to these statuses are about. A step that is alone, as with a
// button, changes its own part and nothing else.
func Of(statuses ...vmlinev1.Status) Part {
	var all Part
	for _, s := range statuses {
		all |= partOf[s]
	}
	return all
}

func (p Part) has(part Part) bool { return p&part != 0 }
