package pvesim

import (
	"strings"
)

// allPrivileges are those of Proxmox VE 9.
var allPrivileges = strings.Fields(`Datastore.Allocate Datastore.AllocateSpace Datastore.AllocateTemplate Datastore.Audit
	Group.Allocate Mapping.Audit Mapping.Modify Mapping.Use Permissions.Modify Pool.Allocate Pool.Audit Realm.Allocate Realm.AllocateUser
	SDN.Allocate SDN.Audit SDN.Use Sys.AccessNetwork Sys.Audit Sys.Console Sys.Incoming Sys.Modify Sys.PowerMgmt Sys.Syslog User.Modify
	VM.Allocate VM.Audit VM.Backup VM.Clone VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType
	VM.Config.Memory VM.Config.Network VM.Config.Options VM.Console VM.GuestAgent.Audit VM.GuestAgent.FileRead
	VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.GuestAgent.Unrestricted VM.Migrate VM.PowerMgmt VM.Replicate VM.Snapshot
	VM.Snapshot.Rollback`)

func privilegesWith(prefix string) []string {
	var list []string
	for _, p := range allPrivileges {
		if strings.HasPrefix(p, prefix) {
			list = append(list, p)
		}
	}
	return list
}

// builtinRoles exist from the start.
var builtinRoles = map[string][]string{
	"Administrator":     allPrivileges,
	"NoAccess":          nil,
	"PVEAuditor":        strings.Fields("Datastore.Audit Mapping.Audit Pool.Audit SDN.Audit Sys.Audit VM.Audit VM.GuestAgent.Audit"),
	"PVEDatastoreAdmin": privilegesWith("Datastore."),
	"PVEDatastoreUser":  strings.Fields("Datastore.AllocateSpace Datastore.Audit"),
	"PVEPoolAdmin":      privilegesWith("Pool."),
	"PVEPoolUser":       strings.Fields("Pool.Audit"),
	"PVESDNAdmin":       privilegesWith("SDN."),
	"PVESDNUser":        strings.Fields("SDN.Audit SDN.Use"),
	"PVEVMAdmin":        privilegesWith("VM."),
	"PVEVMUser": strings.Fields(`VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit
		VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.PowerMgmt`),
}

// privilegeOf says which privilege changes which configuration key; keys by name, or by the kind of
// slot. Anything else needs VM.Config.Options.
var privilegeOf = map[string]string{}

func init() {
	for priv, keys := range map[string]string{
		"VM.Config.CPU":       "cores sockets cpu cpulimit cpuunits vcpus numa affinity smp allow-ksm",
		"VM.Config.Memory":    "memory balloon shares hugepages keephugepages",
		"VM.Config.HWType":    "kvm machine scsihw vga bios watchdog acpi args audio rng arch parallel serial usb hostpci virtiofs tablet keyboard localtime",
		"VM.Config.Network":   "net",
		"VM.Config.Disk":      "scsi virtio sata ide efidisk tpmstate unused",
		"VM.Config.Cloudinit": "cicustom cipassword citype ciupgrade ciuser ipconfig nameserver searchdomain sshkeys",
		"VM.Config.CDROM":     "cdrom",
	} {
		for _, k := range strings.Fields(keys) {
			privilegeOf[k] = priv
		}
	}
}

// checkRights checks the privileges for each key of a change.
func (u *update) checkRights(v *vm) error {
	path := "/vms/" + itoa(v.id)
	keys := u.touched()
	for _, k := range u.revert {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		if u.creates() {
			break
		}
		if err := u.q.need(path, u.privilege(k)); err != nil {
			return err
		}
	}
	for _, k := range sortedKeys(u.drives) {
		d := u.drives[k]
		_, _, fresh := d.wanted()
		if fresh || d.cloudinit() && v.conf[k] == "" {
			if err := u.q.need("/storage/"+d.storage(), "Datastore.AllocateSpace"); err != nil && u.q.c.storage(d.storage()) != nil {
				return err
			}
		}
	}
	return u.checkBridges(v)
}

// creates reports whether the change is a new VM; its right is VM.Allocate.
func (u *update) creates() bool { return u.q.c.vms[u.q.vmid()] == nil }

func (u *update) privilege(k string) string {
	if isCloudinit(k) {
		return "VM.Config.Cloudinit|VM.Config.Network"
	}
	if d, ok := u.drives[k]; ok && d.cdrom() && !d.cloudinit() {
		return "VM.Config.CDROM"
	}
	if p, ok := privilegeOf[k]; ok {
		return p
	}
	if p, ok := privilegeOf[slotKind(k)]; ok && k != slotKind(k) {
		return p
	}
	return "VM.Config.Options"
}

// checkBridges checks the right to use the bridges of new and of changed cards.
func (u *update) checkBridges(v *vm) error {
	for _, k := range sortedKeys(u.touched()) {
		if !isNIC(k) {
			continue
		}
		for _, value := range []string{u.set[k], v.conf[k]} {
			if value == "" {
				continue
			}
			n, err := parseNIC(k, value)
			if err != nil {
				continue
			}
			if err := u.q.needBridge(n); err != nil {
				return err
			}
		}
	}
	return nil
}
