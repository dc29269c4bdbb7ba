package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// HardwareDrift says in words where CPU, memory, disks and network card are not those of the package;
// empty where they are. What the guest is told at its next boot is no drift.
func HardwareDrift(cfg pve.VMConfig, vm *vmlinev1.VM) string {
	var ways []string
	for _, part := range []Part{Compute, SystemSize, SystemLimits, AdditionalDisk, AdditionalSize, AdditionalLimits, Network} {
		p, err := Make(cfg, vm, Options{Parts: part})
		var no *Impossible
		if errors.As(err, &no) {
			ways = append(ways, no.Reason)
		}
		for _, key := range slices.Sorted(maps.Keys(p.Change.Set)) {
			ways = append(ways, fmt.Sprintf("%s is %s, the package says %s", key, orNone(cfg.Values[key]), p.Change.Set[key]))
		}
		for _, key := range slices.Sorted(maps.Keys(p.Grow)) {
			ways = append(ways, fmt.Sprintf("%s is smaller than the %d GB of the package", key, p.Grow[key]))
		}
	}
	slices.Sort(ways)
	return strings.Join(slices.Compact(ways), "; ")
}

// FirewallDrift says in words which options, addresses and rules of the package are not there.
func FirewallDrift(have Firewall, vm *vmlinev1.VM) string {
	have.Options = inForce(have.Options)
	p := MakeFirewall(have, vm, nil)
	var ways []string
	for _, key := range slices.Sorted(maps.Keys(p.Options)) {
		ways = append(ways, fmt.Sprintf("%s is %s, the package says %s", key, orNone(have.Options[key]), p.Options[key]))
	}
	for _, a := range p.Add {
		ways = append(ways, a+" is not among the addresses that the machine may use")
	}
	for _, r := range p.Rules {
		ways = append(ways, "the rule is gone: "+describeRule(r))
	}
	return strings.Join(ways, "; ")
}

func orNone(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}
