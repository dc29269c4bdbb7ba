package pvesim

import (
	"strconv"
	"strings"
)

// enums are lists of values that are used more than once.
var enums = map[string][]string{
	"disks":     diskSlots,
	"allslots":  append(append([]string{}, diskSlots...), slots("unused", 256)...),
	"keymap":    strings.Fields("de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl tr"),
	"ostypes":   strings.Fields("other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris"),
	"storages":  strings.Fields("btrfs cephfs cifs dir esxi iscsi iscsidirect lvm lvmthin nfs pbs rbd zfs zfspool"),
	"ifaces":    strings.Fields("bridge bond eth alias vlan fabric OVSBridge OVSBond OVSPort OVSIntPort vnet any_bridge any_local_bridge include_sdn"),
	"languages": strings.Fields("ar ca da de en es eu fa fr hr he it ja ka kr nb nl nn pl pt_BR ru sl sv tr ukr zh_CN zh_TW"),
	"agentcommands": strings.Fields(`fsfreeze-freeze fsfreeze-status fsfreeze-thaw fstrim get-fsinfo get-host-name get-memory-block-info
		get-memory-blocks get-osinfo get-time get-timezone get-users get-vcpus info network-get-interfaces ping shutdown suspend-disk
		suspend-hybrid suspend-ram`),
	"nodesettings": strings.Fields(`acme acmedomain0 acmedomain1 acmedomain2 acmedomain3 acmedomain4 acmedomain5 ballooning-target description
		startall-onboot-delay wakeonlan`),
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
		audio0:audio autostart:bool balloon:int(0..) bios:enum(seabios,ovmf) boot:boot bootdisk:bootdisk cdrom:ide
		cicustom:cicustom cipassword:string citype:enum(configdrive2,nocloud,opennebula) ciupgrade:bool ciuser:string
		cores:int(1..) cpu:cpu cpulimit:num(0..128) cpuunits:int(1..262144) description:string<8192 efidisk0:efidisk
		force:bool freeze:bool hookscript:volume-id hostpci[16]:string hotplug:hotplug hugepages:enum(any,2,1024)
		ide[4]:ide intel-tdx:string ipconfig[32]:ipconfig ivshmem:ivshmem keephugepages:bool keyboard:enum(keymap) kvm:bool
		localtime:bool lock:enum(backup,clone,create,migrate,rollback,snapshot,snapshot-delete,suspending,suspended)
		machine:machine memory:memory migrate_downtime:num(0..) migrate_speed:int(0..) name:dns-name nameserver:address-list
		net[32]:net numa:bool numa[8]:numa onboot:bool ostype:enum(ostypes) parallel[3]:parallel protection:bool
		reboot:bool rng0:string sata[6]:sata scsi[31]:scsi
		scsihw:enum(lsi,lsi53c810,virtio-scsi-pci,virtio-scsi-single,megasas,pvscsi) searchdomain:string serial[4]:serial
		shares:int(0..50000) smbios1:string<512 smp:int(1..) sockets:int(1..) spice_enhancements:spice sshkeys:urlencoded
		startdate:startdate startup:startup tablet:bool tags:tag-list tdf:bool template:bool tpmstate0:tpmstate
		unused[256]:unused usb[14]:usb vcpus:int(1..) vga:vga virtio[16]:virtio virtiofs[10]:virtiofs vmgenid:uuid
		vmstatestorage:storage-id watchdog:string`,
	// What changes a configuration.
	"vmupdate": `force:bool>delete delete:configid-list digest:string<40 revert:configid-list skiplock:bool`,
	"fwrule": `
		comment:string dest:fw-address<512 digest:string<64 dport:fw-port>proto enable:int(0..) icmp-type:string>proto iface:iface<2..20
		log:enum(loglevel) macro:string<128 proto:fw-protocol source:fw-address<512 sport:fw-port>proto`,
	"fwoptions": `
		dhcp:bool enable:bool ipfilter:bool log_level_in:enum(loglevel) log_level_out:enum(loglevel) macfilter:bool
		ndp:bool policy_in:enum(ACCEPT,REJECT,DROP) policy_out:enum(ACCEPT,REJECT,DROP) radv:bool`,
	"user": `
		comment:string<2048 email:string<254 enable:bool expire:int(0..) firstname:string<1024 groups:string keys:string
		lastname:string<1024`,
	"nodefwoptions": `
		enable:bool log_level_forward:enum(loglevel) log_level_in:enum(loglevel) log_level_out:enum(loglevel) log_nf_conntrack:bool ndp:bool
		nf_conntrack_allow_invalid:bool nf_conntrack_helpers:string nf_conntrack_max:int(32768..)
		nf_conntrack_tcp_timeout_established:int(7875..) nf_conntrack_tcp_timeout_syn_recv:int(30..60) nftables:bool nosmurfs:bool
		protection_synflood:bool protection_synflood_burst:int protection_synflood_rate:int smurf_log_level:enum(loglevel)
		tcp_flags_log_level:enum(loglevel) tcpflags:bool`,
	// What a storage can be given, when it is made and later.
	"storage": `
		blocksize:string bwlimit:string comstar_hg:string comstar_tg:string content:content-list content-dirs:string create-base-path:bool
		create-subdirs:bool data-pool:string disable:bool domain:string<256 encryption-key:string fingerprint:string
		format:enum(raw,qcow2,subvol,vmdk) fs-name:string fuse:bool is_mountpoint:string keyring:string krbd:bool lio_tpg:string
		master-pubkey:string max-protected-backups:int(-1..) mkdir:bool monhost:string mountpoint:string namespace:string nocow:bool
		nodes:node-list nowritecache:bool options:string password:string<256 pool:string port:int(1..65535)
		preallocation:enum(off,metadata,falloc,full) prune-backups:prune saferemove:bool saferemove-stepsize:intenum(1,2,4,8,16,32)
		saferemove_throughput:string server:string shared:bool skip-cert-verification:bool smbversion:enum(default,2.0,2.1,3,3.0,3.11)
		snapshot-as-volume-chain:bool sparse:bool subdir:string tagged_only:bool username:string zfs-base-path:string`,
	"vzdump": `
		all:bool bwlimit:int(0..) compress:enum(0,1,gzip,lzo,zstd) dumpdir:string exclude:vmid-list exclude-path:command fleecing:string
		ionice:int(0..8) job-id:string<50 lockwait:int(0..) mailnotification:enum(always,failure) mailto:string maxfiles:int(1..)
		mode:enum(snapshot,suspend,stop) notes-template:string<1024>storage notification-mode:enum(auto,legacy-sendmail,notification-system)
		pbs-change-detection-mode:enum(legacy,data,metadata) performance:string pigz:int pool:string protected:bool>storage prune-backups:prune
		quiet:bool remove:bool script:string stdexcludes:bool stdout:bool stop:bool stopwait:int(0..) storage:storage-id tmpdir:string
		vmid:vmid-list zstd:int`,
	"backupjob": `
		all:bool bwlimit:int(0..) comment:string<512 compress:enum(0,1,gzip,lzo,zstd) dow:string>starttime dumpdir:string enabled:bool
		exclude:vmid-list exclude-path:command fleecing:string ionice:int(0..8) lockwait:int(0..) mailnotification:enum(always,failure)
		mailto:string maxfiles:int(1..) mode:enum(snapshot,suspend,stop) node:node notes-template:string<1024>storage
		notification-mode:enum(auto,legacy-sendmail,notification-system) pbs-change-detection-mode:enum(legacy,data,metadata)
		performance:string pigz:int pool:string protected:bool>storage prune-backups:prune quiet:bool remove:bool repeat-missed:bool
		schedule:string<128 script:string starttime:clock-time stdexcludes:bool stop:bool stopwait:int(0..) storage:storage-id tmpdir:string
		vmid:vmid-list zstd:int`,
	"datacenter": `
		bwlimit:string consent-text:string<65536 console:enum(applet,vv,html5,xtermjs) crs:string description:string<65536
		email_from:string fencing:enum(watchdog,hardware,both) ha:string http_proxy:string keyboard:enum(keymap) language:enum(languages)
		mac_prefix:string max_workers:int(1..) migration:string migration_unsecure:bool next-id:string notify:string
		registered-tags:string replication:string tag-style:string u2f:string user-tag-access:string webauthn:string`,
	"harule": `affinity:enum(positive,negative) comment:string<4096 disable:bool nodes:ha-nodes strict:bool type!:enum(node-affinity,resource-affinity)`,
	"node": `acme:string acmedomain[6]:string ballooning-target:int(0..100) description:string<65536 startall-onboot-delay:int(0..300)
		wakeonlan:wake-on-lan`,
	// A node's interface.
	"iface": `
		address:ip4>netmask address6:ip6>netmask6 autostart:bool bond-primary:iface
		bond_mode:enum(balance-rr,active-backup,balance-xor,broadcast,802.3ad,balance-tlb,balance-alb,balance-slb,lacp-balance-slb,lacp-balance-tcp)
		bond_xmit_hash_policy:enum(layer2,layer2+3,layer3+4) bridge_ports:string bridge_vids:string bridge_vlan_aware:bool cidr:string
		cidr6:string comments:string comments6:string gateway:ip4 gateway6:ip6 mtu:int(1280..65520) netmask:string>address
		netmask6:int(0..128)>address6 ovs_bonds:string ovs_bridge:iface ovs_options:string<1024 ovs_ports:string ovs_tag:int(1..4094)
		slaves:string type!:enum(bridge,bond,eth,alias,vlan,fabric,OVSBridge,OVSBond,OVSPort,OVSIntPort,vnet,unknown)
		vlan-id:int(1..4094) vlan-raw-device:iface`,
	"hagroup": `comment:string<4096 nofailback:bool restricted:bool`,
	"file":    `checksum:string>checksum-algorithm checksum-algorithm:enum(md5,sha1,sha224,sha256,sha384,sha512)>checksum content!:enum(iso,vztmpl,import) filename!:string<255`,
	"ha":      `comment:string<4096 failback:bool group:configid max_relocate:int(0..) max_restart:int(0..) state:enum(started,stopped,enabled,disabled,ignored)`,
	"pool":    `comment:string allow-move:bool delete:bool storage:storage-list vms:vmid-list`,
}

// configFields are the keys of a VM's configuration.
var configFields schema

// pathFields are the parameters in paths that are checked.
var pathFields schema
