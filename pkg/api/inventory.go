package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Cluster is what a Proxmox cluster has to choose from.
type Cluster struct {
	Name      string     `json:"name"`
	Nodes     []Node     `json:"nodes" nullable:"false"`
	Templates []Template `json:"templates" nullable:"false"`
	Storages  []Storage  `json:"storages" nullable:"false"`
	Error     string     `json:"error,omitempty" doc:"Why the cluster could not be read."`
}

// Node is one node of a cluster.
type Node struct {
	Name            string   `json:"name"`
	Online          bool     `json:"online"`
	Maintenance     bool     `json:"maintenance,omitempty" doc:"The node gets no new machines."`
	MemoryBytes     uint64   `json:"memory_bytes"`
	MemoryUsedBytes uint64   `json:"memory_used_bytes"`
	Bridges         []string `json:"bridges" nullable:"false"`
}

// Template can be cloned.
type Template struct {
	Name  string   `json:"name"`
	VMIDs []uint32 `json:"vmids" nullable:"false"`
	Nodes []string `json:"nodes" nullable:"false"`
}

// Storage holds disks, on one node unless it is shared.
type Storage struct {
	Name       string `json:"name"`
	Node       string `json:"node,omitempty"`
	Shared     bool   `json:"shared,omitempty"`
	TotalBytes uint64 `json:"total_bytes"`
	UsedBytes  uint64 `json:"used_bytes"`
}

// ClusterList is all clusters.
type ClusterList struct {
	Items []Cluster `json:"items" nullable:"false"`
}

// Pool is a range of addresses and how much of it is given.
type Pool struct {
	Name       string   `json:"name"`
	Cluster    string   `json:"cluster"`
	Bridge     string   `json:"bridge"`
	VLAN       uint32   `json:"vlan,omitempty"`
	Prefix     string   `json:"prefix"`
	Gateway    string   `json:"gateway,omitempty"`
	DNSServers []string `json:"dns_servers,omitempty" nullable:"false"`
	First      string   `json:"first,omitempty"`
	Last       string   `json:"last,omitempty"`
	Exclude    []string `json:"exclude,omitempty" nullable:"false"`
	Total      uint64   `json:"total" doc:"Addresses that may be given."`
	Used       uint64   `json:"used"`
	Free       uint64   `json:"free"`
}

// PoolList is all pools.
type PoolList struct {
	Items []Pool `json:"items" nullable:"false"`
}

// HeldAddress is an address that a VM has.
type HeldAddress struct {
	Address string    `json:"address"`
	Ref     string    `json:"service_ref"`
	UID     string    `json:"uid"`
	Since   time.Time `json:"since,omitzero"`
}

// HeldAddressList is one page of the addresses of a pool, in their order.
type HeldAddressList struct {
	Items      []HeldAddress `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"Set when there are more: ask again with it as cursor."`
}

// Holding is one time during which a VM had an address.
type Holding struct {
	Pool string    `json:"pool"`
	Ref  string    `json:"service_ref"`
	UID  string    `json:"uid"`
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero" doc:"Left out while the VM has it."`
}

// HoldingList is the history of an address, oldest first.
type HoldingList struct {
	Items []Holding `json:"items" nullable:"false"`
}

// DNSDiff is one VM whose records on the DNS servers are not as they should be.
type DNSDiff struct {
	Ref   string     `json:"service_ref"`
	UID   string     `json:"uid"`
	Names []NameDiff `json:"names" nullable:"false"`
	Notes []string   `json:"notes,omitempty" nullable:"false" doc:"Records that the VM does not get, and why."`
	Error string     `json:"error,omitempty" doc:"Why the server could not be asked."`
}

// NameDiff is one name.
type NameDiff struct {
	Name     string  `json:"name"`
	Action   string  `json:"action" doc:"What would be done: create, replace, delete, or conflict where nothing can be."`
	Wanted   []RRset `json:"wanted" nullable:"false"`
	Standing []RRset `json:"standing" nullable:"false"`
	Holder   string  `json:"holder,omitempty" doc:"Ref of the VM that owns the name in a conflict."`
}

// RRset is a set of records of one name and type.
type RRset struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	TTL    uint32   `json:"ttl" doc:"In seconds."`
	Values []string `json:"values" nullable:"false"`
}

// DNSDiffList is one page of VMs whose records differ.
type DNSDiffList struct {
	Items      []DNSDiff `json:"items" nullable:"false"`
	Compared   uint32    `json:"compared" doc:"VMs that were compared for this page."`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Set when more are to be compared: ask again with it as cursor."`
}

// Clusters returns what the clusters have to choose from; an empty name means all.
func (c *Client) Clusters(ctx context.Context, name string) ([]Cluster, error) {
	var l ClusterList
	err := c.call(ctx, http.MethodGet, withQuery("/v1/clusters", "cluster", name), nil, &l)
	return l.Items, err
}

// Pools returns the pools of a cluster, of all for an empty name.
func (c *Client) Pools(ctx context.Context, cluster string) ([]Pool, error) {
	var l PoolList
	err := c.call(ctx, http.MethodGet, withQuery("/v1/pools", "cluster", cluster), nil, &l)
	return l.Items, err
}

// PoolAddresses returns one page of the addresses of a pool that VMs have.
func (c *Client) PoolAddresses(ctx context.Context, pool string, limit int, cursor string) (HeldAddressList, error) {
	var l HeldAddressList
	err := c.call(ctx, http.MethodGet, page("/v1/pools/"+url.PathEscape(pool)+"/addresses", limit, cursor), nil, &l)
	return l, err
}

// AddressHistory returns who had an address, and when, oldest first.
func (c *Client) AddressHistory(ctx context.Context, address netip.Addr) ([]Holding, error) {
	var l HoldingList
	err := c.call(ctx, http.MethodGet, "/v1/addresses/"+url.PathEscape(address.String())+"/history", nil, &l)
	return l.Items, err
}

// DNSDiff returns one page of the VMs whose records are not as they should be; ref names one VM, empty
// means all.
func (c *Client) DNSDiff(ctx context.Context, ref string, limit int, cursor string) (DNSDiffList, error) {
	var l DNSDiffList
	err := c.call(ctx, http.MethodGet, page("/v1/dns/diff", limit, cursor, "service_ref", ref), nil, &l)
	return l, err
}

// withQuery adds names and values to a path, without the empty ones.
func withQuery(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// page is a path with what a page needs; limit 0 means the gateway's default.
func page(path string, limit int, cursor string, pairs ...string) string {
	if limit > 0 {
		pairs = append(pairs, "limit", strconv.Itoa(limit))
	}
	return withQuery(path, append(pairs, "cursor", cursor)...)
}
