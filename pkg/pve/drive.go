package pve

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Drive is the value of a disk key: local:101/vm-101-disk-0.qcow2,size=10G,iothread=1.
type Drive struct {
	Volume  string // local:101/vm-101-disk-0.qcow2, or none
	Options Options
}

// ParseDrive takes the value of a disk key apart. Printed again it says the same, unknown options included.
func ParseDrive(s string) (Drive, error) {
	volume, opts, err := splitOptions(s)
	if err != nil {
		return Drive{}, fmt.Errorf("drive: %w", err)
	}
	if v, ok := opts.Get("file"); ok { // the long form of the default key
		if volume != "" {
			return Drive{}, fmt.Errorf("drive: two volumes, %.40q and %.40q", volume, v)
		}
		volume = v
		opts.Delete("file")
	}
	if volume == "" {
		return Drive{}, fmt.Errorf("drive: no volume")
	}
	return Drive{Volume: volume, Options: opts}, nil
}

// String prints the drive as Proxmox takes it.
func (d Drive) String() string {
	// A volume that reads like an option needs its key.
	if key, value, ok := strings.Cut(d.Volume, "="); ok && isKey(key) && value != "" {
		return d.Options.join("file=" + d.Volume)
	}
	return d.Options.join(d.Volume)
}

// Storage is the storage that the volume is on; empty for none and for host devices.
func (d Drive) Storage() string {
	storage, _, ok := strings.Cut(d.Volume, ":")
	if !ok || strings.HasPrefix(d.Volume, "/") {
		return ""
	}
	return storage
}

// CDROM reports whether it is a CD drive. Cloud-init drives are.
func (d Drive) CDROM() bool {
	media, _ := d.Options.Get("media")
	return media == "cdrom"
}

// CloudInit reports whether it is the cloud-init drive (PVE::QemuServer::Drive drive_is_cloudinit).
func (d Drive) CloudInit() bool {
	_, name, _ := strings.Cut(d.Volume, ":")
	return name == "cloudinit" || (strings.Contains(name, "vm-") && strings.Contains(name, "-cloudinit"))
}

// Size is the size that the configuration gives the drive, in bytes; false where it gives none or it does not read.
func (d Drive) Size() (int64, bool) {
	s, ok := d.Options.Get("size")
	if !ok {
		return 0, false
	}
	return parseSize(s)
}

// units are the suffixes of sizes (PVE::JSONSchema parse_size).
var units = map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}

func parseSize(s string) (int64, bool) {
	unit := 1.0
	if s != "" && units[s[len(s)-1]] != 0 {
		unit, s = units[s[len(s)-1]], s[:len(s)-1]
	}
	if strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f*unit >= math.MaxInt64 {
		return 0, false
	}
	return int64(f * unit), true
}
