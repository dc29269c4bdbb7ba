package gateway

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func (g *gateway) registerInventory(a huma.API) {
	get := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"inventory"}, Errors: []int{422}}
	}
	route(a, api.ScopeRead, get("list-clusters", "/v1/clusters", "List what the Proxmox clusters have: nodes, templates, storages, bridges"), g.listClusters)
	route(a, api.ScopeRead, get("get-sight", "/v1/sight", "Show which clusters can be seen now, and since when not the others"), g.sight)
	route(a, api.ScopeRead, get("list-pools", "/v1/pools", "List the address pools and how much of them is given"), g.listPools)
	route(a, api.ScopeRead, get("list-pool-addresses", "/v1/pools/{pool}/addresses", "List the addresses of a pool that VMs have"), g.listPoolAddresses)
	route(a, api.ScopeRead, get("get-address-history", "/v1/addresses/{address}/history", "Show who had an address, and when"), g.addressHistory)
	route(a, api.ScopeRead, get("get-dns-diff", "/v1/dns/diff", "Show where the DNS servers hold something else than they should"), g.dnsDiff)
}

type clusterInput struct {
	Cluster string `query:"cluster" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"the name of a cluster" doc:"Left out: all."`
}

func (g *gateway) listClusters(ctx context.Context, in *clusterInput) (*struct{ Body api.ClusterList }, error) {
	reply := &vmlinev1.InventoryReply{}
	if err := g.ask(ctx, chain.Provisioner, bus.QuestionInventory, &vmlinev1.InventoryRequest{Cluster: in.Cluster}, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.ClusterList }{api.FromInventory(reply)}, nil
}

func (g *gateway) sight(ctx context.Context, _ *struct{}) (*struct{ Body api.SightList }, error) {
	reply := &vmlinev1.SightReply{}
	if err := g.ask(ctx, chain.Lifecycle, bus.QuestionSight, &vmlinev1.SightRequest{}, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.SightList }{api.FromSight(reply)}, nil
}

func (g *gateway) listPools(ctx context.Context, in *clusterInput) (*struct{ Body api.PoolList }, error) {
	reply := &vmlinev1.PoolsReply{}
	if err := g.ask(ctx, chain.IPAM, bus.QuestionPools, &vmlinev1.PoolsRequest{Cluster: in.Cluster}, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.PoolList }{api.FromPools(reply)}, nil
}

// PageInput asks for a page. It is exported because huma does not look into embedded types that are not.
type PageInput struct {
	Limit  uint32 `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string `query:"cursor" maxLength:"200" doc:"The next_cursor of the page before."`
}

type poolInput struct {
	PageInput
	Pool string `path:"pool" pattern:"^[a-z0-9][a-z0-9-]{0,31}$" patternDescription:"the name of a pool"`
}

func (g *gateway) listPoolAddresses(ctx context.Context, in *poolInput) (*struct{ Body api.HeldAddressList }, error) {
	reply := &vmlinev1.PoolsReply{}
	request := &vmlinev1.PoolsRequest{Pool: in.Pool, After: in.Cursor, Limit: in.Limit}
	if err := g.ask(ctx, chain.IPAM, bus.QuestionPools, request, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.HeldAddressList }{api.FromHeld(reply)}, nil
}

type addressInput struct {
	Address string `path:"address" maxLength:"45" doc:"IPv4 or IPv6, without a prefix length."`
}

func (g *gateway) addressHistory(ctx context.Context, in *addressInput) (*struct{ Body api.HoldingList }, error) {
	addr, err := netip.ParseAddr(in.Address)
	if err != nil || addr.Zone() != "" {
		p := problem(http.StatusUnprocessableEntity, "validation failed", "")
		p.Errors = []api.FieldError{{Location: "path.address", Message: "not an IP address"}}
		return nil, p
	}
	reply := &vmlinev1.AddressHistoryReply{}
	if err := g.ask(ctx, chain.IPAM, bus.QuestionHistory, &vmlinev1.AddressHistoryRequest{Address: addr.String()}, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.HoldingList }{api.FromHoldings(reply)}, nil
}

type diffInput struct {
	PageInput
	Ref string `query:"service_ref" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a ref" doc:"Left out: every VM."`
}

func (g *gateway) dnsDiff(ctx context.Context, in *diffInput) (*struct{ Body api.DNSDiffList }, error) {
	reply := &vmlinev1.DnsDiffReply{}
	request := &vmlinev1.DnsDiffRequest{Ref: in.Ref, After: in.Cursor, Limit: in.Limit}
	if err := g.ask(ctx, chain.DNS, bus.QuestionDiff, request, reply); err != nil {
		return nil, err
	}
	return &struct{ Body api.DNSDiffList }{api.FromDNSDiff(reply)}, nil
}
