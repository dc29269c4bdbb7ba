package pvesim

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// drive is the value of a disk slot: a volume and options.
type drive struct {
	volid string
	opts  map[string]string
}

func (d drive) String() string { return joinOptions(d.volid, d.opts) }

// joinOptions writes a property string the way Proxmox VE does: keys sorted after the first value.
func joinOptions(first string, opts map[string]string) string {
	var b strings.Builder
	b.WriteString(first)
	for _, k := range sortedKeys(opts) {
		b.WriteString("," + k + "=" + opts[k])
	}
	return b.String()
}

func (d drive) cdrom() bool { return d.opts["media"] == "cdrom" }

// cloudinit reports whether the drive is a cloud-init drive, made or to be made.
func (d drive) cloudinit() bool {
	_, name, _ := strings.Cut(d.volid, ":")
	return name == "cloudinit" || strings.Contains(name, "-cloudinit")
}

var newDisk = regexp.MustCompile(`^([^:\s]+):(\d+(\.\d+)?)$`)

// wanted reports whether the value asks for a new volume: "storage:GiB".
func (d drive) wanted() (storage string, size int64, ok bool) {
	m := newDisk.FindStringSubmatch(d.volid)
	if m == nil {
		return "", 0, false
	}
	gb, _ := strconv.ParseFloat(m[2], 64)
	return m[1], int64(gb * (1 << 30)), true
}

// firmwareSize is the size of a disk that keeps the state of UEFI or of a TPM, whatever size was asked
// for. ok is false for other disks.
func firmwareSize(key string, d drive, s *storage) (size int64, ok bool) {
	switch {
	case key == "tpmstate0" || key == "efidisk0" && !s.files():
		return 4 << 20, true // the smallest that LVM makes
	case key == "efidisk0" && d.opts["efitype"] == "4m":
		return 528 << 10, true
	case key == "efidisk0":
		return 128 << 10, true
	}
	return 0, false
}

// storage is the storage part of the volume ID; "" for none.
func (d drive) storage() string {
	name, _, ok := strings.Cut(d.volid, ":")
	if !ok {
		return ""
	}
	return name
}

var diskSlot = regexp.MustCompile(`^(ide|scsi|virtio|sata)\d+$|^(efidisk|tpmstate)0$`)

func isDrive(key string) bool  { return diskSlot.MatchString(key) }
func isUnused(key string) bool { return strings.HasPrefix(key, "unused") }

// slotKind is a slot's name without its number.
func slotKind(key string) string { return strings.TrimRight(key, "0123456789") }

// parseDrive reads the value of a disk slot.
func parseDrive(key, value string) (drive, error) {
	opts, err := propStrings[slotKind(key)].parse(key, value)
	if err != nil {
		return drive{}, badParam(key, "invalid format - %s\n", err)
	}
	d := drive{volid: opts["file"], opts: opts}
	delete(opts, "file")
	for _, limit := range []string{"mbps", "iops", "bps"} {
		for _, suffix := range []string{"", "_max"} {
			_, both := opts[limit+suffix]
			_, rd := opts[limit+"_rd"+suffix]
			_, wr := opts[limit+"_wr"+suffix]
			if both && (rd || wr) {
				return drive{}, badParam(key, "unable to parse drive options")
			}
		}
	}
	return d, nil
}

// mustDrive reads a value that was checked when it was stored.
func mustDrive(key, value string) drive {
	d, err := parseDrive(key, value)
	if err != nil {
		volid, _, _ := strings.Cut(value, ",")
		return drive{volid: volid, opts: map[string]string{}}
	}
	return d
}

// drives are the disk slots of a configuration that are set, in order.
func drives(conf map[string]string) []string {
	var list []string
	for _, k := range sortedKeys(conf) {
		if isDrive(k) {
			list = append(list, k)
		}
	}
	return list
}

// nic is the value of a network slot.
type nic struct {
	model, mac string
	opts       map[string]string
}

func (n nic) String() string { return joinOptions(n.model+"="+n.mac, n.opts) }

func isNIC(key string) bool { return slotKind(key) == "net" && key != "net" }

// parseNIC reads a network slot; a model may be given as the key of the MAC address.
func parseNIC(key, value string) (nic, error) {
	parts := strings.Split(value, ",")
	for i, p := range parts {
		if k, mac, ok := strings.Cut(p, "="); ok && contains(nicModels, k) {
			parts[i] = "model=" + k + ",macaddr=" + mac
		}
	}
	opts, err := propStrings["net"].parse(key, strings.Join(parts, ","))
	if err != nil {
		return nic{}, err
	}
	n := nic{opts["model"], strings.ToUpper(opts["macaddr"]), opts}
	delete(opts, "model")
	delete(opts, "macaddr")
	return n, nil
}

// withMAC gives a card that has none a MAC address.
func (c *Cluster) withMAC(n nic) nic {
	if n.mac == "" {
		n.mac = c.mac()
	}
	return n
}

// freeUnused is the first unusedN key that is not set.
func freeUnused(conf map[string]string) string {
	for i := 0; ; i++ {
		k := "unused" + strconv.Itoa(i)
		if _, taken := conf[k]; !taken {
			return k
		}
	}
}

// holdsVolume reports whether a key's value is a volume: a disk, one that is unused, or the memory of a snapshot.
func holdsVolume(k string) bool { return isDrive(k) || isUnused(k) || k == "vmstate" }

// confs are a VM's settings: now, pending and in snapshots.
func (v *vm) confs() []map[string]string {
	confs := []map[string]string{v.conf, v.pending}
	for _, s := range v.snapshots {
		confs = append(confs, s.conf)
	}
	return confs
}

// references reports whether a configuration uses a volume.
func references(conf map[string]string, volid string) bool {
	for k, value := range conf {
		if holdsVolume(k) {
			if first, _, _ := strings.Cut(value, ","); first == volid {
				return true
			}
		}
	}
	return false
}

// volids are the volume IDs that a VM uses anywhere: now, pending and in snapshots.
func (v *vm) volids() []string {
	seen := map[string]bool{}
	for _, conf := range v.confs() {
		for k, value := range conf {
			if holdsVolume(k) {
				first, _, _ := strings.Cut(value, ",")
				seen[first] = true
			}
		}
	}
	delete(seen, "none")
	delete(seen, "cdrom")
	return sortedKeys(seen)
}

// withOption is a copy of options with one more.
func withOption(opts map[string]string, key, value string) map[string]string {
	m := maps.Clone(opts)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
