package pvesim

import (
	"fmt"
	"strings"
	"time"
)

// Profile is a set of sizes and times with a name.
type Profile struct {
	Name  string
	About string // one line for people
	// Nodes is how many nodes there are; 0 keeps those of the configuration.
	Nodes int
	// Machines is how many stopped VMs of somebody else there are, from VMID 10000 on.
	Machines int

	Durations  Durations
	StatsEvery time.Duration // age of the figures in /cluster/resources
	AuthDelay  time.Duration // of an answer 401
	AgentAfter time.Duration // from a start to the guest agent's first answer
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

// profiles are all that have a name.
var profiles = []Profile{
	{Name: "instant", About: "every task is over before its answer; figures are always fresh"},
	{
		Name: "quick", About: "tasks take up to 2 s: enough to watch",
		Durations: Durations{
			Fork: 5 * ms, Create: 500 * ms, Clone: 2 * sec, Config: 20 * ms, Resize: 200 * ms, Template: 200 * ms, Destroy: sec,
			Start: sec, Stop: sec, Shutdown: 2 * sec, Reboot: 2 * sec, Suspend: 200 * ms, Resume: 200 * ms,
			Snapshot: 500 * ms, SnapshotDelete: 500 * ms, Rollback: 500 * ms, Migrate: 2 * sec, Move: 2 * sec, Backup: 2 * sec, DeleteVolume: 200 * ms,
		},
		StatsEvery: 2 * sec, AgentAfter: sec,
	},
	{Name: "real", About: "times, locked storages and old figures as on a cluster with SSDs and small images", Durations: realTimes, StatsEvery: 10 * sec, AuthDelay: 3 * sec, AgentAfter: 12 * sec},
	{Name: "large", About: "10 nodes with 1,000 machines of others, times of real", Nodes: 10, Machines: 1000, Durations: realTimes, StatsEvery: 10 * sec, AuthDelay: 3 * sec, AgentAfter: 12 * sec},
}

var realTimes = Durations{
	Fork: 5 * ms, Allocate: 800 * ms, Create: sec, Clone: 15 * sec, Config: 100 * ms, Resize: 500 * ms, Template: sec, Destroy: 2 * sec,
	Start: 2 * sec, Stop: 2 * sec, Shutdown: 8 * sec, Reboot: 10 * sec, Suspend: 500 * ms, Resume: 500 * ms,
	Snapshot: 2 * sec, SnapshotDelete: 3 * sec, Rollback: 4 * sec, Migrate: 20 * sec, Move: 20 * sec, Backup: 40 * sec, DeleteVolume: sec,
}

// Profiles are the profiles that have a name.
func Profiles() []Profile { return append([]Profile(nil), profiles...) }

// ProfileNamed finds a profile.
func ProfileNamed(name string) (Profile, error) {
	var names []string
	for _, p := range profiles {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("no profile %q; there are %s", name, strings.Join(names, ", "))
}

// Apply gives a configuration the profile's sizes and times.
func (p Profile) Apply(cfg *Config) {
	cfg.Durations, cfg.StatsEvery, cfg.AuthDelay = p.Durations, p.StatsEvery, p.AuthDelay
	if p.Nodes > 0 {
		cfg.Nodes = nil
		for i := range p.Nodes {
			cfg.Nodes = append(cfg.Nodes, Node{Name: fmt.Sprintf("pve%d", i+1), CPUs: 64, MemoryMiB: 512 << 10})
		}
	}
	for i := range cfg.Templates {
		cfg.Templates[i].Guest.AgentAfter = p.AgentAfter
	}
	for i := range p.Machines {
		cfg.VMs = append(cfg.VMs, VMSpec{
			VMID: 10000 + i, Node: cfg.Nodes[i%len(cfg.Nodes)].Name, Name: fmt.Sprintf("other%d", i), Storage: cfg.Templates[0].Storage, DiskGB: 10,
			Config: map[string]string{"memory": "2048", "net0": "virtio,bridge=vmbr0"},
		})
	}
}
