package provisioner

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/pve"
)

// inventoryAge is how old a cluster's inventory may be. Orders that come together share one call;
// nothing rests on the list alone, because Proxmox itself lets it lag behind by 10 s.
const inventoryAge = 2 * time.Second

// templateAge is how old the configuration of a template may be: templates hardly ever change.
const templateAge = time.Minute

// inventory is what a cluster has, read as a whole, and where the volumes of its templates are.
type inventory struct {
	client *pve.Client
	now    func() time.Time

	resources *reading[pve.Resources]

	mu        sync.Mutex
	templates map[int]*reading[[]string]
}

func newInventory(c *pve.Client, now func() time.Time) *inventory {
	return &inventory{client: c, now: now, resources: newReading[pve.Resources](), templates: map[int]*reading[[]string]{}}
}

// list returns the cluster's resources, at most so old; 0 means as they are now.
func (i *inventory) list(ctx context.Context, age time.Duration) (pve.Resources, error) {
	return i.resources.get(ctx, i.now, age, func() (pve.Resources, error) { return i.client.Resources(ctx) })
}

// templateStorages returns the storages that a template's volumes are on.
func (i *inventory) templateStorages(ctx context.Context, t pve.VM) ([]string, error) {
	i.mu.Lock()
	known := i.templates[t.VMID]
	if known == nil {
		known = newReading[[]string]()
		i.templates[t.VMID] = known
	}
	i.mu.Unlock()
	return known.get(ctx, i.now, templateAge, func() ([]string, error) {
		cfg, err := i.client.VMConfig(ctx, t.Node, t.VMID)
		if err != nil {
			return nil, err
		}
		return storagesOf(cfg), nil
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

// reading is something that many want at the same time: one of them reads it, the others wait for
// that reading and share it, also when it fails. Otherwise each of them in turn would wait for the
// same time-out.
type reading[T any] struct {
	turn  chan struct{} // whoever fills it may read or look at the rest
	at    time.Time
	value T
	err   error
}

func newReading[T any]() *reading[T] { return &reading[T]{turn: make(chan struct{}, 1)} }

func (r *reading[T]) get(ctx context.Context, now func() time.Time, age time.Duration, read func() (T, error)) (T, error) {
	asked := now()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	young := r.err == nil && !r.at.IsZero() && asked.Sub(r.at) < age
	if whileWaiting := r.at.After(asked); young || whileWaiting {
		return r.value, r.err
	}
	r.value, r.err = read()
	r.at = now()
	return r.value, r.err
}
