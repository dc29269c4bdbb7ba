package pvesim

import "time"

// Config describes a simulated cluster. The zero value of a field means its default.
type Config struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// After runs f once d has passed, unless stop is called first; default time.AfterFunc.
	// It must not run f before it has returned. Work in steps sets the timer of a step when the one
	// before has fired, so a clock moved by hand should go from timer to timer.
	After func(d time.Duration, f func()) (stop func())
	// PVE is the release of Proxmox VE: "9" (the default), "8.4", "8" (8.2, whose errors have no
	// message in their body) or "8.0" (which also resizes disks without a task).
	PVE string
	// Seed makes MAC addresses, UUIDs and tokens repeatable.
	Seed uint64

	// Tokens are the API tokens: "user@realm!id" to secret.
	Tokens map[string]string
	// Passwords are the users that can log in by POST /access/ticket: "user@realm" to password.
	Passwords map[string]string
	// Roles adds roles to those that Proxmox VE has from the start: name to privileges.
	Roles map[string][]string
	// ACL gives roles to users and tokens. nil makes all of Tokens and Passwords Administrators on "/".
	ACL []ACL
	// AuthDelay is how long an answer 401 is held back. The real API takes 3 s.
	AuthDelay time.Duration

	Nodes     []Node
	Storages  []Storage
	Templates []Template
	// VMs are other VMs that exist from the start.
	VMs   []VMSpec
	Pools []string

	// Durations says how long the work of each task takes.
	Durations Durations
	// KeepCalls is how many calls Cluster.Calls remembers; 0 for all.
	KeepCalls int
	// KeepTasks is how many tasks that have ended are remembered; 0 for all.
	KeepTasks int
	// StatsEvery is how old the figures of /cluster/resources may be (a real cluster: 10 s). A guest
	// younger than that shows as "unknown". 0 keeps them fresh.
	StatsEvery time.Duration
}

// ACL is one entry of the access control list.
type ACL struct {
	Path string // "/", "/vms/100", "/pool/x", "/storage/local", ...
	Who  string // "user@realm" or "user@realm!token"
	Role string
	// NoPropagate keeps the entry from applying to the paths below Path.
	NoPropagate bool
}

// Node is one member of the cluster.
type Node struct {
	Name      string
	IP        string   // default 192.0.2.10 and up
	CPUs      int      // default 16
	MemoryMiB int      // default 65536
	Bridges   []string // default vmbr0
}

// Storage is one entry of the storage configuration.
type Storage struct {
	Name    string
	Type    string   // dir (default), nfs, lvm, lvmthin, zfspool, rbd
	Shared  bool     // one content for all nodes
	Content []string // default images and backup; dir also iso, import, rootdir, snippets, vztmpl
	Nodes   []string // nodes that have it; default all
	TotalGB int      // size on each node in GiB; default 252
	// Preallocation "full" makes images take their whole size at once.
	Preallocation string
	Disabled      bool
}

// Template is a VM template that exists from the start.
type Template struct {
	VMID    int
	Node    string
	Name    string
	Storage string // of the disk and the cloud-init drive
	DiskGB  int    // size of scsi0 in GiB; default 2
	Format  string // of scsi0 on file storages; default raw
	// Config adds to or overrides the configuration keys. An empty value removes a key.
	Config map[string]string
	Guest  Guest
}

// Guest says how the system inside a VM behaves. Clones inherit it.
type Guest struct {
	// NoAgent is a guest without a running QEMU guest agent.
	NoAgent bool
	// IgnoresShutdown is a guest that does not react to a shutdown request.
	IgnoresShutdown bool
	// AgentAfter is how long after the start the agent answers.
	AgentAfter time.Duration
	// CloudInitAfter is how long after the start cloud-init ends.
	CloudInitAfter time.Duration
	// CloudInit is what "cloud-init status" says once it has ended: done (the default), error, disabled.
	CloudInit string
}

// Durations says how long the work of each kind of task takes, after its locks are held. Zero means
// that it is done at once.
type Durations struct {
	// Fork is the time from the answer with the UPID to the start of the work. Without it a second
	// call sees what the task of the first has begun.
	Fork time.Duration
	// Allocate is how long a storage is locked for each volume that is made in it. Others wait for at
	// most 10 s, as on a real cluster when clones run beside each other. 0: storages are not locked.
	Allocate                                         time.Duration
	Create, Clone, Config, Resize, Template, Destroy time.Duration
	Start, Stop, Shutdown, Reboot, Suspend, Resume   time.Duration
	Snapshot, SnapshotDelete, Rollback               time.Duration
	Migrate, Move, Backup, DeleteVolume              time.Duration
}

// Default describes a cluster of three nodes pve1, pve2 and pve3 with bridge vmbr0; storages local
// (dir, on each node), shared1 (dir, shared) and local-lvm (lvmthin, on each node); template 9000 on
// pve1 with a 2 GiB disk and a cloud-init drive on shared1; and one token, "vmline@pve!prov" with
// secret "00000000-0000-4000-8000-000000000001", which may do everything.
func Default() Config {
	return Config{
		Tokens: map[string]string{"vmline@pve!prov": "00000000-0000-4000-8000-000000000001"},
		Nodes:  []Node{{Name: "pve1"}, {Name: "pve2"}, {Name: "pve3"}},
		Storages: []Storage{
			{Name: "local", Type: "dir", TotalGB: 4096, Content: dirContent},
			{Name: "shared1", Type: "dir", Shared: true, TotalGB: 65536, Content: []string{"images", "backup"}},
			{Name: "local-lvm", Type: "lvmthin", TotalGB: 16384, Content: []string{"images", "rootdir"}},
		},
		Templates: []Template{{VMID: 9000, Node: "pve1", Name: "tmpl", Storage: "shared1", DiskGB: 2}},
	}
}

var dirContent = []string{"backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl"}

// withDefaults fills in what was left out.
func (cfg Config) withDefaults() Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = func(d time.Duration, f func()) func() {
			t := time.AfterFunc(d, f)
			return func() { t.Stop() }
		}
	}
	if cfg.PVE == "" {
		cfg.PVE = "9"
	}
	if cfg.ACL == nil {
		for _, who := range sortedKeys(cfg.Tokens) {
			user, _ := splitToken(who)
			cfg.ACL = append(cfg.ACL, ACL{Path: "/", Who: who, Role: "Administrator"}, ACL{Path: "/", Who: user, Role: "Administrator"})
		}
		for _, user := range sortedKeys(cfg.Passwords) {
			cfg.ACL = append(cfg.ACL, ACL{Path: "/", Who: user, Role: "Administrator"})
		}
	}
	return cfg
}
