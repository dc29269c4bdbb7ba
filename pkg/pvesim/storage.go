package pvesim

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// storage is one entry of the storage configuration.
type storage struct {
	Storage
	path string            // of file storages
	full bool              // refuses new volumes
	more map[string]string // settings that make no difference here
}

func newStorage(s Storage) *storage {
	if s.Type == "" {
		s.Type = "dir"
	}
	if s.TotalGB == 0 {
		s.TotalGB = 252
	}
	if s.Content == nil {
		s.Content = []string{"images", "backup"}
	}
	path := "/mnt/pve/" + s.Name
	if s.Name == "local" {
		path = "/var/lib/vz"
	}
	return &storage{Storage: s, path: path, more: map[string]string{}}
}

func (s *storage) files() bool { return s.Type == "dir" || s.Type == "nfs" || s.Type == "cifs" }

// basePath reports whether the volume ID of a linked clone names its base.
func (s *storage) basePath() bool { return s.files() || s.Type == "zfspool" || s.Type == "rbd" }

func (s *storage) key(node, name string) volumeKey {
	if s.Shared {
		node = ""
	}
	return volumeKey{s.Name, node, name}
}

// volumeKey finds a volume. node is "" on shared storages. A linked clone's name is without its base.
type volumeKey struct{ storage, node, name string }

// volume is a disk image or a backup file.
type volume struct {
	storage   *storage
	node      string
	name      string // as in the volume ID, without the base of a linked clone
	base      string // name of the base volume of a linked clone
	vmid      int
	content   string
	format    string
	size      int64 // bytes
	holds     int64 // size of the disk in a file that can be imported
	made      time.Time
	protected bool
	notes     string
	saved     *savedVM // what a backup holds; nil when nobody knows
}

func (v *volume) volid() string {
	if v.base != "" {
		return v.storage.Name + ":" + v.base + "/" + v.name
	}
	return v.storage.Name + ":" + v.name
}

// file is the path of an image or backup on a file storage.
func (v *volume) file() string {
	if kind, ok := fileKinds[v.content]; ok {
		return v.storage.path + "/" + kind.dir + "/" + strings.TrimPrefix(v.name, v.content+"/")
	}
	if v.content == "backup" {
		return v.storage.path + "/dump/" + strings.TrimPrefix(v.name, "backup/")
	}
	return v.storage.path + "/images/" + v.name
}

