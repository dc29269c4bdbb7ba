package pvesim

import "strings"

// factRoutes are what a node is told and tells about itself, apart from its guests.
var factRoutes = []routeRow{
	{"GET", "/nodes/{node}/dns", nodeAudit, "", (*call).dnsShow},
	{"PUT", "/nodes/{node}/dns", nodeModify, "dns1:ip dns2:ip dns3:ip search!:string", (*call).dnsUpdate},
	{"PUT", "/nodes/{node}/time", nodeModify, "timezone!:string", (*call).timeUpdate},
	{"GET", "/nodes/{node}/subscription", "", "", (*call).subscription},
	{"GET", "/nodes/{node}/capabilities/qemu/cpu", "", "arch:enum(x86_64,aarch64)", (*call).cpuList},
	{"GET", "/nodes/{node}/capabilities/qemu/machines", "", "arch:enum(x86_64,aarch64)", (*call).machineList},
	{"GET", "/nodes/{node}/disks/list", nodeAudit, "include-partitions:bool skipsmart:bool type:enum(unused,journal_disks)", (*call).nodeDisks},
	{"GET", "/nodes/{node}/disks/smart", nodeAudit, "disk!:block-device healthonly:bool", (*call).nodeDiskHealth},
	{"GET", "/nodes/{node}/services", nodeAudit, "", (*call).serviceList},
	{"GET", "/nodes/{node}/apt/update", nodeModify, "", (*call).none},
	{"GET", "/nodes/{node}/sdn/zones", "", "", (*call).nodeZones},
	{"GET", "/nodes/{node}/sdn/zones/{zone}/content", "/sdn/zones/{zone} SDN.Audit", "", (*call).zoneContent},
	{"GET", "/cluster/sdn/zones", "", "pending:bool running:bool type:enum(evpn,faucet,qinq,simple,vlan,vxlan)", (*call).none},
	{"GET", "/cluster/sdn/vnets", "", "pending:bool running:bool", (*call).none},
	{"GET", "/cluster/config/nodes", dcAudit, "", (*call).corosyncNodes},
	{"GET", "/nodes/{node}/hardware/usb", dcModify, "", (*call).none},
	{"GET", "/nodes/{node}/hardware/pci", nodeAudit, "pci-class-blacklist:string verbose:bool", (*call).none},
	{"GET", "/nodes/{node}/replication", "", "guest:vmid", (*call).none},
	{"GET", "/cluster/replication", "", "", (*call).none},
	{"GET", "/cluster/ceph/status", "/ Sys.Audit|Datastore.Audit", "", (*call).noCeph},
	{"GET", stPath + "/rrddata", useStore, "cf:enum(AVERAGE,MAX) timeframe!:enum(hour,day,week,month,year)", (*call).storageHistory},
}

const (
	nodeAudit  = "/nodes/{node} Sys.Audit"
	nodeModify = "/nodes/{node} Sys.Modify"
)

// none lists what can exist on a real cluster and never does here.
func (q *call) none() (any, error) { return []any{}, nil }

// noCeph is what a node without Ceph says.
func (q *call) noCeph() (any, error) { return nil, fail("binary not installed: /usr/bin/ceph-mon") }

func (q *call) dnsShow() (any, error) {
	o := object{}
	for k, v := range q.c.node(q.node).dns {
		o[k] = v
	}
	return o, nil
}

func (q *call) dnsUpdate() (any, error) {
	n := q.c.node(q.node)
	n.dns = map[string]string{}
	for k, v := range q.p {
		n.dns[k] = v
	}
	return nil, nil
}

func (q *call) timeUpdate() (any, error) {
	zone, err := loadZone(q.p["timezone"])
	if err != nil {
		return nil, badParam("timezone", "No such timezone.")
	}
	q.c.node(q.node).zone = zone
	return nil, nil
}

// subscription: a simulated node has none.
func (q *call) subscription() (any, error) {
	return object{
		"status": "notfound", "message": "There is no subscription key", "serverid": strings.ToUpper(sha1Hex(q.node)[:32]),
		"url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
	}, nil
}

// nodeDisk is the one disk that every node has.
const nodeDisk = "/dev/nvme0n1"

func (q *call) nodeDisks() (any, error) {
	if q.p["type"] != "" {
		return []any{}, nil // it is in use
	}
	return []any{object{
		"devpath": nodeDisk, "by_id_link": "/dev/disk/by-id/nvme-simulated_" + q.node, "type": "nvme", "model": "simulated", "serial": "SIM" + strings.ToUpper(q.node),
		"vendor": "unknown", "wwn": "unknown", "size": int64(1) << 40, "rpm": 0, "gpt": 1, "used": "LVM", "health": "PASSED", "wearout": "N/A",
		"osdid": -1, "osdid-list": nil,
	}}, nil
}

func (q *call) nodeDiskHealth() (any, error) {
	if q.p["disk"] != nodeDisk {
		return nil, fail("unable to get physical disk for '%s'", q.p["disk"])
	}
	o := object{"health": "PASSED"}
	if !q.p.bool("healthonly") {
		o["type"], o["text"] = "text", "\nSMART/Health Information (NVMe Log 0x02)\nPercentage Used: 0%\n"
	}
	return o, nil
}

func (q *call) storageHistory() (any, error) {
	s, err := q.c.usable(q.vars["storage"], q.node)
	if err != nil {
		return nil, err
	}
	f := s.figures(q.c, q.node)
	return q.history(object{"total": f["total"], "used": f["used"]}), nil
}

// localZone is the zone of the nodes' own bridges, the only one there is.
const localZone = "localnetwork"

func (q *call) nodeZones() (any, error) {
	out := []any{}
	if q.may("/sdn/zones/"+localZone, "SDN.Audit") {
		out = append(out, object{"zone": localZone, "status": "available"})
	}
	return out, nil
}

func (q *call) zoneContent() (any, error) {
	out := []any{}
	for _, b := range q.c.node(q.node).Bridges {
		if q.vars["zone"] == localZone {
			out = append(out, object{"vnet": b, "status": "available"})
		}
	}
	return out, nil
}

func (q *call) corosyncNodes() (any, error) {
	out := []any{}
	for i, n := range q.c.nodes {
		if len(q.c.nodes) > 1 {
			out = append(out, object{"node": n.Name, "name": n.Name, "nodeid": itoa(i + 1), "quorum_votes": "1", "ring0_addr": n.IP})
		}
	}
	return out, nil
}

// services are those of a node, which all run.
var services = map[string]string{
	"corosync": "Corosync Cluster Engine", "cron": "Regular background program processing daemon", "ksmtuned": "Kernel Samepage Merging (KSM) Tuning Daemon",
	"pve-cluster": "The Proxmox VE cluster filesystem", "pve-firewall": "Proxmox VE firewall", "pve-ha-crm": "PVE Cluster HA Resource Manager Daemon",
	"pve-ha-lrm": "PVE Local HA Resource Manager Daemon", "pvedaemon": "PVE API Daemon", "pveproxy": "PVE API Proxy Server", "pvescheduler": "Proxmox VE scheduler",
	"pvestatd": "PVE Status Daemon", "spiceproxy": "PVE SPICE Proxy Server", "sshd": "OpenBSD Secure Shell server", "syslog": "System Logging Service",
}

func (q *call) serviceList() (any, error) {
	out := []any{}
	for _, name := range sortedKeys(services) {
		out = append(out, object{"service": name, "name": name, "desc": services[name], "state": "running", "active-state": "active", "unit-state": "enabled"})
	}
	return out, nil
}
