package pvesim

import (
	"maps"
	"strings"
	"time"
)

// cloning is one clone call under way.
type cloning struct {
	q       *call
	src     *vm
	conf    map[string]string // of the source or its snapshot
	newid   int
	full    bool
	storage string // "" keeps each volume's own
	format  string
	target  string
	log     func(string, ...any)

	dst     *vm               // as it comes into being
	volumes []*volume         // made so far
	disks   map[string]string // slots of dst, set when they are copied
}

func (q *call) clone() (any, error) {
	if err := q.c.quorum(); err != nil {
		return nil, err
	}
	cl, err := q.newCloning()
	if err != nil {
		return nil, err
	}
	if err := cl.check(); err != nil {
		return nil, err
	}
	return q.fork("qmclone", q.vars["vmid"], cl.job), nil
}

func (q *call) newCloning() (*cloning, error) {
	if p := q.p["pool"]; p != "" && q.c.pools[p] == nil {
		return nil, denied("pool '" + p + "' does not exist")
	}
	c := q.c
	src := c.vms[q.vmid()]
	if t := q.p["target"]; t != "" && c.node(t) == nil {
		return nil, fail("no such cluster node '%s'", t)
	}
	if src == nil || src.node != q.node {
		return nil, fail("unable to find configuration file for VM %d on node '%s'", q.vmid(), q.node)
	}
	cl := &cloning{q: q, src: src, conf: src.conf, newid: q.p.int("newid", 0), storage: q.p["storage"], format: q.p["format"], target: q.p.str("target", q.node)}
	cl.full = !src.template()
	if q.p.has("full") {
		cl.full = q.p.bool("full")
	}
	if name := q.p["snapname"]; name != "" && name != "current" {
		s := src.snapshotNamed(name)
		if s == nil {
			return nil, fail("snapshot '%s' does not exist", name)
		}
		cl.conf = s.conf
	}
	return cl, nil
}

// check does what the real call does before it forks.
func (cl *cloning) check() error {
	q, c := cl.q, cl.q.c
	if err := cl.checkStorage(); err != nil {
		return err
	}
	if err := cl.src.unlocked(false); err != nil {
		return err
	}
	if !cl.full {
		for _, name := range []string{"storage", "format"} {
			if q.p.has(name) {
				return fail("parameter '%s' not allowed for linked clones", name)
			}
		}
	}
	for _, k := range drives(cl.conf) {
		if err := cl.checkDrive(k, mustDrive(k, cl.conf[k])); err != nil {
			return err
		}
	}
	for _, k := range sortedKeys(cl.conf) {
		if isNIC(k) {
			n, _ := parseNIC(k, cl.conf[k])
			if err := q.needBridge(n); err != nil {
				return err
			}
		}
	}
	if v := c.vms[cl.newid]; v != nil && v.node == cl.src.node {
		return fail("unable to create VM %d: config file already exists", cl.newid)
	}
	return nil
}

func (cl *cloning) checkStorage() error {
	if cl.storage == "" {
		return nil
	}
	s, err := cl.q.c.usable(cl.storage, cl.q.node)
	if err != nil {
		return err
	}
	if cl.target != cl.q.node {
		if _, err := cl.q.c.usable(cl.storage, cl.target); err != nil {
			return err
		}
		if !s.Shared {
			return fail("can't clone to non-shared storage '%s'", cl.storage)
		}
	}
	if !contains(s.Content, "images") {
		return badParam("storage", "storage '%s' does not support vm images", cl.storage)
	}
	return cl.q.need("/storage/"+cl.storage, "Datastore.AllocateSpace")
}

