// Package plan works out what must change in a VM's Proxmox configuration so that it is what its
// package says. It is pure: configuration and VM in, change out. An option that the package does
// not speak of is never touched.
package plan

import (
	"cmp"
	"fmt"
	"maps"
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
type Impossible struct{ Reason string }

func (e *Impossible) Error() string { return e.Reason }

// Plan is what is missing.
type Plan struct {
	// Change is one configuration call; there is none to make where it sets nothing.
	Change pve.Change
	// Grow are the disks that are too small, with their size in GB.
	Grow map[string]int64
	// SystemDisk is the configuration's key of the disk that the VM boots from, such as scsi0.
	SystemDisk string
}

// draft collects the changes against one configuration.
type draft struct {
	cfg pve.VMConfig
	set map[string]string
}

func (d *draft) want(key, value string) {
	if d.cfg.Values[key] != value {
		d.set[key] = value
	}
}

// Make compares the configuration with the VM's package. password is the opened cloud-init
// password, empty for none; it is set only where the configuration has none or fresh is true,
// because Proxmox never shows it again.
func Make(cfg pve.VMConfig, vm *vmlinev1.VM, password string, fresh bool) (Plan, error) {
	d := &draft{cfg: cfg, set: map[string]string{}}
	p := Plan{Grow: map[string]int64{}, SystemDisk: cfg.SystemDisk()}
	if p.SystemDisk == "" {
		return Plan{}, &Impossible{"the machine has no disk to boot from; mend the template's boot order"}
	}
	d.identity(vm)
	d.compute(vm.GetPackage())
	if err := d.systemDisk(&p, vm.GetPackage().GetSystemDisk()); err != nil {
		return Plan{}, err
	}
	if err := d.additionalDisk(&p, vm.GetPackage().GetAdditionalDisk()); err != nil {
		return Plan{}, err
	}
	if err := d.network(vm.GetPackage()); err != nil {
		return Plan{}, err
	}
	if err := d.cloudInit(p.SystemDisk, vm, password, fresh); err != nil {
		return Plan{}, err
	}
	p.Change = pve.Change{Set: d.set, Digest: cfg.Digest}
	return p, nil
}

// identity keeps name and tag; the mark in the description was set by the clone.
func (d *draft) identity(vm *vmlinev1.VM) {
	d.want("name", vm.GetPackage().GetName())
	if tags := d.cfg.Tags(); !slices.Contains(tags, machine.Tag) {
		d.set["tags"] = strings.Join(append(tags, machine.Tag), ";")
	}
}

func (d *draft) compute(pkg *vmlinev1.Package) {
	memory := strconv.FormatUint(uint64(pkg.GetMemoryMib()), 10)
	d.want("cores", strconv.FormatUint(uint64(pkg.GetCores()), 10))
	d.want("memory", memory)
	// The package counts cores of the whole machine.
	if sockets := d.cfg.Values["sockets"]; sockets != "" && sockets != "1" {
		d.set["sockets"] = "1"
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

// defaultModel is the card of a package that names none.
const defaultModel = "virtio"

// network sets bridge, VLAN, rate and firewall of net0 and keeps its MAC: without the MAC Proxmox
// would give the card a new one.
func (d *draft) network(pkg *vmlinev1.Package) error {
	net := pkg.GetNetwork()
	if net.GetBridge() == "" {
		return nil
	}
	nic := pve.NIC{Model: defaultModel}
	if d.cfg.Has("net0") {
		var err error
		if nic, err = d.cfg.Net("net0"); err != nil {
			return fmt.Errorf("read the network card: %w", err)
		}
	}
	before := nic.String()
	nic.Model = cmp.Or(net.GetModel(), defaultModel)
	nic.Options = slices.Clone(nic.Options)
	nic.Options.Set("bridge", net.GetBridge())
	setOrDrop(&nic.Options, "tag", uintText(net.GetVlan()))
	setOrDrop(&nic.Options, "rate", rateText(net.GetRateMbps()))
	setOrDrop(&nic.Options, "firewall", map[bool]string{true: "1"}[pkg.GetFirewall().GetEnabled()])
	if !d.cfg.Has("net0") || nic.String() != before {
		d.set["net0"] = nic.String()
	}
	return nil
}

// setOrDrop leaves an option out where there is no limit: 0 means none in a package, but not
// everywhere on Proxmox.
func setOrDrop(o *pve.Options, key, value string) {
	if value == "" {
		o.Delete(key)
		return
	}
	o.Set(key, value)
}

func uintText(v uint32) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(v), 10)
}

func rateText(v float64) string {
	if v <= 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Keys are the names of the settings that the plan changes, sorted.
func (p Plan) Keys() []string { return slices.Sorted(maps.Keys(p.Change.Set)) }
