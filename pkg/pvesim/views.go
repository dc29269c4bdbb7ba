package pvesim

import (
	"strconv"
	"strings"
	"time"
)

func (q *call) version() (any, error) {
	r := q.c.release
	short := strings.Join(strings.SplitN(r.version, ".", 3)[:2], ".")
	return object{"version": r.version, "release": short, "repoid": r.repo}, nil
}

// nextID finds a free VMID. It reserves nothing: callers at the same time get the same answer.
func (q *call) nextID() (any, error) {
	if q.p.has("vmid") {
		if id := q.p.int("vmid", 0); q.c.vms[id] != nil {
			return nil, badParam("vmid", "VM %d already exists", id)
		}
		return q.p["vmid"], nil
	}
	lower, upper := 100, 1000000
	for _, part := range listOf(q.c.options["next-id"]) {
		if v, ok := strings.CutPrefix(part, "lower="); ok {
			lower, _ = strconv.Atoi(v)
		}
		if v, ok := strings.CutPrefix(part, "upper="); ok {
			upper, _ = strconv.Atoi(v)
		}
	}
	for id := lower; id < upper; id++ {
		if q.c.vms[id] == nil {
			return strconv.Itoa(id), nil
		}
	}
	return nil, fail("unable to get any free VMID in range [%d, %d]", lower, upper)
}

func (q *call) datacenterOptions() (any, error) {
	o := object{"allowed-tags": []string{}}
	if q.may("/", "Sys.Audit") {
		for k, v := range q.c.options {
			o[k] = v
		}
	}
	return o, nil
}

func (q *call) setDatacenterOptions() (any, error) {
	q.c.options = q.p.over(q.c.options)
	return nil, nil
}

// quorum checks that most nodes are online. The commands that make VMs need it.
func (c *Cluster) quorum() error {
	if c.quorate() {
		return nil
	}
	return fail("cluster not ready - no quorum?")
}

func (c *Cluster) quorate() bool {
	online := 0
	for _, n := range c.nodes {
		online += flag(n.online)
	}
	return online > len(c.nodes)/2
}

func (c *Cluster) nodeState(n *node) string {
	switch {
	case !n.online:
		return "offline"
	case !c.measured():
		return "unknown"
	}
	return "online"
}

// fingerprint is the fixed TLS fingerprint that nodes show.
const fingerprint = "DB:A3:6B:38:09:D8:2D:25:1A:84:7B:B4:4D:D1:C1:71:DE:67:01:1E:54:69:56:EB:AB:C9:22:43:F7:D6:A7:3D"

// nodeFigures are a node's numbers, for those who may see them.
func (c *Cluster) nodeFigures(n *node) object {
	memory, cpus := int64(0), 0
	for _, v := range c.vms {
		if v.node == n.Name && v.running {
			memory += int64(memoryMiB(v.conf)) << 20
			cpus += vcpus(v.conf)
		}
	}
	return object{
		"cpu": min(1, float64(cpus)/100/float64(n.CPUs)), "maxcpu": n.CPUs, "mem": memory, "maxmem": int64(n.MemoryMiB) << 20,
		"disk": 1 << 30, "maxdisk": int64(64) << 30, "uptime": int(c.cfg.Now().Sub(c.boot).Seconds()),
	}
}

func (q *call) nodeList() (any, error) {
	out := []any{}
	for _, n := range q.c.nodes {
		o := object{"id": "node/" + n.Name, "node": n.Name, "type": "node", "status": q.c.nodeState(n), "ssl_fingerprint": fingerprint}
		q.addNodeFigures(o, n)
		out = append(out, o)
	}
	return out, nil
}

func (q *call) addNodeFigures(o object, n *node) {
	if !n.online || !q.c.measured() {
		return
	}
	o["level"] = ""
	if q.may("/nodes/"+n.Name, "Sys.Audit") {
		for k, v := range q.c.nodeFigures(n) {
			o[k] = v
		}
	}
}

func (q *call) nodeStatus() (any, error) {
	n := q.c.node(q.node)
	f := q.c.nodeFigures(n)
	free := f["maxmem"].(int64) - f["mem"].(int64)
	return object{
		"uptime": f["uptime"], "cpu": f["cpu"], "wait": 0, "idle": 0, "loadavg": []string{"0.00", "0.00", "0.00"}, "pveversion": "pve-manager/" + q.c.release.version + "/" + q.c.release.repo,
		"kversion": "Linux 6.17.2-1-pve", "boot-info": object{"mode": "efi", "secureboot": 0}, "current-kernel": object{"sysname": "Linux", "release": "6.17.2-1-pve", "version": "#1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1", "machine": "x86_64"},
		"cpuinfo": object{"cpus": n.CPUs, "cores": n.CPUs, "sockets": 1, "model": "simulated", "mhz": "3000.000", "flags": "", "hvm": "1", "user_hz": 100},
		"memory":  object{"total": f["maxmem"], "used": f["mem"], "free": free, "available": free}, "swap": object{"total": 0, "used": 0, "free": 0},
		"rootfs": object{"total": f["maxdisk"], "used": f["disk"], "free": int64(63) << 30, "avail": int64(63) << 30}, "ksm": object{"shared": 0},
	}, nil
}

// clusterName is the name of every cluster of more than one node.
const clusterName = "pvesim"

