package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
)

func checkTemplates(f *facts) []Line {
	if f.resourcesErr != nil {
		return nil
	}
	if len(f.templates) == 0 {
		return []Line{problem("template", "none can be seen on a node that is online", "Make one (README.md says what it needs), and give the token VM.Audit and VM.Clone on it.")}
	}
	var lines []Line
	for _, t := range f.templates {
		lines = append(lines, f.template(t))
	}
	return lines
}

// template checks one template. Without a disk it makes no machine; the rest is what some packages want.
func (f *facts) template(t templateFacts) Line {
	name := fmt.Sprintf("%d %s on %s", t.vm.VMID, t.vm.Name, t.vm.Node)
	if t.err != nil {
		l := unseen("template", t.err)
		l.Found = name + " " + l.Found
		return l
	}
	key := t.cfg.SystemDisk()
	if key == "" {
		return problem("template", name+" has no disk to boot from",
			fmt.Sprintf("Put its disk into the boot order: qm set %d --boot order=scsi0.", t.vm.VMID))
	}
	l := ok("template", name+": "+f.systemDisk(t, key))
	for _, c := range templateChecks {
		if !c.has(t.cfg) {
			l.Result = Warning
			l.Details = append(l.Details, c.lack)
			l.Do = append(l.Do, fmt.Sprintf(c.do, t.vm.VMID))
		}
	}
	return l
}

// templateChecks are what a good template has besides its disk.
var templateChecks = []struct {
	has      func(pve.VMConfig) bool
	lack, do string
}{
	{bootsFromDisk, "its boot order names no disk: machines may not boot", "qm set %d --boot order=DISK."},
	{hasAgent, "the guest agent is off: a package that waits for it never gets its machine ready",
		"Install qemu-guest-agent in it, then: qm set %d --agent 1."},
	{hasCloudInit, "no cloud-init drive: each machine gets one made, which takes a moment more",
		"qm set %d --ide2 STORAGE:cloudinit."},
	{hasSerial, "no serial port: most cloud images write their console there, and some do not boot without",
		"qm set %d --serial0 socket --vga serial0."},
	{hasSize, "its disk's size is not in the configuration: a package that is too small is found out late",
		"qm disk rescan --vmid %d."},
}

// hasAgent reads agent, whose default key is enabled: 1, enabled=1,fstrim_cloned_disks=1 (PVE::QemuServer::Agent).
func hasAgent(c pve.VMConfig) bool {
	return slices.ContainsFunc(strings.Split(c.Values["agent"], ","), func(s string) bool {
		return slices.Contains([]string{"1", "on", "yes", "true"}, strings.TrimPrefix(s, "enabled="))
	})
}

// bootsFromDisk: without an order Proxmox takes the first disk there is.
func bootsFromDisk(c pve.VMConfig) bool {
	_, order, given := strings.Cut(c.Values["boot"], "order=")
	return !given || slices.Contains(strings.Split(order, ";"), c.SystemDisk())
}

func hasCloudInit(c pve.VMConfig) bool {
	for key := range c.Values {
		if d, err := c.Disk(key); err == nil && d.CloudInit() && d.CDROM() {
			return true
		}
	}
	return false
}

func hasSerial(c pve.VMConfig) bool {
	for i := range 4 { // PVE::QemuServer, MAX_SERIAL_PORTS
		if c.Has(fmt.Sprintf("serial%d", i)) {
			return true
		}
	}
	return false
}

func hasSize(c pve.VMConfig) bool {
	d, err := c.Disk(c.SystemDisk())
	if err != nil {
		return false
	}
	_, ok := d.Size()
	return ok
}

// systemDisk words where a template's disk is, how large it is, and where its clones can appear.
func (f *facts) systemDisk(t templateFacts, key string) string {
	disk, err := t.cfg.Disk(key)
	if err != nil {
		return key
	}
	out := key
	if size, ok := disk.Size(); ok {
		out += fmt.Sprintf(" of %.4g GiB", float64(size)/(1<<30))
	}
	out += " on " + disk.Storage()
	var nodes []string
	seen, shared := false, false
	for _, s := range f.resources.Storages {
		if s.Name != disk.Storage() {
			continue
		}
		seen, shared = true, s.Shared
		if s.Active {
			nodes = append(nodes, s.Node)
		}
	}
	switch {
	case !seen:
		return out + ", which cannot be seen"
	case !shared:
		return out + ", which is not shared: clones appear on " + t.vm.Node
	}
	slices.Sort(nodes)
	return out + ": clones appear on " + list(nodes)
}
