package pvesim

import (
	"fmt"
	"maps"
	"strconv"
	"time"
)

// VMSpec describes a VM to add without the API: one that somebody else has made.
type VMSpec struct {
	VMID    int
	Node    string
	Name    string
	Storage string // of the disk; "" makes a VM without disk
	DiskGB  int    // size of scsi0 in GiB
	Format  string // of scsi0 on file storages; default raw
	// CloudInit adds a cloud-init drive as ide2 on Storage.
	CloudInit bool
	Template  bool
	Running   bool
	Pool      string
	Config    map[string]string // more configuration keys; an empty value removes one
	Guest     Guest
}

// addTemplate makes a template with what a cloud image usually has.
func (c *Cluster) addTemplate(t Template) error {
	spec := VMSpec{
		VMID: t.VMID, Node: t.Node, Name: t.Name, Storage: t.Storage, DiskGB: t.DiskGB, Format: t.Format,
		CloudInit: true, Template: true, Guest: t.Guest,
		Config: map[string]string{"agent": "1", "boot": "order=scsi0", "scsihw": "virtio-scsi-single", "serial0": "socket", "ostype": "l26", "net0": "virtio,bridge=vmbr0"},
	}
	if spec.DiskGB == 0 {
		spec.DiskGB = 2
	}
	maps.Copy(spec.Config, t.Config)
	return c.addVM(spec)
}

// AddVM adds a VM.
func (c *Cluster) AddVM(spec VMSpec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addVM(spec)
}

func (c *Cluster) addVM(spec VMSpec) error {
	if c.node(spec.Node) == nil {
		return fmt.Errorf("no node %q", spec.Node)
	}
	if c.vms[spec.VMID] != nil {
		return fmt.Errorf("VM %d exists", spec.VMID)
	}
	v := newVM(spec.VMID, spec.Node)
	v.guest = spec.Guest
	v.conf["memory"] = "512"
	v.conf["name"] = spec.Name
	c.stamp(v)
	if spec.Storage != "" {
		if err := c.addDisks(v, spec); err != nil {
			return err
		}
	}
	for _, k := range sortedKeys(spec.Config) { // in order, for the MAC addresses that a seed gives
		value := spec.Config[k]
		if value == "" {
			delete(v.conf, k)
			continue
		}
		if f, ok := configFields[k]; ok {
			normal, text := f.check(k, value, "")
			if text != "" {
				return fmt.Errorf("%s: %s", k, text)
			}
			value = normal
		}
		if isNIC(k) {
			n, err := parseNIC(k, value)
			if err != nil {
				return err
			}
			value = c.withMAC(n).String()
		}
		v.conf[k] = value
	}
	c.vms[v.id] = v
	if spec.Pool != "" {
		c.pools[spec.Pool].vms[v.id] = true
	}
	if spec.Running {
		c.boots(v)
	}
	return nil
}

// stamp gives a new VM its identities, but for those that it was given.
func (c *Cluster) stamp(v *vm) {
	if v.conf["smbios1"] == "" {
		v.conf["smbios1"] = "uuid=" + c.uuid()
	}
	if id := v.conf["vmgenid"]; id == "" || id == "1" { // 1 wants one to be made, 0 wants none
		v.conf["vmgenid"] = c.uuid()
	}
	v.conf["meta"] = "creation-qemu=10.0.13,ctime=" + strconv.FormatInt(c.cfg.Now().Unix(), 10)
}

func (c *Cluster) addDisks(v *vm, spec VMSpec) error {
	s := c.storageOn(spec.Storage, spec.Node)
	if s == nil {
		return fmt.Errorf("no storage %q on node %q", spec.Storage, spec.Node)
	}
	prefix := "vm"
	if spec.Template {
		prefix = "base"
		v.conf["template"] = "1"
	}
	disk := c.newVolume(s, v.node, volumeWant{vmid: v.id, prefix: prefix, size: int64(spec.DiskGB) << 30, format: spec.Format})
	v.conf["scsi0"] = drive{volid: disk.volid(), opts: map[string]string{"size": showSize(disk.size)}}.String()
	if spec.CloudInit {
		ci := c.newVolume(s, v.node, cloudinitVolume(s, v.id))
		v.conf["ide2"] = drive{volid: ci.volid(), opts: map[string]string{"media": "cdrom"}}.String()
	}
	return nil
}

