package pvesim

import (
	"fmt"
	"strings"
)

func (s *storage) figures(c *Cluster, node string) object {
	total := int64(s.TotalGB) << 30
	used := min(c.used(s, node), total)
	return object{
		"active": 1, "enabled": flag(!s.Disabled), "shared": flag(s.Shared), "type": s.Type,
		"content": strings.Join(s.Content, ","), "total": total, "used": used, "avail": total - used,
	}
}

// flag is a boolean as the API shows it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (q *call) storageList() (any, error) {
	out := []any{}
	for _, s := range q.c.storages {
		if s.Disabled || !s.on(q.node) || !q.mayStore(s.Name) {
			continue
		}
		if v := q.p["storage"]; v != "" && v != s.Name {
			continue
		}
		if v := q.p["content"]; v != "" && !overlap(listOf(v), s.Content) {
			continue
		}
		o := s.figures(q.c, q.node)
		o["storage"] = s.Name
		o["used_fraction"] = float64(o["used"].(int64)) / float64(o["total"].(int64))
		out = append(out, o)
	}
	return out, nil
}

// mayStore reports whether the caller may see a storage.
func (q *call) mayStore(name string) bool {
	return q.may("/storage/"+name, "Datastore.Audit|Datastore.AllocateSpace")
}

func overlap(a, b []string) bool {
	for _, x := range a {
		if contains(b, x) {
			return true
		}
	}
	return false
}

func (q *call) storageStatus() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	return s.figures(q.c, q.node), nil
}

func (q *call) contentList() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range q.c.sortedVolumes(s, q.node) {
		if want := q.p["content"]; want != "" && want != v.content {
			continue
		}
		if id := q.p.int("vmid", 0); id != 0 && id != v.vmid {
			continue
		}
		if q.mayVolume(v) != nil {
			continue
		}
		out = append(out, v.show())
	}
	return out, nil
}

func (v *volume) show() object {
	o := object{"volid": v.volid(), "content": v.content, "format": v.format, "size": v.size, "ctime": v.made.Unix()}
	if _, isFile := fileKinds[v.content]; isFile {
		return o
	}
	o["vmid"] = v.vmid
	if v.content == "backup" {
		o["subtype"] = "qemu"
		if v.notes != "" {
			o["notes"] = v.notes
		}
		if v.protected {
			o["protected"] = 1
		}
		return o
	}
	o["used"], o["parent"] = v.size, nil
	if v.base != "" {
		o["parent"] = "../" + v.base
	}
	return o
}

// mayVolume checks the rights on a volume: for backups a right on the VM too.
func (q *call) mayVolume(v *volume) error {
	if q.may("/storage/"+v.storage.Name, "Datastore.Allocate") {
		return nil
	}
	if _, isFile := fileKinds[v.content]; isFile {
		return q.need("/storage/"+v.storage.Name, "Datastore.AllocateSpace|Datastore.Audit")
	}
	if v.content == "backup" {
		if err := q.need("/storage/"+v.storage.Name, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		return q.need(fmt.Sprintf("/vms/%d", v.vmid), "VM.Backup")
	}
	if q.may(fmt.Sprintf("/vms/%d", v.vmid), "VM.Config.Disk") {
		return nil
	}
	return q.need("/storage/"+v.storage.Name, "Datastore.Audit")
}

// volumeOf finds the storage and volume ID that a content call names. v is nil when the volume does
// not exist.
func (q *call) volumeOf() (s *storage, volid string, v *volume, err error) {
	s, err = q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, "", nil, err
	}
	volid = q.vars["volume"]
	if !strings.Contains(volid, ":") {
		volid = s.Name + ":" + volid
	}
	if !strings.HasPrefix(volid, s.Name+":") {
		return nil, "", nil, badParam("volume", "unable to parse volume ID '%s'", volid)
	}
	return s, volid, q.c.volume(volid, q.node), nil
}

