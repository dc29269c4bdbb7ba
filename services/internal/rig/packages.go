package rig

import vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"

// Small is a package with one address and nothing special.
func Small(name string) *vmlinev1.Package {
	return &vmlinev1.Package{
		Cluster: Cluster, Template: "tmpl", CloneType: vmlinev1.CloneType_CLONE_TYPE_LINKED, Name: name,
		Cores: 1, MemoryMib: 1024,
		SystemDisk: &vmlinev1.Disk{SizeGb: 10},
		Network:    &vmlinev1.Network{Bridge: "vmbr0", Ipv4Count: 1},
		CloudInit:  &vmlinev1.CloudInit{User: "admin"},
		Readiness:  vmlinev1.Readiness_READINESS_RUNNING,
	}
}

// Full is a package that asks for everything.
func Full(name string) *vmlinev1.Package {
	p := Small(name)
	p.Cores, p.MemoryMib, p.CpuType, p.Onboot = 4, 8192, "host", true
	p.SystemDisk = &vmlinev1.Disk{SizeGb: 40, ReadMbps: 300, WriteMbps: 200, ReadIops: 5000, WriteIops: 4000}
	p.AdditionalDisk = &vmlinev1.Disk{Storage: "shared1", SizeGb: 100, ReadMbps: 100, WriteMbps: 100}
	p.Network = &vmlinev1.Network{Bridge: "vmbr0", RateMbps: 12.5, Ipv4Count: 2, Ipv6Count: 1}
	p.Firewall = &vmlinev1.Firewall{
		Enabled: true, PolicyIn: "DROP", PolicyOut: "ACCEPT", MacFilter: true, IpFilter: true, Dhcp: true, Ndp: true,
		Rules: []*vmlinev1.FirewallRule{
			{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "22", Comment: "ssh"},
			{Direction: "in", Action: "ACCEPT", Protocol: "icmp"},
		},
	}
	p.CloudInit = &vmlinev1.CloudInit{User: "admin", SearchDomain: "example.net", SshKeys: []string{
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAWxLQfcWCGt6g8EJlOzqpoxC1XUvYNM3ZvDUAVKxqO customer@example.net",
	}}
	return p
}
