package pvesim

import (
	"strconv"
	"strings"
)

// enums are lists of values that are used more than once.
var enums = map[string][]string{
	"disks":    diskSlots,
	"allslots": append(append([]string{}, diskSlots...), slots("unused", 256)...),
	"keymap":   strings.Fields("de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl tr"),
	"ostypes":  strings.Fields("other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris"),
	"storages": strings.Fields("btrfs cephfs cifs dir esxi iscsi iscsidirect lvm lvmthin nfs pbs rbd zfs zfspool"),
	"ifaces":   strings.Fields("bridge bond eth alias vlan fabric OVSBridge OVSBond OVSPort OVSIntPort vnet any_bridge any_local_bridge include_sdn"),
	"loglevel": strings.Fields("emerg alert crit err warning notice info debug nolog"),
}

// diskSlots are all keys that hold a drive, in the order of Proxmox VE's error texts.
var diskSlots = append(append(append(append(append(slots("ide", 4), slots("scsi", 31)...), slots("virtio", 16)...), slots("sata", 6)...), "efidisk0"), "tpmstate0")

func slots(name string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = name + strconv.Itoa(i)
	}
	return list
}

// sharedTables are parameters that several methods take. The notation is parseSchema's.
var sharedTables = map[string]string{
	// The keys of a VM's configuration.
	"vmconfig": `
		acpi:bool affinity:string agent:agent allow-ksm:bool amd-sev:string arch:enum(x86_64,aarch64) args:string
		audio0:string autostart:bool balloon:int(0..) bios:enum(seabios,ovmf) boot:string bootdisk:bootdisk cdrom:ide
		cicustom:cicustom cipassword:string citype:enum(configdrive2,nocloud,opennebula) ciupgrade:bool ciuser:string
		cores:int(1..) cpu:cpu cpulimit:num(0..128) cpuunits:int(1..262144) description:string<8192 efidisk0:efidisk
		force:bool freeze:bool hookscript:volume-id hostpci[16]:string hotplug:hotplug hugepages:enum(any,2,1024)
		ide[4]:ide intel-tdx:string ipconfig[32]:ipconfig ivshmem:string keephugepages:bool keyboard:enum(keymap) kvm:bool
		localtime:bool lock:enum(backup,clone,create,migrate,rollback,snapshot,snapshot-delete,suspending,suspended)
		machine:string memory:memory migrate_downtime:num(0..) migrate_speed:int(0..) name:dns-name nameserver:address-list
		net[32]:net numa:bool numa[8]:string onboot:bool ostype:enum(ostypes) parallel[3]:parallel protection:bool
		reboot:bool rng0:string sata[6]:sata scsi[31]:scsi
		scsihw:enum(lsi,lsi53c810,virtio-scsi-pci,virtio-scsi-single,megasas,pvscsi) searchdomain:string serial[4]:serial
		shares:int(0..50000) smbios1:string<512 smp:int(1..) sockets:int(1..) spice_enhancements:string sshkeys:urlencoded
		startdate:startdate startup:startup tablet:bool tags:tag-list tdf:bool template:bool tpmstate0:tpmstate
		unused[256]:unused usb[14]:string vcpus:int(1..) vga:vga virtio[16]:virtio virtiofs[10]:string vmgenid:uuid
		vmstatestorage:storage-id watchdog:string`,
	// What changes a configuration.
	"vmupdate": `delete:configid-list digest:string<40 revert:configid-list skiplock:bool`,
	"fwrule": `
		comment:string dest:fw-address<512 digest:string<64 dport:fw-port enable:int(0..) icmp-type:string iface:fw-iface<20
		log:enum(loglevel) macro:string<128 proto:fw-protocol source:fw-address<512 sport:fw-port`,
	"fwoptions": `
		dhcp:bool enable:bool ipfilter:bool log_level_in:enum(loglevel) log_level_out:enum(loglevel) macfilter:bool
		ndp:bool policy_in:enum(ACCEPT,REJECT,DROP) policy_out:enum(ACCEPT,REJECT,DROP) radv:bool`,
	"user": `
		comment:string<2048 email:string<254 enable:bool expire:int(0..) firstname:string<1024 groups:string keys:string
		lastname:string<1024`,
	"pool": `comment:string allow-move:bool delete:bool storage:storage-list vms:vmid-list`,
}

// configFields are the keys of a VM's configuration.
var configFields schema

// pathFields are the parameters in paths that are checked.
var pathFields schema
