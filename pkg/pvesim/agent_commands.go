package pvesim

import (
	"net/http"
	"strings"
)

// agentSays answers a command of the guest agent that needs no parameters.
func agentSays(command string) func(*call) (any, error) {
	return func(q *call) (any, error) {
		v, err := q.agent()
		if err != nil {
			return nil, err
		}
		return object{"result": q.c.guestAnswer(v, command)}, nil
	}
}

// agentByName is the older way to give a command: its name is a parameter.
func (q *call) agentByName() (any, error) {
	command := q.p["command"]
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		parts := append(strings.Split(strings.Trim(vmPath, "/"), "/"), "agent", command)
		if rt, _ := findRoute(method, parts); rt != nil {
			return rt.handler(q)
		}
	}
	return agentSays(command)(q)
}

// guestAnswer is what the system inside a VM says. Commands that only do something answer nothing.
func (c *Cluster) guestAnswer(v *vm, command string) any {
	switch command {
	case "info":
		list := []any{}
		for _, name := range enums["agentcommands"] {
			list = append(list, object{"name": "guest-" + name, "enabled": true, "success-response": true})
		}
		return object{"version": "9.2.0", "supported_commands": list}
	case "get-host-name":
		host, _, _ := strings.Cut(v.name(), ".")
		return object{"host-name": host}
	case "get-time":
		return c.cfg.Now().UnixNano()
	case "get-timezone":
		return object{"zone": "UTC", "offset": 0}
	case "get-users", "get-memory-blocks":
		return []any{}
	case "get-memory-block-info":
		return object{"size": 128 << 20}
	case "get-vcpus":
		list := []any{}
		for i := range vcpus(v.conf) {
			list = append(list, object{"logical-id": i, "online": true, "can-offline": i > 0})
		}
		return list
	case "get-fsinfo":
		return []any{object{"name": "sda1", "mountpoint": "/", "type": "ext4", "total-bytes": c.bootDisk(v), "used-bytes": 1 << 30, "disk": []any{}}}
	case "fsfreeze-status":
		return "thawed"
	case "fsfreeze-freeze", "fsfreeze-thaw":
		return 1
	case "fstrim":
		return object{"paths": []any{}}
	case "shutdown", "suspend-disk":
		c.halts(v)
	case "suspend-hybrid", "suspend-ram":
		v.paused = true
	}
	return object{}
}
