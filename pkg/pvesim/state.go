package pvesim

import (
	"maps"
	"sort"
	"time"
)

// VMState is a VM as it is now, for assertions.
type VMState struct {
	VMID        int
	Node        string
	Name        string
	Status      string // running or stopped
	Template    bool
	Lock        string
	Description string
	Tags        []string
	Pool        string
	// Config is the configuration in force, with Pending not in it. The password is there as stored.
	Config    map[string]string
	Pending   map[string]string
	Snapshots []string
	// Passwords are those that the guest agent has set, by user. They are the guest's: a clone has none.
	Passwords map[string]string
}

// VMs are all VMs, by VMID.
func (c *Cluster) VMs() []VMState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []VMState{}
	for _, v := range c.vms {
		out = append(out, c.state(v))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].VMID < out[j].VMID })
	return out
}

// VM is one VM as it is now.
func (c *Cluster) VM(vmid int) (VMState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vms[vmid]
	if v == nil {
		return VMState{}, false
	}
	return c.state(v), true
}

func (c *Cluster) state(v *vm) VMState {
	s := VMState{
		VMID: v.id, Node: v.node, Name: v.conf["name"], Status: v.status(), Template: v.template(), Lock: v.conf["lock"],
		Description: v.conf["description"], Tags: listOf(v.conf["tags"]), Pool: c.poolOf(v.id),
		Config: maps.Clone(v.conf), Pending: maps.Clone(v.pending), Passwords: maps.Clone(v.passwords),
	}
	for _, snap := range v.snapshots {
		s.Snapshots = append(s.Snapshots, snap.name)
	}
	return s
}

// VolumeState is a volume as it is now.
type VolumeState struct {
	VolID     string
	Node      string // "" on a shared storage
	VMID      int
	Content   string // images or backup
	SizeBytes int64
	Protected bool
}

// Volumes are all volumes of all storages.
func (c *Cluster) Volumes() []VolumeState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []VolumeState{}
	for k, v := range c.volumes {
		out = append(out, VolumeState{v.volid(), k.node, v.vmid, v.content, v.size, v.protected})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].VolID < out[j].VolID || out[i].VolID == out[j].VolID && out[i].Node < out[j].Node
	})
	return out
}

// FirewallState is a VM's firewall file as it is now.
type FirewallState struct {
	VMID    int
	Options map[string]string
	Rules   []map[string]string // in order
	IPSets  map[string][]string // name to addresses
	Aliases map[string]string   // name to address
}

// Firewalls are the firewall files that exist, also those of VMs that do not.
func (c *Cluster) Firewalls() []FirewallState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []FirewallState{}
	for id, f := range c.firewalls {
		if id == 0 {
			continue
		}
		s := FirewallState{VMID: id, Options: maps.Clone(f.options), IPSets: map[string][]string{}, Aliases: map[string]string{}}
		for _, r := range f.rules {
			s.Rules = append(s.Rules, maps.Clone(r))
		}
		for _, set := range f.ipsets {
			s.IPSets[set.name] = []string{}
			for _, e := range set.entries {
				s.IPSets[set.name] = append(s.IPSets[set.name], e.cidr)
			}
		}
		for _, a := range f.aliases {
			s.Aliases[a.name] = a.cidr
		}
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].VMID < out[j].VMID })
	return out
}

// TaskState is a task as it is now.
type TaskState struct {
	UPID, Node, Type, ID, User string
	Running                    bool
	ExitStatus                 string
	Log                        []string
	Started, Ended             time.Time
}

// Tasks are all tasks, oldest first.
func (c *Cluster) Tasks() []TaskState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []TaskState{}
	for _, t := range c.taskOrder {
		out = append(out, TaskState{t.upid, t.node, t.typ, t.id, identity{t.user, t.token}.String(), t.running, t.exit, append([]string(nil), t.lines...), t.started, t.ended})
	}
	return out
}
