package ipam

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// How many held addresses one answer lists.
const (
	defaultPage = 100
	maxPage     = 1000
)

// use answers what the pools are and how much of them is given, and lists what of one pool is held. The
// counts are the index's; the list is the truth's.
func (s *service) use(ctx context.Context, req *vmlinev1.PoolsRequest) (*vmlinev1.PoolsReply, error) {
	reply := &vmlinev1.PoolsReply{}
	for _, p := range s.pools {
		if req.GetCluster() != "" && req.GetCluster() != p.conf.GetCluster() {
			continue
		}
		if err := s.index.open(ctx, p); err != nil {
			return nil, err
		}
		free, err := s.index.free(ctx, p)
		if err != nil {
			return nil, err
		}
		reply.Pools = append(reply.Pools, &vmlinev1.PoolUse{Pool: p.conf, Total: p.size, Used: p.size - free, Free: free})
	}
	if req.GetPool() == "" {
		return reply, nil
	}
	return reply, s.page(ctx, req, reply)
}

// page lists the held addresses of the pool that follow the one named. A pool that is not configured
// any more is listed as well: its addresses are still held.
func (s *service) page(ctx context.Context, req *vmlinev1.PoolsRequest, reply *vmlinev1.PoolsReply) error {
	if !namePattern.MatchString(req.GetPool()) {
		return fmt.Errorf("%q cannot be the name of a pool", req.GetPool())
	}
	var after netip.Addr // the zero one stands before all others
	if req.GetAfter() != "" {
		var err error
		if after, err = parseAddr("after", req.GetAfter()); err != nil {
			return err
		}
	}
	var held []allocation
	err := s.truth.Each(ctx, req.GetPool()+".>", func(item bus.Item) error {
		a, ok, err := s.allocationOf(item)
		if ok && after.Less(a.addr) {
			held = append(held, a)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(held, func(a, b allocation) int { return a.addr.Compare(b.addr) })
	limit := min(cmp.Or(int(req.GetLimit()), defaultPage), maxPage)
	if len(held) > limit {
		held = held[:limit]
		reply.Next = held[limit-1].addr.String()
	}
	for _, a := range held {
		ref, uid := a.holder.split()
		reply.Held = append(reply.Held, &vmlinev1.HeldAddress{Address: a.addr.String(), Ref: ref, Uid: uid, Since: timestamppb.New(a.at)})
	}
	return nil
}

// allocationOf reads one key of the truth; false means that it is not ours.
func (s *service) allocationOf(item bus.Item) (allocation, bool, error) {
	pool, addr, err := parseKey(item.Key)
	if err != nil {
		s.log.Error("the bucket of addresses has a foreign key; left alone", "key", item.Key)
		return allocation{}, false, nil //nolint:nilerr // what is not ours stops nothing
	}
	a := &vmlinev1.Allocation{}
	if err := proto.Unmarshal(item.Value, a); err != nil {
		return allocation{}, false, fmt.Errorf("decode %s: %w", item.Key, err)
	}
	return allocation{pool, addr, holderOf(a), a.GetAt().AsTime()}, true, nil
}
