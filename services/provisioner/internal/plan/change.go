package plan

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Machine is a machine as it was found.
type Machine struct {
	Config  pve.VMConfig
	Running bool
	// Pending are the changes that a running machine has not taken yet. Config shows them as if it had.
	Pending []pve.PendingChange
	// Halted says that an earlier attempt of the same work has stopped it.
	Halted bool
}

// Decision is what a change of package comes to on one machine.
type Decision struct {
	// Needed are the steps that have something to do.
	Needed []vmlinev1.Status
	// Stop are the settings that a running machine takes only at a stop; none means that it stays up.
	Stop []string
	// Warnings are what the package says and the machine will not become, for its data's sake.
	Warnings []string
	// NewAddresses says that the addresses may become others.
	NewAddresses bool
}

// changeSteps are the steps of a change of package that one configuration decides about.
var changeSteps = []vmlinev1.Status{
	vmlinev1.Status_STATUS_SET_CPU_RAM, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH, vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Status_STATUS_SET_CLOUDINIT,
}

// Change decides what a change of package has to do. undo says that a change is being taken back: then
// disks that have grown stay as they are. An *Impossible says that the machine cannot become what the
// package says.
func Change(m Machine, vm *vmlinev1.VM, o Options, undo bool) (Decision, error) {
	var d Decision
	if err := sameMachine(m.Config, vm, o.last()); err != nil {
		return d, err
	}
	d.NewAddresses = undo || AddressesChange(vm, o.last())
	all, err := Make(m.Config, vm, o)
	if undo && err != nil {
		o.Parts = All &^ (SystemSize | AdditionalSize)
		d.Warnings = append(d.Warnings, "a disk that has grown stays as it is: "+err.Error())
		all, err = Make(m.Config, vm, o)
	}
	if err != nil {
		return d, err
	}
	wanted := o.Parts
	for _, step := range changeSteps {
		o.Parts = Of(step)
		if wanted != 0 && !wanted.has(o.Parts) {
			continue
		}
		if part, err := Make(m.Config, vm, o); err == nil && !part.Empty() {
			d.Needed = append(d.Needed, step)
		}
	}
	d.addresses(vm, o.Before)
	d.power(m, all, leavesTold(m.Config.Values["ipconfig0"], vm, o.last(), undo))
	d.Warnings = append(d.Warnings, kept(m.Config, vm)...)
	d.Warnings = append(d.Warnings, keptRules(vm.GetPackage(), o.Before)...)
	return d, nil
}

// keptRules names the rules that the package no longer has. They stay: nobody can tell them from equal ones
// that a person has made, or has come to rely on. One of a change that was given up may never have been added.
func keptRules(pkg *vmlinev1.Package, before []*vmlinev1.Package) []string {
	var warnings []string
	named := Rules(pkg.GetFirewall())
	for _, b := range before {
		for _, rule := range Rules(b.GetFirewall()) {
			if !slices.ContainsFunc(named, func(n pve.FirewallRule) bool { return SameRule(n, rule) }) {
				named = append(named, rule)
				warnings = append(warnings, "the package has this firewall rule no more; where it was added, it stays: "+describeRule(rule))
			}
		}
	}
	return warnings
}

// addresses needs the steps that depend on addresses, which are given only after the plan.
func (d *Decision) addresses(vm *vmlinev1.VM, before []*vmlinev1.Package) {
	fw := vm.GetPackage().GetFirewall()
	other := func(before *vmlinev1.Package) bool { return !proto.Equal(fw, before.GetFirewall()) }
	if d.NewAddresses {
		d.need(vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_SET_CLOUDINIT, vmlinev1.Status_STATUS_IP_RELEASED)
	}
	if slices.ContainsFunc(before, other) || (d.NewAddresses && fw.GetEnabled() && fw.GetIpFilter()) {
		d.need(vmlinev1.Status_STATUS_SET_FIREWALL)
	}
}

// power needs a stop where the machine runs and would not take everything while it does, or where its guest
// has an address that is to be another VM's.
func (d *Decision) power(m Machine, all Plan, leavesTold bool) {
	if m.Halted {
		d.need(vmlinev1.Status_STATUS_STARTING)
	}
	if !m.Running {
		return
	}
	d.Stop = append(NeedStop(m.Config, all.Change), Waiting(m.Pending, all)...)
	if leavesTold {
		d.Stop = append(d.Stop, "ipconfig0")
	}
	slices.Sort(d.Stop)
	if d.Stop = slices.Compact(d.Stop); len(d.Stop) > 0 {
		d.need(vmlinev1.Status_STATUS_STOPPED, vmlinev1.Status_STATUS_STARTING)
	}
}

