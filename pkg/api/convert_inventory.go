package api

import (
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// some is a list that JSON shows as [] where it is empty.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// FromInventory returns what the clusters have.
func FromInventory(r *vmlinev1.InventoryReply) ClusterList {
	l := ClusterList{Items: []Cluster{}}
	for _, c := range r.GetClusters() {
		out := Cluster{Name: c.GetName(), Nodes: []Node{}, Templates: []Template{}, Storages: []Storage{}, Error: c.GetError()}
		for _, n := range c.GetNodes() {
			out.Nodes = append(out.Nodes, Node{
				Name: n.GetName(), Online: n.GetOnline(), Maintenance: n.GetMaintenance(),
				MemoryBytes: n.GetMemoryBytes(), MemoryUsedBytes: n.GetMemoryUsedBytes(), Bridges: some(n.GetBridges()),
			})
		}
		for _, t := range c.GetTemplates() {
			out.Templates = append(out.Templates, Template{Name: t.GetName(), VMIDs: some(t.GetVmids()), Nodes: some(t.GetNodes())})
		}
		for _, s := range c.GetStorages() {
			out.Storages = append(out.Storages, Storage{
				Name: s.GetName(), Node: s.GetNode(), Shared: s.GetShared(), TotalBytes: s.GetTotalBytes(), UsedBytes: s.GetUsedBytes(),
			})
		}
		l.Items = append(l.Items, out)
	}
	return l
}

// FromPools returns the pools.
func FromPools(r *vmlinev1.PoolsReply) PoolList {
	l := PoolList{Items: []Pool{}}
	for _, u := range r.GetPools() {
		p := u.GetPool()
		l.Items = append(l.Items, Pool{
			Name: p.GetName(), Cluster: p.GetCluster(), Bridge: p.GetBridge(), VLAN: p.GetVlan(), Prefix: p.GetPrefix(), Gateway: p.GetGateway(),
			DNSServers: p.GetDnsServers(), First: p.GetFirst(), Last: p.GetLast(), Exclude: p.GetExclude(),
			Total: u.GetTotal(), Used: u.GetUsed(), Free: u.GetFree(),
		})
	}
	return l
}

// FromHeld returns the page of held addresses.
func FromHeld(r *vmlinev1.PoolsReply) HeldAddressList {
	l := HeldAddressList{Items: []HeldAddress{}, NextCursor: r.GetNext()}
	for _, a := range r.GetHeld() {
		l.Items = append(l.Items, HeldAddress{Address: a.GetAddress(), Ref: a.GetRef(), UID: a.GetUid(), Since: fromTime(a.GetSince())})
	}
	return l
}

// FromHoldings returns the history of an address.
func FromHoldings(r *vmlinev1.AddressHistoryReply) HoldingList {
	l := HoldingList{Items: []Holding{}}
	for _, h := range r.GetHoldings() {
		l.Items = append(l.Items, Holding{Pool: h.GetPool(), Ref: h.GetRef(), UID: h.GetUid(), From: fromTime(h.GetFrom()), To: fromTime(h.GetTo())})
	}
	return l
}

// FromDNSDiff returns where the DNS servers differ.
func FromDNSDiff(r *vmlinev1.DnsDiffReply) DNSDiffList {
	l := DNSDiffList{Items: []DNSDiff{}, Compared: r.GetCompared(), NextCursor: r.GetNext()}
	for _, vm := range r.GetVms() {
		d := DNSDiff{Ref: vm.GetRef(), UID: vm.GetUid(), Names: []NameDiff{}, Notes: vm.GetNotes(), Error: vm.GetError()}
		for _, n := range vm.GetNames() {
			d.Names = append(d.Names, NameDiff{
				Name: n.GetName(), Action: n.GetAction(), Wanted: fromRRsets(n.GetWanted()), Standing: fromRRsets(n.GetStanding()), Holder: n.GetHolder(),
			})
		}
		l.Items = append(l.Items, d)
	}
	return l
}

func fromRRsets(sets []*vmlinev1.RRset) []RRset {
	list := []RRset{}
	for _, s := range sets {
		list = append(list, RRset{Name: s.GetName(), Type: s.GetType(), TTL: s.GetTtl(), Values: some(s.GetValues())})
	}
	return list
}
