package provisioner

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/reading"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/placement"
)

// inventoryAge is how old a cluster's inventory may be. Orders that come together share one call;
// nothing rests on the list alone, because Proxmox itself lets it lag behind by 10 s.
const inventoryAge = 2 * time.Second

// templateAge is how old the configuration of a template may be: templates hardly ever change.
const templateAge = time.Minute

// bridgeAge is how old the list of a node's bridges, and of the nodes in maintenance, may be.
const bridgeAge = 30 * time.Second

// inventory is what a cluster has: read as a whole, and what only templates and nodes themselves tell.
type inventory struct {
	client *pve.Client
	now    func() time.Time
	rules  Rules
	log    *slog.Logger

	resources   *reading.Shared[pve.Resources]
	maintenance *reading.Shared[[]string]
	blind       sync.Once // to say that Proxmox's own maintenance mode cannot be seen
	templates   reading.Keyed[int, []string]
	bridges     reading.Keyed[string, bridges]
}

// bridges of a node. A failure is kept like an answer, so that a node that hangs does not hold every
// order up anew.
type bridges struct {
	names []string
	err   error
}

func newInventory(c *pve.Client, rules Rules, now func() time.Time, log *slog.Logger) *inventory {
	return &inventory{
		client: c, now: now, rules: rules, log: log, resources: reading.New[pve.Resources](), maintenance: reading.New[[]string](),
	}
}

// list returns the cluster's resources, at most so old; 0 means as they are now.
func (i *inventory) list(ctx context.Context, age time.Duration) (pve.Resources, error) {
	return i.resources.Get(ctx, i.now, age, func() (pve.Resources, error) { return i.client.Resources(ctx) })
}

// look returns all that placing a package needs to know; fresh has everything read now.
func (i *inventory) look(ctx context.Context, pkg *vmlinev1.Package, fresh bool) (placement.Inventory, error) {
	age := func(d time.Duration) time.Duration {
		if fresh {
			return 0
		}
		return d
	}
	inv := placement.Inventory{Limits: i.rules.limits()}
	var err error
	if inv.Resources, err = i.list(ctx, age(inventoryAge)); err != nil {
		return inv, err
	}
	if inv.Maintenance, err = i.inMaintenance(ctx, age(bridgeAge)); err != nil {
		return inv, err
	}
	if inv.Volumes, err = i.volumes(ctx, inv, pkg.GetTemplate(), age(templateAge)); err != nil {
		return inv, err
	}
	if pkg.GetNetwork().GetBridge() == "" {
		return inv, nil
	}
	inv.Bridges, inv.Mute, err = i.allBridges(ctx, inv, age(bridgeAge))
	return inv, err
}

// inMaintenance are the nodes that the configuration or Proxmox's high availability says. Where the token
// may not see the latter, the configuration alone decides.
func (i *inventory) inMaintenance(ctx context.Context, age time.Duration) (map[string]bool, error) {
	seen, err := i.maintenance.Get(ctx, i.now, age, func() ([]string, error) {
		nodes, err := i.client.NodesInMaintenance(ctx)
		if pve.KindOf(err) == pve.NoPermission {
			i.blind.Do(func() {
				i.log.Info("the token may not see Proxmox's own maintenance mode of nodes (Sys.Audit on /); only the configuration's list counts", "error", err)
			})
			return nil, nil
		}
		return nodes, err
	})
	nodes := map[string]bool{}
	for _, n := range append(slices.Clone(seen), i.rules.Maintenance...) {
		nodes[n] = true
	}
	return nodes, err
}

// volumes are the storages of each of the package's templates. A copy that cannot be read is left out as
// long as there is another.
func (i *inventory) volumes(ctx context.Context, inv placement.Inventory, want string, age time.Duration) (map[int][]string, error) {
	templates, err := placement.Templates(inv.Resources, want)
	if err != nil {
		return nil, err
	}
	var failed error
	volumes := map[int][]string{}
	for _, tpl := range templates {
		if !inv.Online(tpl.Node) {
			continue
		}
		storages, err := i.templateStorages(ctx, tpl.Node, tpl.VMID, age)
		if err != nil {
			failed = err
			continue
		}
		volumes[tpl.VMID] = storages
	}
	if len(volumes) == 0 {
		return nil, failed // nil where all of their nodes are down
	}
	return volumes, nil
}

// templateStorages returns the storages that a template's volumes are on.
func (i *inventory) templateStorages(ctx context.Context, node string, vmid int, age time.Duration) ([]string, error) {
	return i.templates.Of(vmid).Get(ctx, i.now, age, func() ([]string, error) {
		cfg, err := i.client.VMConfig(ctx, node, vmid)
		if err != nil {
			return nil, err
		}
		return storagesOf(cfg), nil
	})
}

// allBridges asks every node that may get something, all at once. mute are those that did not answer.
func (i *inventory) allBridges(ctx context.Context, inv placement.Inventory, age time.Duration) (has map[string][]string, mute map[string]bool, err error) {
	var (
		mu sync.Mutex
		g  errgroup.Group
	)
	has, mute = map[string][]string{}, map[string]bool{}
	for _, n := range inv.Nodes {
		if !n.Online || inv.Maintenance[n.Name] {
			continue
		}
		g.Go(func() error {
			got, err := i.bridgesOf(ctx, n.Name, age)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				return err
			case got.err == nil:
				has[n.Name] = got.names
			case pve.KindOf(got.err) != pve.NoPermission:
				mute[n.Name] = true
			}
			return nil
		})
	}
	err = g.Wait()
	return has, mute, err
}

func (i *inventory) bridgesOf(ctx context.Context, node string, age time.Duration) (bridges, error) {
	return i.bridges.Of(node).Get(ctx, i.now, age, func() (bridges, error) {
		list, err := i.client.Bridges(ctx, node)
		if ctx.Err() != nil {
			return bridges{}, ctx.Err()
		}
		names := make([]string, len(list))
		for k, b := range list {
			names[k] = b.Name
		}
		return bridges{names, err}, nil
	})
}

// diskKey matches the keys of drives in a VM's configuration.
var diskKey = regexp.MustCompile(`^(ide|scsi|virtio|sata)\d+$`)

// storagesOf returns the storages of every drive of a machine, also of CDs: Proxmox counts them too
// when it looks whether a machine can be cloned to another node.
func storagesOf(cfg pve.VMConfig) []string {
	var storages []string
	for key := range cfg.Values {
		if !diskKey.MatchString(key) {
			continue
		}
		if drive, err := cfg.Disk(key); err == nil && drive.Storage() != "" {
			storages = append(storages, drive.Storage())
		}
	}
	slices.Sort(storages)
	return slices.Compact(storages)
}
