package pvesim

import (
	"maps"
	"strings"
)

// liveKeys can be changed while a VM runs.
var liveKeys = strings.Fields("lock name description tags onboot protection startup hookscript cpulimit cpuunits shares vmstatestorage template parent digest")

// cloudinitKeys go into the configuration at once; the drive keeps the old values until it is made anew.
var cloudinitKeys = strings.Fields("cicustom cipassword citype ciupgrade ciuser nameserver searchdomain sshkeys")

func isCloudinit(k string) bool {
	return contains(cloudinitKeys, k) || slotKind(k) == "ipconfig"
}

// throttles are the disk options that change live.
var throttles = strings.Fields("bps bps_rd bps_wr bps_max_length bps_rd_max_length bps_wr_max_length iops iops_rd iops_wr iops_max iops_rd_max iops_wr_max iops_max_length iops_rd_max_length iops_wr_max_length mbps mbps_rd mbps_wr mbps_max mbps_rd_max mbps_wr_max backup replicate size")

// hotplug applies the pending changes that a running VM takes. What it does not take stays pending.
func (c *Cluster) hotplug(v *vm, touched map[string]bool) error {
	errs := map[string]string{}
	for _, k := range sortedKeys(v.pendingDelete) {
		if !c.unplugs(v, k) {
			continue
		}
		if err := c.commitDelete(v, k); err != nil && touched[k] {
			errs[k] = "hotplug problem - " + err.Error() + "\n"
		}
	}
	for _, k := range sortedKeys(v.pending) {
		took, err := c.plugs(v, k)
		if err != "" && touched[k] {
			errs[k] = "hotplug problem - " + err + "\n"
		}
		if took {
			c.commit(v, k)
		}
	}
	if len(errs) > 0 {
		return badParams(errs)
	}
	return nil
}

// can reports whether a kind of hotplug is on.
func (v *vm) can(what string) bool {
	set, ok := v.conf["hotplug"]
	if !ok || set == "1" {
		set = "network,disk,usb"
	}
	return contains(listOf(set), what)
}

// unplugs reports whether a running VM lets a key go.
func (c *Cluster) unplugs(v *vm, k string) bool {
	switch {
	case contains(liveKeys, k) || isCloudinit(k):
		return true
	case isNIC(k):
		return v.can("network")
	case isDrive(k):
		kind := slotKind(k)
		return v.can("disk") && (kind == "scsi" || kind == "virtio")
	}
	return false
}

// plugs reports whether a running VM takes a pending value, or why it fails.
func (c *Cluster) plugs(v *vm, k string) (took bool, problem string) {
	switch {
	case contains(liveKeys, k) || isCloudinit(k):
		return true, ""
	case isNIC(k):
		return c.plugsNIC(v, k)
	case isDrive(k):
		return c.plugsDrive(v, k)
	case k == "vcpus":
		return v.can("cpu"), ""
	case k == "memory":
		return v.can("memory") && v.conf["numa"] == "1", ""
	}
	return false, ""
}

func (c *Cluster) plugsNIC(v *vm, k string) (bool, string) {
	if !v.can("network") {
		return false, ""
	}
	n, err := parseNIC(k, v.pending[k])
	if err != nil {
		return false, err.Error()
	}
	if b := n.opts["bridge"]; b != "" && !contains(c.node(v.node).Bridges, b) {
		return false, "bridge '" + b + "' does not exist"
	}
	return true, ""
}

func (c *Cluster) plugsDrive(v *vm, k string) (bool, string) {
	d := mustDrive(k, v.pending[k])
	for name, value := range d.opts {
		if contains(throttles, name) && strings.HasPrefix(value, "-") {
			return false, "VM " + itoa(v.id) + " qmp command 'qom-set' failed - bps/iops/max values must be within [0, 1000000000000000]"
		}
	}
	old, had := v.conf[k]
	if had {
		o := mustDrive(k, old)
		if d.cdrom() && o.cdrom() {
			return true, ""
		}
		return o.volid == d.volid && maps.Equal(fixedOptions(o), fixedOptions(d)), ""
	}
	kind := slotKind(k)
	return v.can("disk") && (kind == "scsi" || kind == "virtio"), ""
}

// fixedOptions are the options that cannot change while the VM runs.
func fixedOptions(d drive) map[string]string {
	m := maps.Clone(d.opts)
	for _, name := range throttles {
		delete(m, name)
	}
	return m
}