// ghost is a volume that is not there, so that rights on it can be checked and its removal logged.
// Where its name tells no VM, it belongs to VM 0.
func ghost(s *storage, node, volid string) *volume {
	v := &volume{storage: s, node: node, name: strings.TrimPrefix(volid, s.Name+":"), content: "images"}
	kind, _, _ := strings.Cut(v.name, "/")
	if _, isFile := fileKinds[kind]; isFile {
		v.content = kind
	} else if strings.HasPrefix(v.name, "backup/") {
		v.content = "backup"
		_, _ = fmt.Sscanf(v.name, "backup/vzdump-qemu-%d-", &v.vmid)
	} else {
		_, _ = fmt.Sscanf(v.name, "%d/", &v.vmid)
	}
	return v
}

func (q *call) contentShow() (any, error) {
	s, volid, v, err := q.volumeOf()
	if err != nil {
		return nil, err
	}
	if v == nil {
		if err := q.mayVolume(ghost(s, q.node, volid)); err != nil {
			return nil, err
		}
		return nil, fail("volume_size_info on '%s' failed - no format", volid)
	}
	if err := q.mayVolume(v); err != nil {
		return nil, err
	}
	o := object{"path": v.file(), "size": v.size, "used": v.size, "format": v.format}
	if v.content == "backup" {
		o["protected"], o["notes"] = flag(v.protected), v.notes
	}
	return o, nil
}

func (q *call) contentUpdate() (any, error) {
	s, volid, v, err := q.volumeOf()
	if err != nil {
		return nil, err
	}
	if v == nil {
		v = ghost(s, q.node, volid)
	}
	if err := q.mayVolume(v); err != nil {
		return nil, err
	}
	if q.c.volume(volid, q.node) == nil {
		return nil, fail("disk image '%s' does not exist", v.file())
	}
	if q.p.has("notes") {
		v.notes = q.p["notes"]
	}
	if q.p.has("protected") {
		v.protected = q.p.bool("protected")
	}
	return nil, nil
}

func (q *call) contentDelete() (any, error) {
	s, volid, v, err := q.volumeOf()
	if err != nil {
		return nil, err
	}
	gone := v == nil
	if gone {
		v = ghost(s, q.node, volid)
	}
	if err := q.mayVolume(v); err != nil {
		return nil, err
	}
	if v.protected {
		return nil, fail("cannot remove protected volume '%s' on '%s'", v.name, s.Name)
	}
	id := fmt.Sprintf("%d@%s", v.vmid, s.Name)
	if _, isFile := fileKinds[v.content]; isFile {
		id = s.Name
		if err := q.need("/storage/"+s.Name, "Datastore.Allocate"); err != nil {
			return nil, err
		}
	}
	return q.fork("imgdel", id, func(t *task) *job {
		return &job{steps: once(q.c.cfg.Durations.DeleteVolume, func() error {
			switch {
			case q.c.volume(volid, q.node) == nil:
				t.log("disk image '%s' does not exist", v.file())
			case v.content == "images" && q.c.hasClones(v):
				return fail("base volume '%s' is still in use by linked clones", v.name)
			default:
				q.c.free(v)
			}
			t.log("Removed volume '%s'", volid)
			return nil
		})}
	}), nil
}

// contentCreate allocates an image by name.
func (q *call) contentCreate() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	size := parseSize(q.p["size"])
	if !strings.ContainsAny(q.p["size"], "MG") {
		size <<= 10 // without a unit the size is in KiB
	}
	name := q.p["filename"]
	if s.files() {
		name = q.p["vmid"] + "/" + name
	}
	if q.c.volumes[s.key(q.node, name)] != nil {
		return nil, fail("disk image '%s/images/%s' already exists", s.path, name)
	}
	if err := q.room(s, q.node, name, size); err != nil {
		return nil, err
	}
	v := &volume{storage: s, node: q.node, name: name, vmid: q.p.int("vmid", 0), content: "images", format: q.p.str("format", "raw"), size: size, made: q.c.cfg.Now()}
	q.c.volumes[s.key(q.node, name)] = v
	return v.volid(), nil
}

// room checks that a volume of this call fits.
func (q *call) room(s *storage, node, name string, size int64) error {
	return q.c.room(s, node, name, size, q.fault.is(StorageFull) && (q.fault.Storage == "" || q.fault.Storage == s.Name))
}
