package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
)

// A running machine takes some changes at once and keeps others until its next stop (PVE::QemuServer
// vmconfig_hotplug_pending). Growing a disk is not here: it never waits.

// alwaysLive are taken at once whatever the machine's hotplug option says.
var alwaysLive = []string{
	"name", "description", "tags", "onboot", "protection", "startup", "hookscript", "cpulimit", "cpuunits",
	"ciuser", "cipassword", "sshkeys", "nameserver", "searchdomain", "cicustom", "citype", "ciupgrade",
}

// liveDiskOptions are what can change on a disk while the guest uses it. Its size follows a resize.
var liveDiskOptions = []string{
	"mbps", "mbps_rd", "mbps_wr", "mbps_max", "mbps_rd_max", "mbps_wr_max",
	"iops", "iops_rd", "iops_wr", "iops_max", "iops_rd_max", "iops_wr_max", "backup", "replicate", "size",
}

// fixedCardOptions need the card taken out and put in again. Proxmox would do that by itself, but a
// guest that loses its card for a moment may lose its configuration with it.
var fixedCardOptions = []string{"queues", "mtu"}

// NeedStop returns the keys of a change that a running machine with this configuration would take
// only at its next stop, sorted.
func NeedStop(cfg pve.VMConfig, ch pve.Change) []string {
	var keys []string
	for key, value := range ch.Set {
		if !takesLive(cfg, key, value) {
			keys = append(keys, key)
		}
	}
	for _, key := range ch.Delete {
		if !slices.Contains(alwaysLive, key) && !strings.HasPrefix(key, "ipconfig") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func takesLive(cfg pve.VMConfig, key, value string) bool {
	switch {
	case slices.Contains(alwaysLive, key), strings.HasPrefix(key, "ipconfig"):
		return true
	case strings.HasPrefix(key, "net"):
		return cardTakesLive(cfg, key, value)
	case slices.Contains(slices.Collect(diskKeys()), key):
		return diskTakesLive(cfg, key, value)
	case key == "memory":
		return hotplugs(cfg, "memory") && cfg.Values["numa"] == "1"
	default: // cores, sockets, cpu, balloon: Proxmox keeps them until the next stop
		return false
	}
}

// hotplugs says whether the machine's hotplug option has a feature.
func hotplugs(cfg pve.VMConfig, feature string) bool {
	on, set := cfg.Values["hotplug"]
	if !set || on == "1" {
		on = "network,disk,usb"
	}
	return slices.Contains(strings.Split(on, ","), feature)
}

func cardTakesLive(cfg pve.VMConfig, key, value string) bool {
	have, haveErr := cfg.Net(key)
	want, err := pve.ParseNIC(value)
	if err != nil || haveErr != nil {
		return err == nil && !cfg.Has(key) && hotplugs(cfg, "network")
	}
	fixed := slices.ContainsFunc(fixedCardOptions, func(o string) bool {
		a, _ := have.Options.Get(o)
		b, _ := want.Options.Get(o)
		return a != b
	})
	bridged := have.Bridge() != "" && want.Bridge() != ""
	return !fixed && bridged && have.Model == want.Model && strings.EqualFold(have.MAC, want.MAC)
}

func diskTakesLive(cfg pve.VMConfig, key, value string) bool {
	if bus := busOf(key); !cfg.Has(key) {
		return hotplugs(cfg, "disk") && (bus == "scsi" || bus == "virtio")
	}
	have, haveErr := cfg.Disk(key)
	want, err := pve.ParseDrive(value)
	if err != nil || haveErr != nil {
		return false
	}
	return have.Volume == want.Volume && maps.Equal(fixedOptions(have), fixedOptions(want))
}

func fixedOptions(d pve.Drive) map[string]string {
	fixed := map[string]string{}
	for _, o := range d.Options {
		if !slices.Contains(liveDiskOptions, o.Key) {
			fixed[o.Key] = o.Value
		}
	}
	return fixed
}

// Governs says whether the plan is about a key that a running machine may keep for its next stop.
func (p Plan) Governs(key string) bool {
	switch key {
	case "":
		return false
	case "cores", "sockets", "memory", "cpu":
		return p.Parts.has(Compute)
	case "net0":
		return p.Parts.has(Network)
	case p.SystemDisk:
		return p.Parts.has(SystemLimits)
	case p.AdditionalDisk:
		return p.Parts.has(AdditionalDisk | AdditionalLimits)
	}
	return false
}
