package pvesim

import (
	"errors"
	"fmt"
	"strings"
)

// propString is the format of a value like "virtio=BC:24:...,bridge=vmbr0": a list of key=value,
// where one key may be left out.
type propString struct {
	defaultKey string
	fields     schema
	alias      map[string]string // other names of a key
	needs      map[string]string // key to another key that must be there too
}

// parse reads a value into its keys.
func (ps propString) parse(name, v string) (map[string]string, error) {
	got, seen, bad := map[string]string{}, map[string]bool{}, []string{}
	for _, part := range strings.Split(v, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			key, value = ps.defaultKey, part
		}
		if a, ok := ps.alias[key]; ok {
			key = a
		}
		seen[key] = true
		f, known := ps.fields[key]
		if !known || key == "" {
			bad = append(bad, fmt.Sprintf("%s.%s: %s", name, key, undefinedProperty))
			continue
		}
		normal, text := f.check(key, value, "")
		if text != "" {
			bad = append(bad, fmt.Sprintf("%s.%s: %s", name, key, text))
			continue
		}
		got[key] = normal
	}
	bad = append(bad, ps.missing(name, seen)...)
	if len(bad) > 0 {
		return nil, errors.New("format error\n" + strings.Join(bad, "\n"))
	}
	return got, nil
}

func (ps propString) missing(name string, seen map[string]bool) []string {
	var bad []string
	for _, k := range sortedKeys(ps.fields) {
		if !seen[k] && ps.fields[k].required {
			bad = append(bad, fmt.Sprintf("%s.%s: property is missing and it is not optional", name, k))
		}
	}
	for _, k := range sortedKeys(ps.needs) {
		if seen[k] && !seen[ps.needs[k]] {
			bad = append(bad, fmt.Sprintf("%s.%s: missing property required by '%s.%s'", name, ps.needs[k], name, k))
		}
	}
	return bad
}

func (ps propString) format(name, v string) (string, error) {
	_, err := ps.parse(name, v)
	return v, err
}

// driveCommon are the options of every kind of disk.
const driveCommon = `file!:volume-or-path volume:string format:enum(raw,qcow,qed,qcow2,vmdk,cloop) import-from:string
	media:enum(cdrom,disk) size:string backup:bool replicate:bool shared:bool snapshot:bool detect_zeroes:bool
	aio:enum(native,threads,io_uring) cache:enum(none,writethrough,writeback,unsafe,directsync) discard:enum(ignore,on)
	rerror:enum(ignore,report,stop) werror:enum(enospc,ignore,report,stop) serial:urlencoded<60
	bps:int bps_rd:int bps_wr:int bps_max_length:int(1..) bps_rd_max_length:int(1..) bps_wr_max_length:int(1..)
	iops:int iops_rd:int iops_wr:int iops_max:int iops_rd_max:int iops_wr_max:int
	iops_max_length:int(1..) iops_rd_max_length:int(1..) iops_wr_max_length:int(1..)
	mbps:num mbps_rd:num mbps_wr:num mbps_max:num mbps_rd_max:num mbps_wr_max:num `

var driveAlias = map[string]string{
	"volume": "file", "bps_rd_length": "bps_rd_max_length", "bps_wr_length": "bps_wr_max_length",
	"iops_rd_length": "iops_rd_max_length", "iops_wr_length": "iops_wr_max_length",
}

func driveFormat(more string) propString {
	return propString{defaultKey: "file", fields: parseSchema(driveCommon + more), alias: driveAlias}
}

// nicModels are the network card models; each is also a key whose value is the MAC address.
var nicModels = strings.Fields("e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3")

// propStrings are the formats of this kind.
var propStrings map[string]propString