func (q *call) clusterStatus() (any, error) {
	out := []any{}
	if n := len(q.c.nodes); n > 1 {
		out = append(out, object{"type": "cluster", "id": "cluster", "name": clusterName, "nodes": n, "quorate": flag(q.c.quorate()), "version": n})
	}
	for i, n := range q.c.nodes {
		out = append(out, object{"type": "node", "id": "node/" + n.Name, "name": n.Name, "ip": n.IP, "nodeid": i + flag(len(q.c.nodes) > 1), "online": flag(n.online), "local": flag(i == 0), "level": ""})
	}
	return out, nil
}

func (q *call) vmList() (any, error) {
	out := []any{}
	for _, id := range sortedIDs(q.c.vms) {
		v := q.c.vms[id]
		if v.node != q.node || !q.may("/vms/"+itoa(id), "VM.Audit") {
			continue
		}
		o := q.c.figures(v)
		if q.p.bool("full") {
			o["qmpstatus"] = v.qmpStatus()
		}
		out = append(out, o)
	}
	return out, nil
}

// stats are the figures that nodes broadcast from time to time.
type stats struct {
	at  time.Time
	vms map[int]object
}

// statsOf are a VM's figures as /cluster/resources knows them; nil when it does not know the VM yet.
func (c *Cluster) statsOf(v *vm) object {
	if n := c.node(v.node); n == nil || !n.online {
		return nil
	}
	if c.cfg.StatsEvery == 0 {
		return c.measure(v)
	}
	c.broadcast()
	return c.stats.vms[v.id]
}

// broadcast takes new figures when the old ones are too old.
func (c *Cluster) broadcast() {
	now := c.cfg.Now()
	if now.Sub(c.stats.at) < c.cfg.StatsEvery {
		return
	}
	c.stats = stats{now, map[int]object{}}
	for id, v := range c.vms {
		c.stats.vms[id] = c.measure(v)
	}
}

// measured reports whether the nodes have sent figures at all since the cluster started.
func (c *Cluster) measured() bool {
	if c.cfg.StatsEvery > 0 {
		c.broadcast()
		return c.stats.vms != nil
	}
	return true
}

func (c *Cluster) measure(v *vm) object {
	uptime := 0
	if v.running {
		uptime = int(c.cfg.Now().Sub(v.started).Seconds())
	}
	return object{
		"name": v.name(), "status": v.status(), "template": flag(v.template()), "maxcpu": vcpus(v.conf), "cpu": 0, "mem": 0,
		"maxmem": int64(memoryMiB(v.conf)) << 20, "disk": 0, "maxdisk": c.bootDisk(v), "uptime": uptime, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
	}
}

// resource is a VM's entry in the list of resources. Tags, lock and pool are always fresh.
func (c *Cluster) resource(v *vm) object {
	o := object{"id": "qemu/" + itoa(v.id), "type": "qemu", "vmid": v.id, "node": v.node, "status": "unknown"}
	for k, x := range c.statsOf(v) {
		o[k] = x
	}
	for _, k := range []string{"tags", "lock"} {
		if value := v.conf[k]; value != "" {
			o[k] = value
		}
	}
	if p := c.poolOf(v.id); p != "" {
		o["pool"] = p
	}
	if r := c.haOf(v.id); r != nil {
		o["hastate"] = r.state()
	}
	return o
}

func (q *call) resources() (any, error) {
	out := []any{}
	want := q.p["type"]
	if want == "" {
		for _, p := range sortedKeys(q.c.pools) {
			if q.may("/pool/"+p, "Pool.Audit") {
				out = append(out, object{"id": "/pool/" + p, "pool": p, "type": "pool"})
			}
		}
	}
	if want == "" || want == "vm" {
		for _, id := range sortedIDs(q.c.vms) {
			if q.may("/vms/"+itoa(id), "VM.Audit") {
				out = append(out, q.c.resource(q.c.vms[id]))
			}
		}
	}
	for _, n := range q.c.nodes {
		if want == "" || want == "node" {
			o := object{"id": "node/" + n.Name, "node": n.Name, "status": q.c.nodeState(n), "type": "node"}
			q.addNodeFigures(o, n)
			out = append(out, o)
		}
		if want == "" || want == "storage" {
			out = append(out, q.storageResources(n)...)
		}
		if (want == "" || want == "sdn") && q.may("/sdn/zones/localnetwork", "SDN.Audit") {
			out = append(out, q.c.release.zone(n))
		}
	}
	return out, nil
}

func (q *call) storageResources(n *node) []any {
	var out []any
	for _, s := range q.c.storages {
		if !s.Disabled && s.on(n.Name) && q.mayStore(s.Name) {
			out = append(out, q.c.storageResource(s, n))
		}
	}
	return out
}

func (c *Cluster) storageResource(s *storage, n *node) object {
	o := object{
		"id": "storage/" + n.Name + "/" + s.Name, "storage": s.Name, "node": n.Name, "type": "storage", "plugintype": s.Type,
		"shared": flag(s.Shared), "content": strings.Join(s.Content, ","), "status": "unknown",
	}
	if n.online && c.measured() {
		o["status"], o["disk"], o["maxdisk"] = "available", c.used(s, n.Name), int64(s.TotalGB)<<30
	}
	return o
}