func (c *Cluster) storage(name string) *storage {
	for _, s := range c.storages {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// storageOn finds a storage that a node can use.
func (c *Cluster) storageOn(name, node string) *storage {
	s := c.storage(name)
	if s == nil || s.Disabled || !s.on(node) {
		return nil
	}
	return s
}

func (s *storage) on(node string) bool { return len(s.Nodes) == 0 || contains(s.Nodes, node) }

// usable finds a storage, with Proxmox VE's words when a node cannot use it.
func (c *Cluster) usable(name, node string) (*storage, error) {
	s := c.storage(name)
	switch {
	case s == nil:
		return nil, fail("storage '%s' does not exist", name)
	case s.Disabled:
		return nil, fail("storage '%s' is disabled", name)
	case !s.on(node):
		return nil, fail("storage '%s' is not available on node '%s'", name, node)
	}
	return s, nil
}

// volume finds a volume by its ID, as a node sees it.
func (c *Cluster) volume(volid, node string) *volume {
	name, rest, ok := strings.Cut(volid, ":")
	s := c.storage(name)
	if !ok || s == nil {
		return nil
	}
	if v := c.volumes[s.key(node, rest)]; v != nil {
		return v
	}
	// A linked clone: storage:base/name.
	for i := range len(rest) {
		if rest[i] == '/' {
			if v := c.volumes[s.key(node, rest[i+1:])]; v != nil && v.base == rest[:i] {
				return v
			}
		}
	}
	return nil
}

// volumeWant describes a volume to allocate.
type volumeWant struct {
	vmid   int
	prefix string // vm or base
	suffix string // "" for the next free disk number
	size   int64
	format string
	base   *volume
}

func cloudinitVolume(s *storage, vmid int) volumeWant {
	w := volumeWant{vmid: vmid, prefix: "vm", suffix: "cloudinit", size: 4 << 20, format: "raw"}
	if s.files() {
		w.format = "qcow2"
	}
	return w
}

// diskName is the name of a volume with all that the storage type wants in it.
func (s *storage) diskName(w volumeWant, number int) string {
	suffix := w.suffix
	if suffix == "" {
		suffix = "disk-" + strconv.Itoa(number)
	}
	name := fmt.Sprintf("%s-%d-%s", w.prefix, w.vmid, suffix)
	if s.files() {
		return fmt.Sprintf("%d/%s.%s", w.vmid, name, w.format)
	}
	return name
}

// newVolume makes a volume with the lowest free number.
func (c *Cluster) newVolume(s *storage, node string, w volumeWant) *volume {
	if w.format == "" || !s.files() {
		w.format = "raw"
	}
	v := &volume{storage: s, node: node, vmid: w.vmid, content: "images", format: w.format, size: w.size, made: c.cfg.Now()}
	if w.base != nil && s.basePath() {
		v.base = w.base.name
	}
	number := 0
	for w.suffix == "" && c.numberTaken(s, node, w, number) {
		number++
	}
	v.name = s.diskName(w, number)
	c.volumes[s.key(node, v.name)] = v
	return v
}

// numberTaken reports whether a disk number is in use under any format or prefix.
func (c *Cluster) numberTaken(s *storage, node string, w volumeWant, number int) bool {
	for _, prefix := range []string{"vm", "base"} {
		for _, format := range []string{"raw", "qcow2", "vmdk"} {
			try := w
			try.prefix, try.format = prefix, format
			if c.volumes[s.key(node, s.diskName(try, number))] != nil {
				return true
			}
		}
	}
	return false
}

// maxRaw is the largest file of the file systems that images lie on.
const maxRaw = int64(16) << 40

// room checks that a volume fits. name is the file that would be made.
func (c *Cluster) room(s *storage, node, name string, size int64, full bool) error {
	file := s.path + "/images/" + name
	if s.files() && size > maxRaw {
		return fail("unable to create image: qemu-img: %s: The image size is too large for file format 'raw'", file)
	}
	if !full && !s.full && c.used(s, node)+size <= int64(s.TotalGB)<<30 {
		return nil
	}
	switch {
	case s.files() && strings.HasSuffix(name, ".qcow2"):
		return fail("unable to create image: qemu-img: %s: Could not resize image: Failed to resize underlying file: Could not write zeros for preallocation: No space left on device", file)
	case s.files():
		return fail("unable to create image: qemu-img: %s: Could not write zeros for preallocation: No space left on device", file)
	case s.Type == "lvmthin":
		return fail("unable to create image: lvcreate 'pve/%s' error:   Cannot create new thin volume, free space in thin pool pve/data reached threshold.", name)
	}
	return fail("unable to create image: %s: no space left on storage '%s'", name, s.Name)
}

// used are the bytes that a storage's volumes take.
func (c *Cluster) used(s *storage, node string) int64 {
	var n int64
	for k, v := range c.volumes {
		if k.storage == s.Name && (s.Shared || k.node == node) {
			n += v.size
		}
	}
	return n
}

// formatting is the line that making an image writes to the task log; "" on block storages.
func (v *volume) formatting() string {
	if !v.storage.files() {
		return ""
	}
	pre := v.storage.Preallocation
	switch v.format {
	case "qcow2":
		if pre == "" {
			pre = "metadata"
		}
		return fmt.Sprintf("Formatting '%s', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=%s compression_type=zlib size=%d lazy_refcounts=off refcount_bits=16", v.file(), pre, v.size)
	default:
		if pre == "" {
			pre = "off"
		}
		return fmt.Sprintf("Formatting '%s', fmt=%s size=%d preallocation=%s", v.file(), v.format, v.size, pre)
	}
}

// disk is the size of the disk that a volume is, or holds.
func (v *volume) disk() int64 {
	if v.content == "import" {
		return v.holds
	}
	return v.size
}

// free removes a volume.
func (c *Cluster) free(v *volume) { delete(c.volumes, v.storage.key(v.node, v.name)) }

// hasClones reports whether linked clones of a base volume exist.
func (c *Cluster) hasClones(base *volume) bool {
	for _, v := range c.volumes {
		if v.storage == base.storage && v.base == base.name && (base.storage.Shared || v.node == base.node) {
			return true
		}
	}
	return false
}

// sortedVolumes are the volumes of a storage on a node, by name.
func (c *Cluster) sortedVolumes(s *storage, node string) []*volume {
	var list []*volume
	for k, v := range c.volumes {
		if k.storage == s.Name && (s.Shared || k.node == node) {
			list = append(list, v)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}