// SetLock sets the "lock" key of a VM's configuration; "" removes it. It reports whether the VM exists.
func (c *Cluster) SetLock(vmid int, lock string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v == nil {
		return false
	}
	v.conf["lock"] = lock
	if lock == "" {
		delete(v.conf, "lock")
	}
	return true
}

// BackupSpec describes a backup to add.
type BackupSpec struct {
	VMID      int
	Node      string // where a storage that is not shared holds it
	Storage   string
	Time      time.Time // default now
	SizeBytes int64
	Protected bool
	Notes     string
}

// AddBackup adds a backup file and returns its volume ID. It can be restored if the VM exists now.
func (c *Cluster) AddBackup(b BackupSpec) (volid string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.storageOn(b.Storage, b.Node)
	if s == nil {
		return "", fmt.Errorf("no storage %q on node %q", b.Storage, b.Node)
	}
	if b.Time.IsZero() {
		b.Time = c.cfg.Now()
	}
	x := c.addBackup(s, b)
	if v := c.vms[b.VMID]; v != nil {
		x.saved = c.save(v)
	}
	return x.volid(), nil
}

func (b BackupSpec) file() string {
	return fmt.Sprintf("backup/vzdump-qemu-%d-%s.vma.zst", b.VMID, b.Time.UTC().Format("2006_01_02-15_04_05"))
}

// addBackup adds a backup file. Its name has the second in it, so two in one second get two.
func (c *Cluster) addBackup(s *storage, b BackupSpec) *volume {
	name := b.file()
	for c.volumes[s.key(b.Node, name)] != nil {
		b.Time = b.Time.Add(time.Second)
		name = b.file()
	}
	x := &volume{storage: s, node: b.Node, name: name, vmid: b.VMID, content: "backup", format: "vma.zst", size: b.SizeBytes, made: b.Time, protected: b.Protected, notes: b.Notes}
	c.volumes[s.key(b.Node, name)] = x
	return x
}

// AddSnapshot adds a snapshot of a VM as it is. It reports whether the VM exists.
func (c *Cluster) AddSnapshot(vmid int, name, description string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v == nil {
		return false
	}
	c.snapshot(v, name, description, false)
	return true
}

// SetGuest changes how the system inside a VM behaves. It reports whether the VM exists.
func (c *Cluster) SetGuest(vmid int, g Guest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v != nil {
		v.guest = g
	}
	return v != nil
}

// SetRunning starts or stops a VM without the API, like its owner or a crash would. It reports
// whether the VM exists.
func (c *Cluster) SetRunning(vmid int, running bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v == nil {
		return false
	}
	if running && !v.running {
		c.boots(v)
	}
	if !running && v.running {
		c.halts(v)
	}
	return true
}

// Move puts a VM on another node without the API, like a person or HA would. Its volumes on local
// storages move along.
func (c *Cluster) Move(vmid int, node string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v == nil || c.node(node) == nil {
		return fmt.Errorf("no VM %d or no node %q", vmid, node)
	}
	c.relocate(v, node, nil)
	return nil
}

// Remove deletes a VM, its volumes and its firewall without the API. It reports whether it existed.
func (c *Cluster) Remove(vmid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v != nil {
		c.destroy(v, true)
	}
	return v != nil
}

// SetNodeOnline takes a node down or brings it back. Calls to a node that is down get a 595. It
// reports whether the node exists.
func (c *Cluster) SetNodeOnline(name string, online bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.node(name)
	if n != nil {
		n.online = online
	}
	return n != nil
}

// SetMaintenance does what `ha-manager crm-command node-maintenance` does, but moves no machine: the node
// only says so. It reports whether the node exists.
func (c *Cluster) SetMaintenance(name string, on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.node(name)
	if n != nil {
		n.maintenance = on
	}
	return n != nil
}

// SetDown takes the whole API down: connections are dropped without an answer.
func (c *Cluster) SetDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// SetStorageFull makes a storage refuse new volumes, or accept them again. It reports whether the
// storage exists.
func (c *Cluster) SetStorageFull(name string, full bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.storage(name)
	if s != nil {
		s.full = full
	}
	return s != nil
}
