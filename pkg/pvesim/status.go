package pvesim

import (
	"fmt"
	"strings"
)

func (v *vm) status() string {
	if v.running {
		return "running"
	}
	return "stopped"
}

func (q *call) statusCurrent() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	o := q.c.figures(v)
	o["ha"] = object{"managed": 0}
	if r := q.c.haOf(v.id); r != nil {
		o["ha"] = object{"managed": 1, "state": r.state()}
	}
	o["qmpstatus"] = v.qmpStatus()
	if agentOn(v.conf) {
		o["agent"] = 1
	}
	if v.running {
		if nics := v.tapDevices(); len(nics) > 0 {
			o["nics"] = nics
		}
	}
	return o, nil
}

func (v *vm) qmpStatus() string {
	if v.paused {
		return "paused"
	}
	return v.status()
}

func (v *vm) tapDevices() object {
	nics := object{}
	for k := range v.conf {
		if isNIC(k) {
			nics[fmt.Sprintf("tap%di%s", v.id, strings.TrimPrefix(k, "net"))] = object{"netin": 0, "netout": 0}
		}
	}
	return nics
}

// figures are the numbers that status and list have in common.
func (c *Cluster) figures(v *vm) object {
	conf := v.conf
	o := object{
		"vmid": v.id, "name": v.name(), "status": v.status(), "cpus": vcpus(conf), "cpu": 0, "uptime": 0,
		"mem": 0, "memhost": 0, "maxmem": int64(memoryMiB(conf)) << 20, "disk": 0, "maxdisk": c.bootDisk(v), "netin": 0, "netout": 0,
	}
	if lock := conf["lock"]; lock != "" {
		o["lock"] = lock
	}
	if tags := conf["tags"]; tags != "" {
		o["tags"] = tags
	}
	if v.template() {
		o["template"] = 1
	}
	if conf["serial0"] != "" {
		o["serial"] = 1
	}
	if v.running {
		o["pid"], o["uptime"] = v.pid, int(c.cfg.Now().Sub(v.started).Seconds())
		for _, k := range []string{"cpu", "io", "memory"} {
			o["pressure"+k+"full"], o["pressure"+k+"some"] = 0, 0
		}
	}
	return c.release.trim(o)
}

// bootDisk is the size of the disk that a VM boots from, in bytes.
func (c *Cluster) bootDisk(v *vm) int64 {
	for _, k := range bootDisks(v.conf) {
		if d := mustDrive(k, v.conf[k]); isDrive(k) && v.conf[k] != "" && !d.cdrom() {
			return parseSize(d.opts["size"])
		}
	}
	return 0
}

// bootDisks are the slots that a VM tries to boot from, in order. Without an order it is the first disk.
func bootDisks(conf map[string]string) []string {
	if list := bootDevices(conf); list != nil {
		return list
	}
	if conf["bootdisk"] != "" {
		return []string{conf["bootdisk"]}
	}
	return drives(conf)
}