func (d *Decision) need(steps ...vmlinev1.Status) {
	for _, s := range steps {
		if !slices.Contains(d.Needed, s) {
			d.Needed = append(d.Needed, s)
		}
	}
}

// Waiting returns the keys that a package decides about and that a running machine has not taken yet.
func Waiting(pending []pve.PendingChange, p Plan) []string {
	var keys []string
	for _, c := range pending {
		if p.Governs(c.Key) {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

// Route takes out of a route, from its place at on, the steps of a change of package that are not needed.
func (d Decision) Route(route []vmlinev1.Status, at int) []vmlinev1.Status {
	optional := append([]vmlinev1.Status{
		vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_STOPPED, vmlinev1.Status_STATUS_SET_FIREWALL,
		vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_IP_RELEASED,
	}, changeSteps...)
	rest := slices.DeleteFunc(slices.Clone(route[at:]), func(s vmlinev1.Status) bool {
		return slices.Contains(optional, s) && !slices.Contains(d.Needed, s)
	})
	return slices.Concat(route[:at], rest)
}

// sameMachine refuses what would make another machine of it.
func sameMachine(cfg pve.VMConfig, vm *vmlinev1.VM, before *vmlinev1.Package) error {
	pkg := vm.GetPackage()
	key, drive, err := additional(cfg, vm)
	if err != nil {
		return fmt.Errorf("additional disk: %w", err)
	}
	system, err := cfg.Disk(cfg.SystemDisk())
	if err != nil {
		system = pve.Drive{} // Make says that there is none
	}
	nodes := pkg.GetNodes()
	switch {
	case pkg.GetCluster() != before.GetCluster():
		return &Impossible{
			Reason: fmt.Sprintf("the machine is on the cluster %q and the package is for %q", before.GetCluster(), pkg.GetCluster()),
			Next:   "Order a new machine there.",
		}
	case pkg.GetNode() != before.GetNode() && pkg.GetNode() != "" && pkg.GetNode() != vm.GetNode():
		return elsewhere(vm, pkg.GetNode())
	case !slices.Equal(nodes, before.GetNodes()) && len(nodes) > 0 && !slices.Contains(nodes, vm.GetNode()):
		return elsewhere(vm, strings.Join(nodes, ", "))
	case moves(pkg.GetSystemDisk(), before.GetSystemDisk(), system):
		return otherStorage(cfg.SystemDisk(), system, pkg.GetSystemDisk())
	case key != "" && pkg.GetAdditionalDisk().GetSizeGb() > 0 && moves(pkg.GetAdditionalDisk(), before.GetAdditionalDisk(), drive):
		return otherStorage(key, drive, pkg.GetAdditionalDisk())
	}
	return nil
}

func elsewhere(vm *vmlinev1.VM, to string) error {
	return &Impossible{Reason: fmt.Sprintf("the machine is on the node %s and the package is for %s", vm.GetNode(), to), Next: "Migrate it first."}
}

// moves says whether the package wants a disk that is there on another storage.
func moves(want, before *vmlinev1.Disk, drive pve.Drive) bool {
	return want.GetStorage() != "" && want.GetStorage() != before.GetStorage() && want.GetStorage() != drive.Storage()
}

func otherStorage(key string, drive pve.Drive, want *vmlinev1.Disk) error {
	return &Impossible{
		Reason: fmt.Sprintf("the disk %s is on the storage %s and the package says %s", key, drive.Storage(), want.GetStorage()),
		Next:   "Keep the storage in the package, or have an operator move the disk first.",
	}
}

// kept names what the package no longer has and what stays nevertheless.
func kept(cfg pve.VMConfig, vm *vmlinev1.VM) []string {
	key, drive, err := additional(cfg, vm)
	if err != nil || key == "" || vm.GetPackage().GetAdditionalDisk().GetSizeGb() > 0 {
		return nil
	}
	size, _ := drive.Options.Get("size")
	return []string{fmt.Sprintf("the package has no additional disk any more; %s (%s) stays on the machine with its data", key, size)}
}
