package pvesim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Cluster is a simulated cluster. All its methods may be used at the same time.
type Cluster struct {
	cfg     Config
	release release

	// mu guards everything below. Handlers and task steps run with it held; only waiting releases it.
	mu      sync.Mutex
	rnd     *rand.Rand
	boot    time.Time
	closing chan struct{}
	down    bool

	nodes    []*node
	storages []*storage
	volumes  map[volumeKey]*volume
	vms      map[int]*vm
	pools    map[string]*pool
	// firewalls are kept apart from the VMs, like the .fw files of Proxmox VE. 0 is the cluster's.
	firewalls     map[int]*firewall
	nodeFirewalls map[string]*firewall
	groups        map[string]*firewall   // security groups
	ha            map[string]*haResource // by "vm:101"
	haRules       map[string]*haEntry
	haGroups      map[string]*haEntry
	access        access
	options       map[string]string // datacenter.cfg
	backupJobs    []*backupJob

	flocks    map[string]*flock
	tasks     map[string]*task
	taskOrder []*task
	lastEnded map[string]*task // of each node, where none has started since
	pids      int
	stats     stats

	faults []*Fault
	calls  []Call
}

type node struct {
	Node
	online      bool
	maintenance bool
	dns         map[string]string
	settings    map[string]string // by nodeFields
	// ifaces are the interfaces once they were changed; nextIfaces those that wait to be applied, nil for none.
	ifaces, nextIfaces map[string]map[string]string
	zone               *time.Location
}

// New makes a cluster. It panics when cfg contradicts itself, for example with a template on a
// storage that does not exist.
func New(cfg Config) *Cluster {
	cfg = cfg.withDefaults()
	c := &Cluster{
		cfg:           cfg,
		release:       releases[cfg.PVE],
		rnd:           rand.New(rand.NewPCG(cfg.Seed, 0x70766573696d)),
		boot:          cfg.Now().Add(-time.Hour),
		closing:       make(chan struct{}),
		volumes:       map[volumeKey]*volume{},
		vms:           map[int]*vm{},
		pools:         map[string]*pool{},
		firewalls:     map[int]*firewall{},
		nodeFirewalls: map[string]*firewall{},
		groups:        map[string]*firewall{},
		ha:            map[string]*haResource{},
		haRules:       map[string]*haEntry{},
		haGroups:      map[string]*haEntry{},
		options:       map[string]string{},
		flocks:        map[string]*flock{},
		tasks:         map[string]*task{},
		lastEnded:     map[string]*task{},
		pids:          1000,
		stats:         stats{at: cfg.Now()},
	}
	if c.release.version == "" {
		panic(fmt.Sprintf("pvesim: no release %q of Proxmox VE; there are %s", cfg.PVE, strings.Join(Releases(), ", ")))
	}
	for i, n := range cfg.Nodes {
		c.nodes = append(c.nodes, newNode(n, i))
	}
	for _, s := range cfg.Storages {
		c.storages = append(c.storages, newStorage(s))
	}
	for _, p := range cfg.Pools {
		c.pools[p] = newPool(p, "")
	}
	c.access = newAccess(cfg, c.release)
	for _, t := range cfg.Templates {
		if err := c.addTemplate(t); err != nil {
			panic(fmt.Sprintf("pvesim: template %d: %v", t.VMID, err))
		}
	}
	for _, v := range cfg.VMs {
		if err := c.addVM(v); err != nil {
			panic(fmt.Sprintf("pvesim: VM %d: %v", v.VMID, err))
		}
	}
	return c
}

func newNode(n Node, i int) *node {
	if n.IP == "" {
		n.IP = fmt.Sprintf("192.0.2.%d", 10+i)
	}
	if n.CPUs == 0 {
		n.CPUs = 16
	}
	if n.MemoryMiB == 0 {
		n.MemoryMiB = 65536
	}
	if n.Bridges == nil {
		n.Bridges = []string{"vmbr0"}
	}
	return &node{Node: n, online: true, settings: map[string]string{}, zone: time.UTC, dns: map[string]string{"search": "example.com", "dns1": "192.0.2.1"}}
}

// Close ends all waiting: calls under way are dropped and running tasks never end.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed() {
		return
	}
	close(c.closing)
	for _, t := range c.taskOrder {
		if t.job != nil && t.job.stop != nil {
			t.job.stop()
		}
	}
}

func (c *Cluster) closed() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// after runs f with c.mu held once d has passed; at once when d is zero. c.mu must be held.
func (c *Cluster) after(d time.Duration, f func()) (stop func()) {
	if d <= 0 {
		f()
		return func() {}
	}
	stopped := false
	cancel := c.cfg.After(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !stopped && !c.closed() {
			f()
		}
	})
	return func() { stopped = true; cancel() }
}

func (c *Cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// uuid makes a random UUID (version 4).
func (c *Cluster) uuid() string {
	a, b := c.rnd.Uint64(), c.rnd.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%x%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, 8+b>>62, b>>48&0xfff, b&0xffffffffffff)
}

// mac makes a MAC address with the prefix that Proxmox VE uses.
func (c *Cluster) mac() string {
	v := c.rnd.Uint32()
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", v>>16&0xff, v>>8&0xff, v&0xff)
}
