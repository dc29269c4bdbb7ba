package pvesim

import (
	"fmt"
	"strings"
)

func (cl *cloning) copyDisks() error {
	cl.disks = map[string]string{}
	keys := drives(cl.conf)
	for _, cloudinit := range []bool{true, false} { // the small drive first, as recorded
		for _, k := range keys {
			d := mustDrive(k, cl.conf[k])
			if d.cloudinit() != cloudinit {
				continue
			}
			if d.cdrom() && !d.cloudinit() {
				cl.disks[k] = cl.conf[k]
				continue
			}
			copied, err := cl.copyDrive(k, d)
			if err != nil {
				return fail("clone failed: %s", err)
			}
			cl.disks[k] = copied.String()
			if cloudinit {
				cl.dst.conf[k] = copied.String()
			}
		}
	}
	return nil
}

// copyDrive makes the target volume of a drive.
func (cl *cloning) copyDrive(k string, d drive) (drive, error) {
	q, c := cl.q, cl.q.c
	src := c.volume(d.volid, q.node)
	if src == nil {
		return d, fail("volume '%s' does not exist", d.volid)
	}
	s := src.storage
	if cl.storage != "" {
		var err error
		if s, err = c.usable(cl.storage, q.node); err != nil {
			return d, err // it went away meanwhile
		}
	}
	if d.cloudinit() {
		cl.log("create full clone of drive %s (%s)", k, d.volid)
		w := cloudinitVolume(s, cl.newid)
		if cl.format != "" && s.files() && s.Preallocation == "full" {
			w.format = cl.format
		}
		vol, err := q.allocate(s, q.node, w, cl.log)
		if err != nil {
			return d, err
		}
		cl.keep(vol)
		return drive{vol.volid(), withOption(withOption(d.opts, "media", "cdrom"), "size", showSize(vol.size))}, nil
	}
	if !cl.full {
		return cl.linkDrive(k, d, src)
	}
	cl.log("create full clone of drive %s (%s)", k, d.volid)
	format := cl.format
	if format == "" {
		format = src.format
	}
	vol, err := q.allocate(s, q.node, volumeWant{vmid: cl.newid, prefix: "vm", size: src.size, format: format}, cl.log)
	if err != nil {
		return d, err
	}
	cl.keep(vol)
	cl.log("transferred 0.0 B of %s (0.00%%)", gib(vol.size))
	return drive{vol.volid(), withOption(d.opts, "size", showSize(vol.size))}, nil
}

func (cl *cloning) linkDrive(k string, d drive, src *volume) (drive, error) {
	cl.log("create linked clone of drive %s (%s)", k, d.volid)
	w := volumeWant{vmid: cl.newid, prefix: "vm", size: src.size, format: "raw", base: src}
	if src.storage.files() {
		w.format = "qcow2"
	}
	vol := cl.q.c.newVolume(src.storage, cl.q.node, w)
	cl.volumes = append(cl.volumes, vol)
	if src.storage.files() {
		file := strings.TrimPrefix(vol.name, fmt.Sprintf("%d/", cl.newid))
		cl.log("clone %s: images, %s, %d to %s (base=../%s)", src.name, file, cl.newid, file, src.name)
		cl.log("Formatting '%s', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=off compression_type=zlib size=%d backing_file=../%s backing_fmt=%s lazy_refcounts=off refcount_bits=16", vol.file(), vol.size, src.name, src.format)
	}
	return drive{vol.volid(), withOption(d.opts, "size", showSize(vol.size))}, nil
}

// keep notes a volume that was made.
func (cl *cloning) keep(vol *volume) {
	cl.volumes = append(cl.volumes, vol)
	cl.log("allocated target volume '%s'", vol.volid())
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
