package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/pve"
)

// facts are what was read of a cluster. An error stands beside what it hides.
type facts struct {
	now     time.Time
	cluster config.Cluster
	pools   []config.Pool // of this cluster

	endpoints    []pve.Endpoint
	resources    pve.Resources
	resourcesErr error
	nodes        []nodeFacts // that are online
	templates    []templateFacts
	permissions  map[string]map[string]bool // by path
	rightsErr    error
	roles        map[string][]string
	firewall     map[string]string
	firewallErr  error
}

type nodeFacts struct {
	name       string
	bridges    []pve.Bridge
	bridgesErr error
	ahead      time.Duration // how far its clock is before ours
	clockErr   error
}

type templateFacts struct {
	vm  pve.VM
	cfg pve.VMConfig
	err error
}

// version of the first endpoint that answered; "" if none did.
func (f *facts) version() string {
	for _, e := range f.endpoints {
		if e.Err == nil {
			return e.Version.Version
		}
	}
	return ""
}

type reader struct {
	Cluster
	*facts
}

func (r *reader) read(ctx context.Context) {
	for _, p := range r.Pools {
		if p.Cluster == r.Config.Name {
			r.pools = append(r.pools, p)
		}
	}
	r.resources, r.resourcesErr = r.Client.Resources(ctx)
	for _, n := range r.resources.Nodes {
		if n.Online {
			r.nodes = append(r.nodes, r.node(ctx, n.Name))
		}
	}
	for _, vm := range r.resources.VMs {
		if vm.Template {
			t := templateFacts{vm: vm}
			t.cfg, t.err = r.Client.VMConfig(ctx, vm.Node, vm.VMID)
			r.templates = append(r.templates, t)
		}
	}
	slices.SortFunc(r.templates, func(a, b templateFacts) int { return a.vm.VMID - b.vm.VMID })
	r.readRights(ctx)
	r.firewall, r.firewallErr = r.Client.ClusterFirewall(ctx)
}

func (r *reader) node(ctx context.Context, name string) nodeFacts {
	n := nodeFacts{name: name}
	n.bridges, n.bridgesErr = r.Client.Bridges(ctx, name)
	asked := r.Now()
	at, err := r.Client.NodeTime(ctx, name)
	answered := r.Now()
	n.ahead, n.clockErr = at.Sub(asked.Add(answered.Sub(asked)/2).Truncate(time.Second)), err
	return n
}

func (r *reader) readRights(ctx context.Context) {
	r.permissions = map[string]map[string]bool{}
	for _, n := range needsOf(r.version()) {
		for _, path := range n.on.paths(r.facts) {
			if r.permissions[path] != nil {
				continue
			}
			got, err := r.Client.Permissions(ctx, path)
			if err != nil {
				r.rightsErr = err
				return
			}
			r.permissions[path] = got
		}
	}
	// A role list that cannot be read only makes the advice longer.
	r.roles, _ = r.Client.Roles(ctx)
}
