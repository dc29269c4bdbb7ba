package api

import (
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// ToProto returns the package for a command. sealedPassword stands in for the clear one, which no
// command can hold.
func (p Package) ToProto(sealedPassword []byte) *vmlinev1.Package {
	return &vmlinev1.Package{
		Cluster: p.Cluster, Node: p.Node, Template: p.Template,
		CloneType: vmlinev1.CloneType(vmlinev1.CloneType_value["CLONE_TYPE_"+strings.ToUpper(p.CloneType)]),
		Name:      p.Name, FirstVmid: p.FirstVMID, Cores: p.Cores, CpuType: p.CPUType, MemoryMib: p.MemoryMiB,
		SystemDisk: p.SystemDisk.toProto(), AdditionalDisk: p.AdditionalDisk.toProto(),
		Network: &vmlinev1.Network{
			Model: p.Network.Model, Bridge: p.Network.Bridge, Vlan: p.Network.VLAN, RateMbps: p.Network.RateMBps,
			Ipv4Count: p.Network.IPv4Count, Ipv6Count: p.Network.IPv6Count, Addresses: p.Network.Addresses,
		},
		Firewall: p.Firewall.toProto(),
		CloudInit: &vmlinev1.CloudInit{
			User: p.CloudInit.User, SealedPassword: sealedPassword, SshKeys: p.CloudInit.SSHKeys,
			DnsServers: p.CloudInit.DNSServers, SearchDomain: p.CloudInit.SearchDomain,
		},
		Dns:       &vmlinev1.Dns{Domain: p.DNS.Domain, Ptr: p.DNS.PTR, Ttl: p.DNS.TTLSeconds, PtrName: p.DNS.PTRName},
		Onboot:    p.OnBoot,
		Readiness: vmlinev1.Readiness(vmlinev1.Readiness_value["READINESS_"+strings.ToUpper(p.Readiness)]),
		Nodes:     p.Nodes, Customer: p.Customer, AntiAffinity: p.AntiAffinity,
	}
}

// FromPackage returns the package without its secrets, nil for nil.
func FromPackage(p *vmlinev1.Package) *Package {
	if p == nil {
		return nil
	}
	n, c := p.GetNetwork(), p.GetCloudInit()
	return &Package{
		Cluster: p.GetCluster(), Node: p.GetNode(), Template: p.GetTemplate(),
		CloneType: enumName(p.GetCloneType().String(), "CLONE_TYPE_"),
		Name:      p.GetName(), FirstVMID: p.GetFirstVmid(), Cores: p.GetCores(), CPUType: p.GetCpuType(), MemoryMiB: p.GetMemoryMib(),
		SystemDisk: fromDisk(p.GetSystemDisk()), AdditionalDisk: fromDisk(p.GetAdditionalDisk()),
		Network: Network{
			Model: n.GetModel(), Bridge: n.GetBridge(), VLAN: n.GetVlan(), RateMBps: n.GetRateMbps(),
			IPv4Count: n.GetIpv4Count(), IPv6Count: n.GetIpv6Count(), Addresses: n.GetAddresses(),
		},
		Firewall: fromFirewall(p.GetFirewall()),
		CloudInit: CloudInit{
			User: c.GetUser(), SSHKeys: c.GetSshKeys(), DNSServers: c.GetDnsServers(), SearchDomain: c.GetSearchDomain(),
		},
		DNS:       DNS{Domain: p.GetDns().GetDomain(), PTR: p.GetDns().GetPtr(), TTLSeconds: p.GetDns().GetTtl(), PTRName: p.GetDns().GetPtrName()},
		OnBoot:    p.GetOnboot(),
		Readiness: enumName(p.GetReadiness().String(), "READINESS_"),
		Nodes:     p.GetNodes(), Customer: p.GetCustomer(), AntiAffinity: p.GetAntiAffinity(),
	}
}

func (d Disk) toProto() *vmlinev1.Disk {
	return &vmlinev1.Disk{
		Storage: d.Storage, SizeGb: d.SizeGB, ReadMbps: d.ReadMBps, WriteMbps: d.WriteMBps, ReadIops: d.ReadIOPS, WriteIops: d.WriteIOPS,
	}
}

func fromDisk(d *vmlinev1.Disk) Disk {
	return Disk{
		Storage: d.GetStorage(), SizeGB: d.GetSizeGb(), ReadMBps: d.GetReadMbps(), WriteMBps: d.GetWriteMbps(),
		ReadIOPS: d.GetReadIops(), WriteIOPS: d.GetWriteIops(),
	}
}

func (f Firewall) toProto() *vmlinev1.Firewall {
	p := &vmlinev1.Firewall{
		Enabled: f.Enabled, PolicyIn: f.PolicyIn, PolicyOut: f.PolicyOut, Dhcp: f.DHCP, Ndp: f.NDP, MacFilter: f.MACFilter,
		IpFilter: f.IPFilter, RouterAdvertisement: f.RouterAdvertisement, LogLevelIn: f.LogLevelIn, LogLevelOut: f.LogLevelOut,
	}
	for _, r := range f.Rules {
		p.Rules = append(p.Rules, &vmlinev1.FirewallRule{
			Direction: r.Direction, Action: r.Action, Protocol: r.Protocol, Source: r.Source, Destination: r.Destination,
			SourcePort: r.SourcePort, DestinationPort: r.DestinationPort, Macro: r.Macro, Comment: r.Comment,
		})
	}
	return p
}

func fromFirewall(p *vmlinev1.Firewall) Firewall {
	f := Firewall{
		Enabled: p.GetEnabled(), PolicyIn: p.GetPolicyIn(), PolicyOut: p.GetPolicyOut(), DHCP: p.GetDhcp(), NDP: p.GetNdp(),
		MACFilter: p.GetMacFilter(), IPFilter: p.GetIpFilter(), RouterAdvertisement: p.GetRouterAdvertisement(),
		LogLevelIn: p.GetLogLevelIn(), LogLevelOut: p.GetLogLevelOut(),
	}
	for _, r := range p.GetRules() {
		f.Rules = append(f.Rules, FirewallRule{
			Direction: r.GetDirection(), Action: r.GetAction(), Protocol: r.GetProtocol(), Source: r.GetSource(), Destination: r.GetDestination(),
			SourcePort: r.GetSourcePort(), DestinationPort: r.GetDestinationPort(), Macro: r.GetMacro(), Comment: r.GetComment(),
		})
	}
	return f
}
