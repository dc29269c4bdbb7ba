package pve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNotSet says that a VM's configuration has no such key.
var ErrNotSet = errors.New("not set in the VM's configuration")

// VMConfig is the configuration of a VM, with the changes that wait for its next start merged in.
type VMConfig struct {
	Values map[string]string // by key; numbers as texts; without digest and lock
	Digest string            // SHA-1 of the file: what a change made with it is fenced by
	Lock   string            // clone, backup, ...; empty if not locked
}

// VMConfig reads a VM's configuration. Gone means that this node has none for the VMID.
func (c *Client) VMConfig(ctx context.Context, node string, vmid int) (VMConfig, error) {
	r := request{op: vmOp("read the configuration of", vmid, node), method: http.MethodGet, path: vmPath(node, vmid, "config")}
	var raw map[string]text
	if err := c.do(ctx, r, &raw); err != nil {
		return VMConfig{}, err
	}
	out := VMConfig{Values: make(map[string]string, len(raw)), Digest: string(raw["digest"]), Lock: string(raw["lock"])}
	if out.Digest == "" {
		return VMConfig{}, c.odd(r, "a configuration has a digest, this has none")
	}
	for k, v := range raw {
		if k != "digest" && k != "lock" {
			out.Values[k] = string(v)
		}
	}
	return out, nil
}

// Has reports whether key is set.
func (v VMConfig) Has(key string) bool { _, ok := v.Values[key]; return ok }

// Name is the VM's name.
func (v VMConfig) Name() string { return v.Values["name"] }

// Description is the VM's notes.
func (v VMConfig) Description() string { return v.Values["description"] }

// Tags are the VM's tags, lower-cased and sorted by Proxmox.
func (v VMConfig) Tags() []string { return splitList(v.Values["tags"]) }

// Template reports whether the VM is a template.
func (v VMConfig) Template() bool { return v.Values["template"] == "1" }

// VMGenID is the UUID that Proxmox gives each new machine: another one means another machine.
func (v VMConfig) VMGenID() string { return v.Values["vmgenid"] }

// Disk returns the drive under key (scsi0, ide2, ...); ErrNotSet if there is none.
func (v VMConfig) Disk(key string) (Drive, error) {
	s, ok := v.Values[key]
	if !ok {
		return Drive{}, fmt.Errorf("%s: %w", key, ErrNotSet)
	}
	d, err := ParseDrive(s)
	if err != nil {
		return Drive{}, fmt.Errorf("%s: %w", key, err)
	}
	return d, nil
}

// Net returns the network card under key (net0, ...); ErrNotSet if there is none.
func (v VMConfig) Net(key string) (NIC, error) {
	s, ok := v.Values[key]
	if !ok {
		return NIC{}, fmt.Errorf("%s: %w", key, ErrNotSet)
	}
	n, err := ParseNIC(s)
	if err != nil {
		return NIC{}, fmt.Errorf("%s: %w", key, err)
	}
	return n, nil
}

// buses are the buses of disks and how many each has, in the order in which Proxmox looks for a boot disk when the
// configuration names none (PVE::QemuServer::Drive valid_drive_names).
var buses = []struct {
	name  string
	count int
}{{"ide", 4}, {"scsi", 31}, {"virtio", 16}, {"sata", 6}}

var diskKey = regexp.MustCompile(`^(ide|scsi|virtio|sata)\d+$`)

// SystemDisk is the key of the disk that the VM boots from: the first data disk of the boot order, the bootdisk of old
// configurations, or the first disk there is; "" if there is none.
func (v VMConfig) SystemDisk() string {
	for _, key := range v.bootOrder() {
		if v.dataDisk(key) {
			return key
		}
	}
	for _, bus := range buses {
		for i := range bus.count {
			if key := bus.name + strconv.Itoa(i); v.dataDisk(key) {
				return key
			}
		}
	}
	return ""
}

// bootOrder returns the keys of boot (order=scsi0;ide2;net0) and of the older bootdisk.
func (v VMConfig) bootOrder() []string {
	var keys []string
	for part := range strings.SplitSeq(v.Values["boot"], ",") {
		if order, ok := strings.CutPrefix(part, "order="); ok {
			keys = append(keys, splitList(order)...)
		}
	}
	return append(keys, v.Values["bootdisk"])
}

// dataDisk reports whether key is a disk with a volume of its own. A drive that does not parse is not a CD.
func (v VMConfig) dataDisk(key string) bool {
	if !diskKey.MatchString(key) || !v.Has(key) {
		return false
	}
	d, err := v.Disk(key)
	return err != nil || (!d.CDROM() && !d.CloudInit() && d.Volume != "none")
}

// Change is a change of a VM's configuration.
type Change struct {
	Set    map[string]string
	Delete []string
	Digest string // of the configuration that the change was decided on; a mismatch is a Conflict. Empty = no fence.
}

// backgroundDelay is how many seconds Proxmox waits for the end of the work itself, at most 30; well below the 30 s
// after which pveproxy gives up.
const backgroundDelay = "5"

// SetVMConfig changes a VM's configuration. The UPID is empty when the work ended well within five seconds, and for an
// empty change, for which nothing is called. Of a running VM some keys take effect only at its next start.
func (c *Client) SetVMConfig(ctx context.Context, node string, vmid int, ch Change) (UPID, error) {
	if len(ch.Set) == 0 && len(ch.Delete) == 0 {
		return "", nil
	}
	params := maps.Clone(ch.Set)
	if params == nil {
		params = map[string]string{}
	}
	if len(ch.Delete) > 0 {
		params["delete"] = strings.Join(slices.Sorted(slices.Values(ch.Delete)), ",")
	}
	setIf(params, "digest", ch.Digest)
	params["background_delay"] = backgroundDelay
	// POST, not PUT: PUT holds the request while a disk is made, and a slow one ends in 596 with an unknown outcome.
	return c.maybeTask(ctx, request{op: vmOp("change "+changed(ch)+" of", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "config"), params: params})
}

// changed names the keys of a change.
func changed(ch Change) string {
	keys := append(slices.Collect(maps.Keys(ch.Set)), ch.Delete...)
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), ", ")
}

// setIf sets a parameter unless its value is empty.
func setIf(params map[string]string, key, value string) {
	if value != "" {
		params[key] = value
	}
}
