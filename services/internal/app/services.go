package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns"
	"github.com/vmline/vmline/services/ipam"
	"github.com/vmline/vmline/services/lifecycle"
)

// Service is one of vmline's services and what it needs.
type Service struct {
	// Name is also its user's on the NATS server.
	Name string
	// Parts of the configuration whose secrets it reads.
	Parts []config.Part

	// prepare opens what the service alone needs, before any service runs.
	prepare func(*App) error
	run     func(context.Context, *App) error
}

// The services.
var (
	Gateway     = Service{Name: "gateway", Parts: []config.Part{config.PartGateway}, prepare: (*App).openGateway, run: runGateway}
	IPAM        = Service{Name: "ipam", prepare: (*App).openPools, run: runIPAM}
	Provisioner = Service{Name: "provisioner", Parts: []config.Part{config.PartClusters}, prepare: (*App).openProvisioner, run: runProvisioner}
	Lifecycle   = Service{Name: "lifecycle", Parts: []config.Part{config.PartClusters}, prepare: (*App).openClusters, run: runLifecycle}
	DNS         = Service{Name: "dns", Parts: []config.Part{config.PartDNS}, run: runDNS}
)

// All returns every service.
func All() []Service { return []Service{Gateway, IPAM, Provisioner, Lifecycle, DNS} }

// AllParts is what a process with every service reads.
func AllParts() []config.Part {
	var parts []config.Part
	for _, s := range All() {
		parts = append(parts, s.Parts...)
	}
	return parts
}

// openPools checks the pools and opens the index of their addresses.
func (a *App) openPools() error {
	if err := ipam.CheckPools(pools(a.cfg)); err != nil {
		return err
	}
	return a.openRedis()
}

func runIPAM(ctx context.Context, a *App) error {
	return ipam.Run(ctx, ipam.Config{Bus: a.Bus, Redis: a.redis, Pools: pools(a.cfg), Logger: a.log})
}

func pools(cfg *config.Config) []*vmlinev1.Pool {
	list := make([]*vmlinev1.Pool, 0, len(cfg.Pools))
	for _, p := range cfg.Pools {
		list = append(list, pool(p))
	}
	return list
}

func pool(p config.Pool) *vmlinev1.Pool {
	out := &vmlinev1.Pool{
		Name: p.Name, Cluster: p.Cluster, Bridge: p.Bridge, Vlan: p.VLAN, Prefix: p.Prefix.String(),
		Gateway: text(p.Gateway), First: text(p.First), Last: text(p.Last), Exclude: p.Exclude,
	}
	for _, server := range p.DNSServers {
		out.DnsServers = append(out.DnsServers, text(server))
	}
	return out
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func runLifecycle(ctx context.Context, a *App) error {
	parking := make(map[string][]int, len(a.cfg.Clusters))
	for _, c := range a.cfg.Clusters {
		parking[c.Name] = c.ParkingVMIDs
	}
	return lifecycle.Run(ctx, lifecycle.Config{Bus: a.Bus, Clusters: a.clusters, Parking: parking, Logger: a.log})
}

// openClusters makes the clients of the Proxmox clusters, once for all services of the process.
func (a *App) openClusters() error {
	if len(a.cfg.Clusters) == 0 {
		return errors.New("no clusters are configured; name one under clusters")
	}
	for _, c := range a.cfg.Clusters {
		if a.clusters[c.Name] != nil {
			continue
		}
		client, err := OpenCluster(c)
		if err != nil {
			return err
		}
		a.clusters[c.Name] = client
		a.onClose(func() error { client.Close(); return nil })
	}
	return nil
}

// OpenCluster makes a client of a cluster of the configuration and does no network.
func OpenCluster(c config.Cluster) (*pve.Client, error) {
	client, err := pve.New(pve.Config{
		Name: c.Name, URL: c.URL, Endpoints: c.Endpoints,
		TokenID: c.TokenID, TokenSecret: string(c.TokenSecret), User: c.User, Password: string(c.Password),
		RootCAs: c.RootCAs, Fingerprint: c.Fingerprint, InsecureSkipVerify: c.InsecureSkipVerify,
		Timeout: c.Timeout, ReadTimeout: c.ReadTimeout, PollTimeout: c.PollTimeout, MaxInFlight: c.MaxInFlight,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	return client, nil
}

func runDNS(ctx context.Context, a *App) error {
	zones := make([]dns.Zone, 0, len(a.cfg.DNS.Zones))
	for _, z := range a.cfg.DNS.Zones {
		zone := dns.Zone{Name: z.Name, Server: z.Server, TTL: z.TTL}
		if t := z.TSIG; t != nil {
			zone.TSIG = dns.TSIG{Name: t.Name, Algorithm: t.Algorithm, Secret: string(t.Secret)}
		}
		zones = append(zones, zone)
	}
	return dns.Run(ctx, dns.Config{Bus: a.Bus, Zones: zones, Logger: a.log})
}
