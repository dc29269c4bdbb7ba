package ipam

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// history answers who had an address, and when. The bucket itself remembers it: whoever creates the key
// has the address from then on, and the deletion is the end. So there is no second record that could
// disagree. What the bucket has forgotten (see bus.Buckets) is left out.
func (s *service) history(ctx context.Context, req *vmlinev1.AddressHistoryRequest) (*vmlinev1.AddressHistoryReply, error) {
	addr, err := parseAddr("address", req.GetAddress())
	if err != nil {
		return nil, err
	}
	// The address may have been given by several pools, also by some that are not configured any more.
	items, err := s.truth.History(ctx, key("*", addr))
	if err != nil {
		return nil, err
	}
	holdings, err := holdingsOf(items)
	return &vmlinev1.AddressHistoryReply{Holdings: holdings}, err
}

// holdingsOf turns the writes of an address's keys, oldest first, into the times during which VMs had it.
func holdingsOf(items []bus.Item) ([]*vmlinev1.AddressHolding, error) {
	open := map[string]*vmlinev1.AddressHolding{} // by key
	var all []*vmlinev1.AddressHolding
	for _, item := range items {
		last := open[item.Key]
		if item.Deleted {
			if last != nil {
				last.To = timestamppb.New(item.Time)
			}
			delete(open, item.Key)
			continue
		}
		a := &vmlinev1.Allocation{}
		if err := proto.Unmarshal(item.Value, a); err != nil {
			return nil, fmt.Errorf("decode %s: %w", item.Key, err)
		}
		if last.GetUid() == a.GetUid() && last.GetRef() == a.GetRef() {
			continue // written anew by the VM that has it
		}
		pool, _, err := parseKey(item.Key)
		if err != nil {
			return nil, err
		}
		open[item.Key] = &vmlinev1.AddressHolding{Pool: pool, Ref: a.GetRef(), Uid: a.GetUid(), From: timestamppb.New(item.Time)}
		all = append(all, open[item.Key])
	}
	slices.SortStableFunc(all, func(a, b *vmlinev1.AddressHolding) int { return a.GetFrom().AsTime().Compare(b.GetFrom().AsTime()) })
	return all, nil
}
