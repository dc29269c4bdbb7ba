package demo

import (
	"context"
	"fmt"

	"github.com/vmline/vmline/pkg/api"
)

// order is one machine of the demonstration, from the order to what came of it.
type order struct {
	ref       string
	product   string
	pkg       api.Package
	operation api.Operation
	service   api.Service
}

// newOrders are three orders of two products. Refs that an earlier demonstration in the same data
// directory has used are left alone.
func newOrders(ctx context.Context, client *api.Client) ([]*order, error) {
	used, err := client.ListServices(ctx, 200, "")
	if err != nil {
		return nil, fmt.Errorf("list what is there: %w", err)
	}
	number := firstNumber
	for _, s := range used.Items {
		var n int
		if _, err := fmt.Sscanf(s.Ref, "demo-%d", &n); err == nil {
			number = max(number, n+1)
		}
	}
	var orders []*order
	for _, product := range []string{"starter", "business", "starter"} {
		o := &order{ref: fmt.Sprintf("demo-%d", number), product: product, pkg: products[product]}
		o.pkg.Name = fmt.Sprintf("%s-%d", product, number)
		orders = append(orders, o)
		number++
	}
	return orders, nil
}

// firstNumber is where the billing system's services begin.
const firstNumber = 1001

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5lq4mVCkvGoyN5m0Yw1sEbM5AIN4nGVKPI9S6g4Xhc customer@example"

var products = map[string]api.Package{
	"starter": {
		Cluster: clusterName, Template: templateName, Cores: 1, MemoryMiB: 1024,
		SystemDisk: api.Disk{SizeGB: 10},
		Network:    api.Network{Bridge: "vmbr0", IPv4Count: 1},
		CloudInit:  api.CloudInit{User: "debian", SSHKeys: []string{sshKey}},
		DNS:        api.DNS{Domain: domain, PTR: true},
	},
	"business": {
		Cluster: clusterName, Template: templateName, Cores: 4, MemoryMiB: 8192, OnBoot: true,
		SystemDisk:     api.Disk{SizeGB: 40, ReadMBps: 300, WriteMBps: 200, ReadIOPS: 5000, WriteIOPS: 4000},
		AdditionalDisk: api.Disk{Storage: "shared1", SizeGB: 100, ReadMBps: 100, WriteMBps: 100},
		Network:        api.Network{Bridge: "vmbr0", VLAN: 0, RateMBps: 12.5, IPv4Count: 1, IPv6Count: 1},
		Firewall: api.Firewall{
			Enabled: true, PolicyIn: "DROP", NDP: true, MACFilter: true, IPFilter: true,
			Rules: []api.FirewallRule{
				{Direction: "in", Action: "ACCEPT", Macro: "SSH"},
				{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "80,443", Comment: "web"},
			},
		},
		CloudInit: api.CloudInit{User: "debian", Password: "a password for the demo", SSHKeys: []string{sshKey}},
		DNS:       api.DNS{Domain: domain, PTR: true},
	},
}

// summary of a package in a few words.
func summary(p api.Package) string {
	text := fmt.Sprintf("%d CPU, %d MiB, %d GB", p.Cores, p.MemoryMiB, p.SystemDisk.SizeGB)
	if p.AdditionalDisk.SizeGB > 0 {
		text += fmt.Sprintf(" + %d GB", p.AdditionalDisk.SizeGB)
	}
	if p.Network.IPv4Count > 0 {
		text += ", IPv4"
	}
	if p.Network.IPv6Count > 0 {
		text += ", IPv6"
	}
	return text
}