func (cl *cloning) checkDrive(k string, d drive) error {
	s := cl.q.c.storage(d.storage())
	if s == nil || d.cdrom() && !d.cloudinit() {
		return nil
	}
	if cl.target != cl.q.node && !s.Shared {
		return fail("can't clone VM to node '%s' (VM uses local storage)", cl.target)
	}
	if cl.storage == "" {
		if err := cl.q.need("/storage/"+s.Name, "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	if cl.full || d.cloudinit() {
		return nil
	}
	vol := cl.q.c.volume(d.volid, cl.q.node)
	if vol == nil || !strings.Contains(vol.name, "base-") {
		return fail("Linked clone feature is not supported for '%s' (%s)", d.volid, k)
	}
	return nil
}

// job is the work of the clone task: temporary configuration, then the whole configuration without
// disks, then the copied disks.
func (cl *cloning) job(t *task) *job {
	cl.log = t.log
	takes := cl.q.c.cfg.Durations.Clone
	first := min(takes/4, 500*time.Millisecond)
	source := lockVMFor(cl.src.id, cloneLockTimeout)
	source.shared = !cl.src.running
	steps := once(0, cl.begin)
	steps = append(steps, cl.q.c.allocating(cl.q.node, "clone failed: ", cl.targets())...)
	steps = append(steps, once(first, cl.describe)...)
	return &job{
		locks: []lockWant{source, lockVMFor(cl.newid, cloneLockTimeout)},
		steps: append(steps, once(takes-first, cl.finish)...),
		undo:  cl.undo,
	}
}

// targets are the storages in which volumes will be made, one for each drive.
func (cl *cloning) targets() []*storage {
	var list []*storage
	for _, k := range drives(cl.conf) {
		d := mustDrive(k, cl.conf[k])
		name := cl.storage
		if name == "" {
			name = d.storage()
		}
		if s := cl.q.c.storage(name); s != nil && (!d.cdrom() || d.cloudinit()) {
			list = append(list, s)
		}
	}
	return list
}

func (cl *cloning) begin() error {
	c := cl.q.c
	cl.log("creating a clone of VM %d with ID %d", cl.src.id, cl.newid)
	if v := c.vms[cl.newid]; v != nil {
		if v.node == cl.src.node {
			return fail("unable to create VM %d: config file already exists", cl.newid)
		}
		return fail("close (rename) atomic file '/etc/pve/nodes/%s/qemu-server/%d.conf' failed: File exists", cl.q.node, cl.newid)
	}
	cl.dst = newVM(cl.newid, cl.q.node)
	cl.dst.guest = cl.src.guest
	cl.dst.conf["description"], cl.dst.conf["lock"] = " qmclone temporary file", "clone"
	c.vms[cl.newid] = cl.dst
	c.joinPool(cl.q.p["pool"], cl.newid)
	return nil
}

// notCopied are keys that a clone does not inherit.
var notCopied = strings.Fields("template lock parent snaptime vmstate smbios1 vmgenid description name")

// describe writes the whole configuration and starts to copy the disks.
func (cl *cloning) describe() error {
	c, p := cl.q.c, cl.q.p
	conf := map[string]string{"lock": "clone"}
	for _, k := range sortedKeys(cl.conf) { // in order, for the MAC addresses that a seed gives
		value := cl.conf[k]
		switch {
		case contains(notCopied, k) || isUnused(k) || isDrive(k):
		case isNIC(k):
			n, _ := parseNIC(k, value)
			n.mac = c.mac()
			conf[k] = n.String()
		default:
			conf[k] = value
		}
	}
	conf["smbios1"], conf["vmgenid"] = withUUID(cl.conf["smbios1"], c.uuid()), c.uuid()
	conf["name"] = p.str("name", "Copy-of-VM-"+cl.src.name())
	if d := p.str("description", cl.conf["description"]); d != "" {
		conf["description"] = d
	}
	cl.dst.conf = conf
	if f := c.firewalls[cl.src.id]; f != nil {
		c.firewalls[cl.newid] = f.copy()
	}
	return cl.copyDisks()
}

// withUUID is a VM's SMBIOS with another UUID.
func withUUID(smbios, uuid string) string {
	parts := []string{"uuid=" + uuid}
	for _, part := range strings.Split(smbios, ",") {
		if part != "" && !strings.HasPrefix(part, "uuid=") {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

func (cl *cloning) finish() error {
	for _, vol := range cl.volumes {
		if cl.full && !strings.Contains(vol.name, "cloudinit") {
			cl.log("transferred %s of %s (100.00%%)", gib(vol.size), gib(vol.size))
			cl.log("transferred %s of %s (100.00%%)", gib(vol.size), gib(vol.size))
		}
	}
	maps.Copy(cl.dst.conf, cl.disks)
	delete(cl.dst.conf, "lock")
	if cl.target != cl.q.node {
		cl.q.c.relocate(cl.dst, cl.target, nil)
	}
	return nil
}

// undo removes what a clone that failed has made.
func (cl *cloning) undo() {
	if cl.dst == nil {
		return
	}
	c := cl.q.c
	for _, vol := range cl.volumes {
		c.free(vol)
	}
	delete(c.vms, cl.newid)
	delete(c.firewalls, cl.newid)
	c.leavePools(cl.newid)
}
