package pvesim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// vm is one guest.
type vm struct {
	id   int
	node string
	// conf is the configuration in force; pending and pendingDelete wait for the next start. The
	// value of pendingDelete is 1, or 2 when the volume is to be removed too.
	conf          map[string]string
	pending       map[string]string
	pendingDelete map[string]int
	snapshots     []*snapshot
	// onDrive is what the cloud-init drive of a running VM was made from.
	onDrive map[string]string

	running, paused bool
	started         time.Time
	pid             int
	guest           Guest
	execs           int               // programs that the agent has started
	programs        map[int][]string  // those of them whose end it has not told, by PID
	files           map[string]string // what the agent has written, by path
	passwords       map[string]string // what the agent has set them to, by user
}

func newVM(id int, node string) *vm {
	return &vm{id: id, node: node, conf: map[string]string{}, pending: map[string]string{}, pendingDelete: map[string]int{}}
}

// vmOf finds the VM that a call is about, on the node that the call names.
func (q *call) vmOf() (*vm, error) {
	id := q.vmid()
	v := q.c.vms[id]
	if v == nil || v.node != q.node {
		return nil, noConfig(q.node, id)
	}
	return v, nil
}

func (q *call) vmid() int {
	id, _ := strconv.Atoi(q.vars["vmid"])
	return id
}

func (v *vm) template() bool { return v.conf["template"] == "1" }

// unlocked checks the "lock" key of the configuration.
func (v *vm) unlocked(skip bool) error {
	if lock := v.conf["lock"]; lock != "" && !skip {
		return fail("VM is locked (%s)", lock)
	}
	return nil
}

// checkDigest compares a digest that a caller sent.
func (v *vm) checkDigest(sent string) error {
	if sent != "" && sent != v.digest() {
		return fail("checksum mismatch (file change by other user?)")
	}
	return nil
}

// merged is the configuration with the pending changes in it.
func (v *vm) merged() map[string]string {
	m := maps.Clone(v.conf)
	for k := range v.pendingDelete {
		delete(m, k)
	}
	maps.Copy(m, v.pending)
	return m
}

// digest is the SHA-1 of the configuration file.
func (v *vm) digest() string { return sha1Hex(v.file()) }

// file is the configuration as the file that Proxmox VE keeps.
func (v *vm) file() string {
	var b strings.Builder
	writeSection(&b, v.conf)
	if len(v.pending)+len(v.pendingDelete) > 0 {
		b.WriteString("\n[PENDING]\n")
		if len(v.pendingDelete) > 0 {
			b.WriteString("delete: " + strings.Join(sortedKeys(v.pendingDelete), ",") + "\n")
		}
		writeSection(&b, v.pending)
	}
	for _, s := range v.snapshots {
		fmt.Fprintf(&b, "\n[%s]\n#%s\nparent: %s\nsnaptime: %d\n", s.name, s.description, s.parent, s.taken.Unix())
		writeSection(&b, s.conf)
	}
	return b.String()
}

func writeSection(b *strings.Builder, m map[string]string) {
	for _, k := range sortedKeys(m) {
		fmt.Fprintf(b, "%s: %s\n", k, strings.ReplaceAll(m[k], "\n", "%0A"))
	}
}

// name is the VM's name, or the one Proxmox VE shows for a VM without.
func (v *vm) name() string {
	if n := v.conf["name"]; n != "" {
		return n
	}
	return fmt.Sprintf("VM %d", v.id)
}

// number reads a configuration key that is a number.
func number64(s string, otherwise float64) float64 {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	return otherwise
}

// memoryMiB is the memory of a configuration; 512 when it is not set.
func memoryMiB(conf map[string]string) int {
	return int(number64(strings.TrimPrefix(conf["memory"], "current="), 512))
}

// vcpus is how many processors a configuration gives.
func vcpus(conf map[string]string) int {
	if n := number64(conf["vcpus"], 0); n > 0 {
		return int(n)
	}
	return int(number64(conf["sockets"], 1) * number64(conf["cores"], 1))
}

// agentOn reports whether a configuration has the guest agent switched on.
func agentOn(conf map[string]string) bool {
	a, err := propStrings["agent"].parse("agent", conf["agent"])
	return err == nil && a["enabled"] == "1"
}
