// Package api is the HTTP API of the gateway as Go types, with a small client. The tags are the
// API's limits: the gateway checks what comes in against them and makes the OpenAPI document from
// them.
package api

// Package is what was sold: the whole machine. A field that is left out takes its default.
type Package struct {
	Cluster   string `json:"cluster" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"the name of a cluster (a-z, 0-9, hyphens, at most 32)" doc:"Proxmox VE cluster as the configuration names it."`
	Node      string `json:"node,omitempty" pattern:"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$" patternDescription:"the name of a Proxmox node" doc:"Node on which the VM must live. Left out: the provisioner chooses."`
	Template  string `json:"template" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"the name or VMID of a template" doc:"Name or VMID of the template to clone."`
	CloneType string `json:"clone_type,omitempty" enum:"linked,full" default:"linked" doc:"linked shares the template's base volumes; full copies them."`
	Name      string `json:"name,omitempty" maxLength:"63" pattern:"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$" patternDescription:"one DNS label (letters, digits, hyphens inside)" doc:"Host name and name on Proxmox, one DNS label. Left out: made from the ref."`
	FirstVMID uint32 `json:"first_vmid,omitempty" minimum:"100" maximum:"999999999" default:"100" doc:"Lowest VMID that may be given."`
	Cores     uint32 `json:"cores" minimum:"1" maximum:"512" doc:"Virtual CPUs."`
	CPUType   string `json:"cpu_type,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"a Proxmox CPU model such as host" doc:"Proxmox CPU model, for example x86-64-v2-AES or host. Left out: the template's."`
	MemoryMiB uint32 `json:"memory_mib" minimum:"16" maximum:"16777216" doc:"RAM in MiB."`

	SystemDisk     Disk      `json:"system_disk,omitzero" doc:"First disk. Size left out: the template's."`
	AdditionalDisk Disk      `json:"additional_disk,omitzero" doc:"Second disk. Size left out: none."`
	Network        Network   `json:"network" doc:"First network card and its addresses."`
	Firewall       Firewall  `json:"firewall,omitzero"`
	CloudInit      CloudInit `json:"cloud_init,omitzero" doc:"What the guest is told at its first boot."`
	DNS            DNS       `json:"dns,omitzero" doc:"Names that the VM gets."`
	OnBoot         bool      `json:"onboot,omitempty" doc:"Start the VM when its node boots."`
	Readiness      string    `json:"readiness,omitempty" enum:"running,agent,cloud_init_done" default:"running" doc:"What must be seen before the VM counts as ready."`

	Nodes        []string `json:"nodes,omitempty" nullable:"false" maxItems:"64" doc:"Nodes on which the VM may live. Left out: any."`
	Customer     string   `json:"customer,omitempty" pattern:"^[A-Za-z0-9_.:-]{1,64}$" patternDescription:"a customer's id (letters, digits, _ . : and -, at most 64)" doc:"Who owns the VM: the same text for all VMs of one customer."`
	AntiAffinity bool     `json:"anti_affinity,omitempty" doc:"Keep VMs of one customer on different nodes where that is possible."`
}

// Disk is one virtual disk. A limit of 0 means unlimited.
type Disk struct {
	Storage   string `json:"storage,omitempty" pattern:"^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$" maxLength:"100" patternDescription:"a Proxmox storage id" doc:"Storage that holds the disk. For the system disk it needs clone_type full."`
	SizeGB    uint32 `json:"size_gb,omitempty" maximum:"131072" doc:"Size in GB as Proxmox counts them (GiB)."`
	ReadMBps  uint32 `json:"read_mbps,omitempty" maximum:"1000000" doc:"Read limit in MB/s."`
	WriteMBps uint32 `json:"write_mbps,omitempty" maximum:"1000000" doc:"Write limit in MB/s."`
	ReadIOPS  uint32 `json:"read_iops,omitempty" maximum:"10000000" doc:"Read limit in operations a second."`
	WriteIOPS uint32 `json:"write_iops,omitempty" maximum:"10000000" doc:"Write limit in operations a second."`
}

// Network is the first network card and how many addresses belong to it.
type Network struct {
	Model     string   `json:"model,omitempty" enum:"virtio,e1000,rtl8139,vmxnet3" default:"virtio" doc:"Model of the card."`
	Bridge    string   `json:"bridge" pattern:"^[A-Za-z][A-Za-z0-9_.-]{0,14}$" patternDescription:"a bridge or VNet such as vmbr0, at most 15 characters" doc:"Bridge of the node."`
	VLAN      uint32   `json:"vlan,omitempty" maximum:"4094" doc:"VLAN tag; 0 means none."`
	RateMBps  float64  `json:"rate_mbps,omitempty" minimum:"0" maximum:"10240" doc:"Rate limit in MB/s, may be fractional; 0 means unlimited."`
	IPv4Count uint32   `json:"ipv4_count,omitempty" maximum:"32" doc:"How many IPv4 addresses the VM gets. Cloud-init sets up the first of each family; the guest may use the others."`
	IPv6Count uint32   `json:"ipv6_count,omitempty" maximum:"32" doc:"How many IPv6 addresses the VM gets. Cloud-init sets up the first of each family; the guest may use the others."`
	Addresses []string `json:"addresses,omitempty" nullable:"false" maxItems:"64" doc:"Chosen addresses. Each counts towards the number of its family."`
}

