package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// additionalSerial marks the additional disk, so that it is known again whatever slot it has: a
// repeated call would otherwise make a second one. The guest sees it as the disk's serial number.
const additionalSerial = "vmline-additional"

// slots is how many disks a bus takes on Proxmox.
var slots = map[string]int{"scsi": 31, "virtio": 16, "sata": 6, "ide": 4}

func (d *draft) systemDisk(p *Plan, want *vmlinev1.Disk) error {
	drive, err := d.cfg.Disk(p.SystemDisk)
	if err != nil {
		return fmt.Errorf("read the system disk: %w", err)
	}
	if err := grow(p, p.SystemDisk, drive, want.GetSizeGb()); err != nil {
		return err
	}
	d.limits(p.SystemDisk, drive, want)
	return nil
}

func (d *draft) additionalDisk(p *Plan, want *vmlinev1.Disk) error {
	if want.GetSizeGb() == 0 {
		return nil
	}
	key, drive, err := d.findAdditional()
	if err != nil {
		return err
	}
	if key != "" {
		p.AdditionalDisk = key
		d.limits(key, drive, want)
		return grow(p, key, drive, want.GetSizeGb())
	}
	slot, err := d.freeSlot(p.SystemDisk)
	if err != nil {
		return err
	}
	made := pve.Drive{Volume: fmt.Sprintf("%s:%d", want.GetStorage(), want.GetSizeGb())}
	made.Options.Set("serial", additionalSerial)
	setLimits(&made.Options, want)
	p.AdditionalDisk = slot
	d.set[slot] = made.String()
	return nil
}

func (d *draft) findAdditional() (string, pve.Drive, error) {
	for bus, count := range slots {
		for i := range count {
			key := bus + strconv.Itoa(i)
			if !strings.Contains(d.cfg.Values[key], additionalSerial) {
				continue
			}
			drive, err := d.cfg.Disk(key)
			if err != nil {
				return "", pve.Drive{}, fmt.Errorf("read the additional disk: %w", err)
			}
			if serial, _ := drive.Options.Get("serial"); serial == additionalSerial {
				return key, drive, nil
			}
		}
	}
	return "", pve.Drive{}, nil
}

// freeSlot takes the lowest free slot on the bus of the system disk.
func (d *draft) freeSlot(systemDisk string) (string, error) {
	bus := strings.TrimRight(systemDisk, "0123456789")
	for i := range slots[bus] {
		if key := bus + strconv.Itoa(i); !d.cfg.Has(key) {
			return key, nil
		}
	}
	return "", &Impossible{fmt.Sprintf("the machine has no free %s slot for the additional disk", bus)}
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
		return &Impossible{fmt.Sprintf("the disk %s has %d GB and the package says %d GB; Proxmox cannot shrink a disk, so sell at least %d GB or use a smaller template",
			key, (have+gib-1)/gib, wantGB, (have+gib-1)/gib)}
	}
	return nil
}
