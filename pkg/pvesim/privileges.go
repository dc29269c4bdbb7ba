package pvesim

import (
	"slices"
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

func privilegesWithout(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(allPrivileges), func(priv string) bool { return contains(names, priv) })
}

// builtinRoles exist from the start.
var builtinRoles = map[string][]string{
	"Administrator":     allPrivileges,
	"NoAccess":          nil,
	"PVEAdmin":          privilegesWithout("Mapping.Modify", "Permissions.Modify", "Realm.Allocate", "Sys.AccessNetwork", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"),
	"PVEAuditor":        strings.Fields("Datastore.Audit Mapping.Audit Pool.Audit SDN.Audit Sys.Audit VM.Audit VM.GuestAgent.Audit"),
	"PVEDatastoreAdmin": privilegesWith("Datastore."),
	"PVEDatastoreUser":  strings.Fields("Datastore.AllocateSpace Datastore.Audit"),
	"PVEMappingAdmin":   privilegesWith("Mapping."),
	"PVEMappingUser":    strings.Fields("Mapping.Audit Mapping.Use"),
	"PVEPoolAdmin":      privilegesWith("Pool."),
	"PVEPoolUser":       strings.Fields("Pool.Audit"),
	"PVESDNAdmin":       privilegesWith("SDN."),
	"PVESDNUser":        strings.Fields("SDN.Audit SDN.Use"),
	"PVESysAdmin":       strings.Fields("Sys.Audit Sys.Console Sys.Syslog"),
	"PVETemplateUser":   strings.Fields("VM.Audit VM.Clone"),
	"PVEUserAdmin":      strings.Fields("Group.Allocate Realm.AllocateUser User.Modify"),
	"PVEVMAdmin":        privilegesWith("VM."),
	"PVEVMUser": strings.Fields(`VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.GuestAgent.Audit
		VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt VM.GuestAgent.FileWrite VM.PowerMgmt`),
}

// privilegeOf says which privilege changes which configuration key; keys by name, or by the kind of
// slot. Anything else needs VM.Config.Options.
var privilegeOf = map[string]string{}

func init() {
	for priv, keys := range map[string]string{
		"VM.Config.CPU":       "cores sockets cpu cpulimit cpuunits vcpus numa smp",
		"VM.Config.Memory":    "memory balloon shares allow-ksm",
		"VM.Config.HWType":    "kvm machine scsihw vga watchdog acpi audio rng serial usb hostpci virtiofs tablet hotplug smbios",
		"VM.Config.Network":   "net",
		"VM.Config.Disk":      "scsi virtio sata ide efidisk tpmstate unused boot bootdisk vmstatestorage",
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
		if err := u.rootOnly(k); err != nil {
			return err
		}
		if pool := u.q.p["pool"]; u.creates() && pool != "" && u.q.may("/pool/"+pool, u.privilege(k)) {
			continue
		}
		if err := u.q.need(path, u.privilege(k)); err != nil {
			return err
		}
		if k == "startup" { // it changes what the host does
			if err := u.q.need("/", "Sys.Modify"); err != nil {
				return err
			}
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

// rootKeys are the keys that only root@pam itself changes, not even by a token.
var rootKeys = strings.Fields("affinity amd-sev args arch hookscript hugepages intel-tdx ivshmem keephugepages lock parallel")

// rootOnly is the error for a key, or a device of the host, that is only for root@pam.
func (u *update) rootOnly(k string) error {
	value, set := u.set[k]
	kind := slotKind(k)
	switch {
	case u.q.who.isRoot():
		return nil
	case contains(rootKeys, k) || kind == "parallel":
		return fail("only root can set '%s' config", k)
	case !set:
		return nil
	case kind == "serial" && value != "socket", kind == "usb" && !strings.Contains(value, "spice") && !strings.Contains(value, "mapping="):
		return fail("only root can set '%s' config for real devices", k)
	case kind == "hostpci" && !strings.Contains(value, "mapping="):
		return fail("only root can set '%s' config for non-mapped devices", k)
	}
	return nil
}

// creates reports whether the change is a new VM.
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