// Firewall is the VM's firewall: its options and the rules that are added.
type Firewall struct {
	Enabled             bool           `json:"enabled,omitempty"`
	PolicyIn            string         `json:"policy_in,omitempty" enum:"ACCEPT,DROP,REJECT" default:"ACCEPT"`
	PolicyOut           string         `json:"policy_out,omitempty" enum:"ACCEPT,DROP,REJECT" default:"ACCEPT"`
	DHCP                bool           `json:"dhcp,omitempty" doc:"Allow DHCP."`
	NDP                 bool           `json:"ndp,omitempty" doc:"Allow the neighbour discovery of IPv6."`
	MACFilter           bool           `json:"mac_filter,omitempty" doc:"Let the VM send only from its own hardware address."`
	IPFilter            bool           `json:"ip_filter,omitempty" doc:"Let the VM send only from its own addresses."`
	RouterAdvertisement bool           `json:"router_advertisement,omitempty" doc:"Let the VM send router advertisements."`
	LogLevelIn          string         `json:"log_level_in,omitempty" enum:"emerg,alert,crit,err,warning,notice,info,debug,nolog" default:"nolog"`
	LogLevelOut         string         `json:"log_level_out,omitempty" enum:"emerg,alert,crit,err,warning,notice,info,debug,nolog" default:"nolog"`
	Rules               []FirewallRule `json:"rules,omitempty" nullable:"false" maxItems:"200"`
}

// FirewallRule is one rule under Proxmox's own names.
type FirewallRule struct {
	Direction       string `json:"direction" enum:"in,out"`
	Action          string `json:"action" enum:"ACCEPT,DROP,REJECT"`
	Protocol        string `json:"protocol,omitempty" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"a protocol such as tcp" doc:"Protocol as in /etc/protocols, for example tcp."`
	Source          string `json:"source,omitempty" maxLength:"512" doc:"Addresses, CIDR prefixes or address ranges, separated by commas."`
	Destination     string `json:"destination,omitempty" maxLength:"512" doc:"Addresses, CIDR prefixes or address ranges, separated by commas."`
	SourcePort      string `json:"source_port,omitempty" maxLength:"200" doc:"Ports or ranges such as 80,443,8000:8100. Needs a protocol that has ports."`
	DestinationPort string `json:"destination_port,omitempty" maxLength:"200" doc:"Ports or ranges such as 80,443,8000:8100. Needs a protocol that has ports."`
	Macro           string `json:"macro,omitempty" pattern:"^[A-Za-z][A-Za-z0-9-]{0,63}$" patternDescription:"a Proxmox macro such as SSH" doc:"Proxmox macro, for example SSH. It brings protocol and ports itself."`
	Comment         string `json:"comment,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line"`
}

// CloudInit is what the guest is told at its first boot.
type CloudInit struct {
	User string `json:"user,omitempty" pattern:"^[a-z_][a-z0-9_-]{0,31}$" patternDescription:"an account name (a-z, 0-9, _ and -, at most 32)" doc:"Account to make. Left out: the image's default."`
	// Password goes in and never comes out again.
	Password     string   `json:"password,omitempty" writeOnly:"true" minLength:"5" maxLength:"128" doc:"Password of the account. It is sealed on arrival and never given out."`
	SSHKeys      []string `json:"ssh_keys,omitempty" nullable:"false" maxItems:"50" doc:"Public keys as in authorized_keys, one each."`
	DNSServers   []string `json:"dns_servers,omitempty" nullable:"false" maxItems:"8" doc:"IP addresses. They replace those of the address pool."`
	SearchDomain string   `json:"search_domain,omitempty" maxLength:"253"`
}

// DNS says which names the VM gets.
type DNS struct {
	Domain     string `json:"domain,omitempty" maxLength:"253" doc:"Zone below which the VM's name stands. Left out: no records."`
	PTR        bool   `json:"ptr,omitempty" doc:"Reverse records as well."`
	TTLSeconds uint32 `json:"ttl_seconds,omitempty" maximum:"2147483647" doc:"Left out: the server's configuration decides."`
	PTRName    string `json:"ptr_name,omitempty" maxLength:"253" doc:"Name that reverse records lead to. Mail servers expect that it leads back to the address. Left out: the VM's own."`
}
