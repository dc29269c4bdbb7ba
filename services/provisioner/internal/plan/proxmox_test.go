package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
)

// apply is how Proxmox carries out a plan: the change, then each resize. It keeps to what
// PVE::API2::Qemu does with the keys that a plan may name.
func apply(cfg pve.VMConfig, p Plan) (pve.VMConfig, error) {
	out := pve.VMConfig{Values: maps.Clone(cfg.Values), Digest: cfg.Digest + "+"}
	for _, key := range slices.Sorted(maps.Keys(p.Change.Set)) {
		value, err := stored(out, key, p.Change.Set[key])
		if err != nil {
			return out, fmt.Errorf("%s=%s: %w", key, p.Change.Set[key], err)
		}
		out.Values[key] = value
	}
	for key, gb := range p.Grow {
		d, err := out.Disk(key)
		if err != nil {
			return out, err
		}
		d.Options.Set("size", fmt.Sprintf("%dG", gb))
		out.Values[key] = sorted(d).String()
	}
	return out, nil
}

// stored is the value that Proxmox keeps of one that it is given.
func stored(cfg pve.VMConfig, key, value string) (string, error) {
	switch {
	case key == "tags":
		tags := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return strings.ContainsRune(",; \t\n\x00", r) })
		slices.Sort(tags)
		return strings.Join(slices.Compact(tags), ";"), nil
	case key == "cipassword":
		return "**********", nil
	case key == "net0":
		n, err := pve.ParseNIC(value)
		if n.MAC == "" {
			n.MAC = "BC:24:11:FF:FF:FF" // a new one
		}
		n.Options = byKey(n.Options)
		return n.String(), err
	case slices.Contains(slices.Collect(diskKeys()), key):
		return storedDisk(cfg, key, value)
	default:
		return value, nil
	}
}

func storedDisk(cfg pve.VMConfig, key, value string) (string, error) {
	d, err := pve.ParseDrive(value)
	if err != nil {
		return "", err
	}
	storage, name, _ := strings.Cut(d.Volume, ":")
	switch {
	case cfg.Has(key):
		if before, err := cfg.Disk(key); err != nil || before.Volume != d.Volume {
			return "", fmt.Errorf("the volume %q would become unused", before.Volume)
		}
	case name == "cloudinit":
		d.Volume = storage + ":vm-100-cloudinit"
		d.Options.Set("media", "cdrom")
	default:
		d.Volume = storage + ":vm-100-disk-" + key
		d.Options.Set("size", name+"G")
	}
	return sorted(d).String(), nil
}

func sorted(d pve.Drive) pve.Drive { return pve.Drive{Volume: d.Volume, Options: byKey(d.Options)} }

func byKey(o pve.Options) pve.Options {
	return slices.SortedFunc(slices.Values(o), func(a, b pve.Option) int { return strings.Compare(a.Key, b.Key) })
}
