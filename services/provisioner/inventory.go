package provisioner

import (
	"context"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/pve"
)

// inventoryAge is how old a cluster's inventory may be. Orders that come together share one call;
// nothing rests on the list alone, because Proxmox itself lets it lag behind by 10 s.
const inventoryAge = 2 * time.Second

// inventory is what a cluster has, read as a whole.
type inventory struct {
	client *pve.Client
	now    func() time.Time

	mu        sync.Mutex
	at        time.Time
	resources pve.Resources
	templates map[int]template
}

// template is what placement needs to know of a template. It is read once in templateAge.
type template struct {
	at      time.Time
	storage string
}

const templateAge = time.Minute

func newInventory(c *pve.Client, now func() time.Time) *inventory {
	return &inventory{client: c, now: now, templates: map[int]template{}}
}

// list returns the cluster's resources. Whoever asks while another reads waits for that reading.
func (i *inventory) list(ctx context.Context) (pve.Resources, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.now().Sub(i.at) < inventoryAge {
		return i.resources, nil
	}
	r, err := i.client.Resources(ctx)
	if err != nil {
		return pve.Resources{}, err
	}
	i.resources, i.at = r, i.now()
	return r, nil
}

// templateStorage returns the storage of a template's system disk.
func (i *inventory) templateStorage(ctx context.Context, t pve.VM) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, ok := i.templates[t.VMID]; ok && i.now().Sub(known.at) < templateAge {
		return known.storage, nil
	}
	cfg, err := i.client.VMConfig(ctx, t.Node, t.VMID)
	if err != nil {
		return "", err
	}
	disk, err := cfg.Disk(cfg.SystemDisk())
	if err != nil {
		return "", err
	}
	i.templates[t.VMID] = template{at: i.now(), storage: disk.Storage()}
	return disk.Storage(), nil
}
