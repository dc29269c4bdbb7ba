// Package plan works out what must change in a VM's Proxmox configuration so that it is what its
// package says, whether that needs a stop, and what is impossible. It is pure: configuration and VM
// in, change out. An option that the package does not speak of is never touched.
package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// gib is what Proxmox calls GB, in bytes.
const gib = 1 << 30

// Impossible is a package that this machine cannot become. Nothing was changed.
type Impossible struct {
	Reason string
	// Next says what a person can do; empty where the reason says it.
	Next string
}

func (e *Impossible) Error() string { return e.Reason }

// Options say how much of the package is wanted.
type Options struct {
	// Parts of the configuration that may change; 0 means All.
	Parts Part
	// Password is the opened cloud-init password, empty for none. Proxmox never shows it again, so it
	// is set only where the configuration has none or Fresh is true.
	Password string
	Fresh    bool
	// MAC is what the first network card must have; empty keeps the one it has.
	MAC string
	// Before are the package that the machine had, and then those that were given up half way: what they
	// set and the new one no longer says is taken away, if it is still as it was set. None takes nothing away.
	Before []*vmlinev1.Package
}

// last is the package that the machine had; nil for none.
func (o Options) last() *vmlinev1.Package {
	if len(o.Before) == 0 {
		return nil
	}
	return o.Before[0]
}

// Plan is what is missing.
type Plan struct {
	// Change is one configuration call; there is none to make where it is empty.
	Change pve.Change
	// Grow are the disks that are too small, with their size in GB.
	Grow map[string]int64
	// SystemDisk is the configuration's key of the disk that the VM boots from, such as scsi0.
	SystemDisk string
	// AdditionalDisk is the key of the additional disk; empty while there is none.
	AdditionalDisk string
	// Parts are what the plan is about.
	Parts Part
}

// Empty says that the machine is as it is wanted.
func (p Plan) Empty() bool { return !p.HasChange() && len(p.Grow) == 0 }

// HasChange says that there is a configuration call to make.
func (p Plan) HasChange() bool { return len(p.Change.Set) > 0 || len(p.Change.Delete) > 0 }

// draft collects the changes against one configuration.
type draft struct {
	cfg  pve.VMConfig
	set  map[string]string
	drop []string
}

func (d *draft) want(key, value string) {
	if d.cfg.Values[key] != value {
		d.set[key] = value
	}
}

// Make compares the configuration with the VM's package.
func Make(cfg pve.VMConfig, vm *vmlinev1.VM, o Options) (Plan, error) {
	if o.Parts == 0 {
		o.Parts = All
	}
	d := &draft{cfg: cfg, set: map[string]string{}}
	p := Plan{Grow: map[string]int64{}, SystemDisk: cfg.SystemDisk(), Parts: o.Parts}
	if p.SystemDisk == "" {
		return Plan{}, &Impossible{Reason: "the machine has no disk to boot from", Next: "Mend the boot order of the machine, or of its template."}
	}
	d.tag()
	if o.Parts.has(Compute) {
		d.compute(vm.GetPackage())
	}
	if err := d.disks(&p, vm, o.Parts); err != nil {
		return Plan{}, err
	}
	if o.Parts.has(Network) {
		if err := d.network(vm.GetPackage(), o.MAC); err != nil {
			return Plan{}, err
		}
	}
	if o.Parts.has(CloudInit) {
		d.want("name", vm.GetPackage().GetName())
		if err := d.cloudInit(p.SystemDisk, vm, o); err != nil {
			return Plan{}, err
		}
	}
	p.Change = pve.Change{Set: d.set, Delete: d.drop, Digest: cfg.Digest}
	return p, nil
}

// tag keeps our tag, whatever the parts: it is part of the proof that the machine is ours. The mark in
// the description was set by the clone.
func (d *draft) tag() {
	if tags := d.cfg.Tags(); !slices.Contains(tags, machine.Tag) {
		d.set["tags"] = strings.Join(append(tags, machine.Tag), ";")
	}
}

func (d *draft) compute(pkg *vmlinev1.Package) {
	memory := strconv.FormatUint(uint64(pkg.GetMemoryMib()), 10)
	d.want("memory", memory)
	// The package counts cores of the whole machine. Where they are divided between sockets as they are
	// wanted, as on a machine that was adopted, they stay so.
	if sockets := d.cfg.Values["sockets"]; sockets == "" || sockets == "1" || totalCores(d.cfg) != pkg.GetCores() {
		d.want("cores", strconv.FormatUint(uint64(pkg.GetCores()), 10))
		if sockets != "" && sockets != "1" {
			d.set["sockets"] = "1"
		}
	}
	// A balloon above the memory is refused ("balloon value too large").
	if balloon, err := strconv.ParseUint(d.cfg.Values["balloon"], 10, 64); err == nil && balloon > uint64(pkg.GetMemoryMib()) {
		d.set["balloon"] = memory
	}
	if cpu := pkg.GetCpuType(); cpu != "" {
		d.cpuType(cpu)
	}
	if pkg.GetOnboot() != (d.cfg.Values["onboot"] == "1") {
		d.set["onboot"] = map[bool]string{true: "1", false: "0"}[pkg.GetOnboot()]
	}
}

// cpuType changes the model and keeps the flags: cpu is `[cputype=]model[,flags=...]`.
func (d *draft) cpuType(model string) {
	have, rest, _ := strings.Cut(d.cfg.Values["cpu"], ",")
	if strings.TrimPrefix(have, "cputype=") == model {
		return
	}
	if rest != "" {
		rest = "," + rest
	}
	d.set["cpu"] = model + rest
}

func (d *draft) disks(p *Plan, vm *vmlinev1.VM, parts Part) error {
	if err := d.systemDisk(p, vm.GetPackage().GetSystemDisk(), parts); err != nil {
		return fmt.Errorf("system disk: %w", err)
	}
	if err := d.additionalDisk(p, vm, parts); err != nil {
		return fmt.Errorf("additional disk: %w", err)
	}
	return nil
}
