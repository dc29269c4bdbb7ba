package withstand

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/machine"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// own are keys of a configuration that differ in every machine.
var own = []string{"smbios1", "vmgenid", "meta"}

// masks put the same word in place of what differs in every machine.
var masks = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`BC:24:11(:[0-9A-F]{2}){3}`), "MAC"},
	{regexp.MustCompile(`\b10\.64\.\d+\.\d+`), "IPV4"},
	{regexp.MustCompile(`2001:db8:64::[0-9a-f]*`), "IPV6"},
}

// shape is all that Proxmox has of a machine, line by line, without what differs in every machine:
// configuration, power, volumes, snapshots, and its firewall with the rules in their order.
func shape(r *rig.Rig, vm *vmlinev1.VM) []string {
	state, _ := r.Sim.VM(int(vm.GetVmid()))
	lines := []string{"status " + state.Status, fmt.Sprint("pending ", state.Pending), fmt.Sprint("snapshots ", state.Snapshots)}
	for key, value := range state.Config {
		if !slices.Contains(own, key) {
			lines = append(lines, "config "+key+": "+value)
		}
	}
	for _, v := range r.Sim.Volumes() {
		if v.VMID == state.VMID {
			lines = append(lines, fmt.Sprintf("volume %s of %d bytes (%s)", v.VolID, v.SizeBytes, v.Content))
		}
	}
	for _, f := range r.Sim.Firewalls() {
		if f.VMID == state.VMID {
			lines = append(lines, fmt.Sprint("firewall options ", f.Options), fmt.Sprint("firewall rules ", f.Rules), fmt.Sprint("firewall sets ", f.IPSets))
		}
	}
	number := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, state.VMID))
	template := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, vm.GetTemplateVmid()))
	for i, line := range lines {
		line = strings.ReplaceAll(line, machine.Mark(vm), "MARK")
		line = strings.ReplaceAll(line, vm.GetPackage().GetName(), "NAME")
		for _, m := range masks {
			line = m.pattern.ReplaceAllString(line, m.word)
		}
		line = number.ReplaceAllString(line, "VMID")
		line = template.ReplaceAllString(line, "TEMPLATE")
		lines[i] = line
	}
	slices.Sort(lines)
	return lines
}

// sameShape fails the test unless a machine is what the same order makes undisturbed.
func sameShape(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: missing: %s", what, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: too much: %s", what, line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d lines, want %d", what, len(got), len(want))
	}
}
