package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/pvesim"
)

// checkMachines looks into the simulator: is there what was ordered?
func checkMachines(_ context.Context, w *world, say *printer, orders []*order) error {
	say.title("Machines on the cluster")
	for _, o := range orders {
		vm, err := machineOf(w, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.ref, err)
		}
		say.machine(o, vm)
	}
	return nil
}

// machineOf returns the machine of an order if all of it is as ordered.
func machineOf(w *world, o *order) (pvesim.VMState, error) {
	vm, ok := w.cluster.VM(int(o.service.VMID))
	if !ok {
		return vm, fmt.Errorf("there is no machine %d on the cluster", o.service.VMID)
	}
	var errs []error
	for _, f := range expected(o) {
		if got := f.got(vm); got != f.want {
			errs = append(errs, fmt.Errorf("%s is %q, ordered was %q", f.what, got, f.want))
		}
	}
	if len(vm.Pending) > 0 {
		errs = append(errs, fmt.Errorf("changes are still pending: %v", vm.Pending))
	}
	if !strings.Contains(vm.Description, "ref="+o.ref+" uid="+o.service.UID) || !slices.Contains(vm.Tags, "vmline") {
		errs = append(errs, errors.New("the mark that says whose it is is missing"))
	}
	return vm, errors.Join(errs...)
}

// fact is something that must be so on the cluster.
type fact struct {
	what string
	want string
	got  func(pvesim.VMState) string
}

func expected(o *order) []fact {
	p := o.pkg
	facts := []fact{
		{"status", "running", func(vm pvesim.VMState) string { return vm.Status }},
		{"name", p.Name, func(vm pvesim.VMState) string { return vm.Name }},
		{"node", o.service.Node, func(vm pvesim.VMState) string { return vm.Node }},
		key("cores", fmt.Sprint(p.Cores)),
		key("memory", fmt.Sprint(p.MemoryMiB)),
		key("ciuser", p.CloudInit.User),
		part("net0", "bridge", p.Network.Bridge),
		part("net0", "rate", number(p.Network.RateMBps)),
		part("net0", "virtio", o.service.MAC),
	}
	facts = append(facts, diskFacts("scsi0", p.SystemDisk)...)
	facts = append(facts, diskFacts("scsi1", p.AdditionalDisk)...)
	for _, a := range o.service.Addresses {
		name := "ip"
		if strings.Contains(a.Address, ":") {
			name = "ip6"
		}
		facts = append(facts, part("ipconfig0", name, fmt.Sprintf("%s/%d", a.Address, a.PrefixLength)))
	}
	if p.Firewall.Enabled {
		facts = append(facts, part("net0", "firewall", "1"))
	}
	if p.CloudInit.Password != "" {
		facts = append(facts, fact{"cloud-init password", "set", func(vm pvesim.VMState) string {
			if vm.Config["cipassword"] == "" {
				return "missing"
			}
			return "set"
		}})
	}
	return facts
}

func diskFacts(disk string, d api.Disk) []fact {
	if d.SizeGB == 0 {
		return []fact{key(disk, "")}
	}
	return []fact{
		part(disk, "size", fmt.Sprintf("%dG", d.SizeGB)),
		part(disk, "mbps_rd", number(float64(d.ReadMBps))),
		part(disk, "mbps_wr", number(float64(d.WriteMBps))),
		part(disk, "iops_rd", number(float64(d.ReadIOPS))),
		part(disk, "iops_wr", number(float64(d.WriteIOPS))),
	}
}

// key is a whole value of the configuration.
func key(name, want string) fact {
	return fact{name, want, func(vm pvesim.VMState) string { return vm.Config[name] }}
}

// part is one property inside a value of the configuration.
func part(name, property, want string) fact {
	return fact{name + " " + property, want, func(vm pvesim.VMState) string {
		for p := range strings.SplitSeq(vm.Config[name], ",") {
			if k, v, ok := strings.Cut(p, "="); ok && k == property {
				return v
			}
		}
		return ""
	}}
}

// number is a limit as it stands in the configuration. No limit does not stand there at all.
func number(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}