func init() {
	formats["mac"] = shape(`^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$`, "value does not look like a valid unicast MAC address")
	formats["ip4"], formats["ip6"] = address(false, "ipv4"), address(true, "ipv6")
	formats["cidr4"], formats["cidr6"] = cidr(false, "ipv4", "dhcp"), cidr(true, "ipv6", "dhcp", "auto")
	formats["netmodel"] = func(_, v string) (string, error) {
		if !contains(nicModels, v) {
			return "", errors.New("no such network card model")
		}
		return v, nil
	}
	propStrings = map[string]propString{
		"ide":    driveFormat("model:urlencoded<120 ssd:bool wwn:string"),
		"sata":   driveFormat("ssd:bool wwn:string"),
		"scsi":   driveFormat("iothread:bool product:string<16 queues:int(2..) ro:bool scsiblock:bool ssd:bool vendor:string<8 wwn:string"),
		"virtio": driveFormat("iothread:bool ro:bool"),
		"efidisk": {defaultKey: "file", alias: map[string]string{"volume": "file"},
			fields: parseSchema("file!:volume-or-path format:enum(raw,qcow,qed,qcow2,vmdk,cloop) import-from:string size:string efitype:enum(2m,4m) pre-enrolled-keys:bool ms-cert:enum(2011,2023,2023w,2023k)")},
		"tpmstate": {defaultKey: "file", alias: map[string]string{"volume": "file"}, fields: parseSchema("file!:volume-or-path format:string import-from:string size:string version:enum(v1.2,v2.0)")},
		"unused":   {defaultKey: "file", alias: map[string]string{"volume": "file"}, fields: parseSchema("file!:volume-id")},
		"ipconfig": {fields: parseSchema("ip:cidr4 gw:ip4 ip6:cidr6 gw6:ip6"), needs: map[string]string{"gw": "ip", "gw6": "ip6"}},
		"prune":    {fields: parseSchema("keep-all:bool keep-last:int(0..) keep-hourly:int(0..) keep-daily:int(0..) keep-weekly:int(0..) keep-monthly:int(0..) keep-yearly:int(0..)")},
		"boot":     {defaultKey: "legacy", fields: parseSchema("order:bootdev-list legacy:boot-letters")},
		"memory":   {defaultKey: "current", fields: parseSchema("current!:int(16..)")},
		"agent": {defaultKey: "enabled", alias: map[string]string{"guest-fsfreeze": "freeze-fs", "freeze-fs-on-backup": "freeze-fs"},
			fields: parseSchema("enabled!:bool freeze-fs:bool fstrim_cloned_disks:bool type:enum(virtio,isa)")},
		"audio":    {fields: parseSchema("device!:enum(ich9-intel-hda,intel-hda,AC97) driver:enum(spice,none)")},
		"ivshmem":  {fields: parseSchema("size!:int(1..) name:string")},
		"machine":  {defaultKey: "type", fields: parseSchema("type:string<40 aw-bits:num(32..64) enable-s3:bool enable-s4:bool viommu:enum(intel,virtio)")},
		"numa":     {fields: parseSchema("cpus!:string hostnodes:string memory:num policy:enum(preferred,bind,interleave)")},
		"spice":    {fields: parseSchema("foldersharing:bool videostreaming:enum(off,all,filter)")},
		"usb":      {defaultKey: "host", fields: parseSchema("host:string mapping:configid usb3:bool")},
		"virtiofs": {defaultKey: "dirid", fields: parseSchema("dirid!:configid cache:enum(auto,always,metadata,never) direct-io:bool expose-acl:bool expose-xattr:bool")},
		"vga": {defaultKey: "type", fields: parseSchema("memory:int(4..512) clipboard:enum(vnc)" +
			" type:enum(cirrus,qxl,qxl2,qxl3,qxl4,none,serial0,serial1,serial2,serial3,std,virtio,virtio-gl,vmware)")},
		"cicustom": {fields: parseSchema("user:volume-id network:volume-id meta:volume-id vendor:volume-id")},
		"startup":  {defaultKey: "order", fields: parseSchema("order:int(0..) up:int(0..) down:int(0..)")},
		"net":      {defaultKey: "model", alias: map[string]string{}, fields: parseSchema("model!:netmodel macaddr:mac bridge:string firewall:bool link_down:bool mtu:int(1..65520) queues:int(0..64) rate:num(0..) tag:int(1..4094) trunks:string")},
	}
	for name, ps := range propStrings {
		formats[name] = ps.format
	}
	formats["net"] = func(name, v string) (string, error) {
		_, err := parseNIC(name, v)
		return v, err
	}
	routeTable = buildRoutes()
}
