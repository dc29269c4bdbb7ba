package plan

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// additionalSerial marks the additional disk, so that it is known again whatever slot it has: a
// repeated call would otherwise make a second one. The guest sees it as the disk's serial number.
const additionalSerial = "vmline-additional"

// slots is how many disks each bus takes on Proxmox (PVE::QemuServer::Drive).
var slots = []struct {
	bus   string
	count int
}{{"ide", 4}, {"scsi", 31}, {"virtio", 16}, {"sata", 6}}

// diskKeys are the keys of every disk that a configuration can have.
func diskKeys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range slots {
			for i := range s.count {
				if !yield(s.bus + strconv.Itoa(i)) {
					return
				}
			}
		}
	}
}

func (d *draft) systemDisk(p *Plan, want *vmlinev1.Disk, parts Part) error {
	drive, err := d.cfg.Disk(p.SystemDisk)
	if err != nil {
		return err
	}
	if parts.has(SystemLimits) {
		d.limits(p.SystemDisk, drive, want)
	}
	if !parts.has(SystemSize) {
		return nil
	}
	return grow(p, p.SystemDisk, drive, want.GetSizeGb())
}

// additionalDisk makes the additional disk or changes the one that is there. One that the package no
// longer speaks of stays as it is: a change of a package destroys no data.
func (d *draft) additionalDisk(p *Plan, vm *vmlinev1.VM, parts Part) error {
	key, drive, err := additional(d.cfg, vm)
	if err != nil {
		return err
	}
	p.AdditionalDisk = key
	want := vm.GetPackage().GetAdditionalDisk()
	switch {
	case want.GetSizeGb() == 0:
		return nil
	case key == "" && parts.has(AdditionalDisk):
		return d.makeDisk(p, want)
	case key == "":
		return nil
	}
	if parts.has(AdditionalLimits) {
		d.limits(key, drive, want)
	}
	if !parts.has(AdditionalSize) {
		return nil
	}
	return grow(p, key, drive, want.GetSizeGb())
}

// makeDisk has Proxmox make the disk with everything that the package says of it.
func (d *draft) makeDisk(p *Plan, want *vmlinev1.Disk) error {
	slot, ok := d.freeSlot(busOf(p.SystemDisk), d.notBootedFrom)
	if !ok {
		return &Impossible{Reason: fmt.Sprintf("the machine has no free %s slot for it", busOf(p.SystemDisk)), Next: "Take a disk off the machine that it does not need."}
	}
	made := pve.Drive{Volume: fmt.Sprintf("%s:%d", want.GetStorage(), want.GetSizeGb())}
	made.Options.Set("serial", additionalSerial)
	setLimits(&made.Options, want)
	d.set[slot], p.AdditionalDisk = made.String(), slot
	return nil
}

// additional finds the additional disk: the one with our serial number, or the one that an adopted
// machine had. The key is empty where there is none.
func additional(cfg pve.VMConfig, vm *vmlinev1.VM) (string, pve.Drive, error) {
	systemDisk := cfg.SystemDisk()
	for key := range diskKeys() {
		if key == systemDisk || !strings.Contains(cfg.Values[key], additionalSerial) {
			continue
		}
		drive, err := cfg.Disk(key)
		if err != nil {
			return "", pve.Drive{}, err
		}
		if serial, _ := drive.Options.Get("serial"); serial == additionalSerial {
			return key, drive, nil
		}
	}
	if key := vm.GetAdditionalDiskKey(); key != "" && key != systemDisk && cfg.Has(key) {
		drive, err := cfg.Disk(key)
		return key, drive, err
	}
	return "", pve.Drive{}, nil
}

// busOf is the bus of a disk's key: scsi of scsi0.
func busOf(key string) string { return strings.TrimRight(key, "0123456789") }

// freeSlot returns the lowest free slot of a bus that will do.
func (d *draft) freeSlot(bus string, willDo func(key string) bool) (string, bool) {
	for key := range diskKeys() {
		if busOf(key) == bus && d.free(key) && willDo(key) {
			return key, true
		}
	}
	return "", false
}

// notBootedFrom says that the machine would still boot from its system disk with a disk under key. A
// boot order may name a disk that does not exist yet, and without one the lowest slot is booted from.
func (d *draft) notBootedFrom(key string) bool {
	with := pve.VMConfig{Values: maps.Clone(d.cfg.Values)}
	with.Values[key] = "new:1"
	return with.SystemDisk() == d.cfg.SystemDisk()
}

// free says that neither the configuration nor this change uses a key.
func (d *draft) free(key string) bool {
	_, taken := d.set[key]
	return !taken && !d.cfg.Has(key)
}

// limits rewrites a disk with every option that it had, because Proxmox drops what is left out.
func (d *draft) limits(key string, drive pve.Drive, want *vmlinev1.Disk) {
	next := pve.Drive{Volume: drive.Volume, Options: slices.Clone(drive.Options)}
	setLimits(&next.Options, want)
	if !next.Options.Equal(drive.Options) {
		d.set[key] = next.String()
	}
}

func setLimits(o *pve.Options, want *vmlinev1.Disk) {
	for _, l := range []struct {
		key   string
		both  string
		value uint32
	}{
		{"mbps_rd", "mbps", want.GetReadMbps()},
		{"mbps_wr", "mbps", want.GetWriteMbps()},
		{"iops_rd", "iops", want.GetReadIops()},
		{"iops_wr", "iops", want.GetWriteIops()},
	} {
		// A limit for both directions beside one for each is refused ("unable to parse drive options").
		o.Delete(l.both)
		setOrDrop(o, l.key, uintText(l.value))
	}
}

// grow notes a disk that is too small, and refuses one that would have to shrink.
func grow(p *Plan, key string, drive pve.Drive, wantGB uint32) error {
	have, known := drive.Size()
	want := int64(wantGB) * gib
	switch {
	case wantGB == 0:
		return nil
	case !known || have < want:
		p.Grow[key] = int64(wantGB)
	case have > want:
		next := fmt.Sprintf("Sell at least %d GB.", up(have))
		if key == p.SystemDisk {
			next = fmt.Sprintf("Sell at least %d GB, or use a smaller template.", up(have))
		}
		return &Impossible{
			Reason: fmt.Sprintf("the disk %s has %d GB and the package says %d GB; Proxmox cannot shrink a disk", key, up(have), wantGB),
			Next:   next,
		}
	}
	return nil
}

// up is a size in full GB.
func up(bytes int64) int64 { return (bytes + gib - 1) / gib }

// Sizes returns the sizes of system disk and additional disk in full GB; 0 for none, or not known.
func Sizes(cfg pve.VMConfig, vm *vmlinev1.VM) (system, additionalGB uint32) {
	size := func(d pve.Drive, err error) uint32 {
		if bytes, ok := d.Size(); err == nil && ok {
			return uint32(up(bytes)) //nolint:gosec // G115: no storage has 4 billion GB
		}
		return 0
	}
	key, _, _ := additional(cfg, vm) // one that does not parse has no known size
	return size(cfg.Disk(cfg.SystemDisk())), size(cfg.Disk(key))
}
