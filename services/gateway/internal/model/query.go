package model

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	// patience is how long a question waits for the table to have what the stream has, while it is being
	// kept: that costs less than to read the whole stream.
	patience = 3 * time.Second
	// redisPatience is how long it waits for Redis after that.
	redisPatience = time.Second
	// chunk is how many VMs are read from Redis at once.
	chunk = 256
	// maxWords bounds how many VMs a search looks at.
	maxWords = 5000
)

// Page returns the VMs that match in the order of their refs, beginning after a ref: at most limit, and
// whether there are more. It has every change that was in the stream when it was called.
func (m *Model) Page(ctx context.Context, f Filter, after string, limit int) (vms []*vmlinev1.VM, more bool, err error) {
	if m.redis != nil {
		vms, more, err = m.fromRedis(ctx, f, after, limit)
		if err == nil || ctx.Err() != nil {
			return vms, more, err
		}
		if !errors.Is(err, errLost) {
			m.log.Debug("a list is read from the stream", "error", err)
		}
	}
	return m.fromStream(ctx, f, after, limit)
}

func (m *Model) fromRedis(ctx context.Context, f Filter, after string, limit int) ([]*vmlinev1.VM, bool, error) {
	bounds, err := m.feed.Bounds(ctx)
	if err != nil {
		return nil, false, err
	}
	if err := m.await(ctx, bounds.Last); err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	vms, err := m.scan(ctx, f, after, limit+1)
	if err != nil {
		return nil, false, err
	}
	// That the table was whole all the time shows at the end.
	values, err := m.redis.MGet(ctx, keyUpTo, keyStream).Result()
	if err != nil {
		return nil, false, err
	}
	if upTo, _ := values[0].(string); upTo < digits(bounds.Last) || values[1] != identity(bounds) {
		return nil, false, errLost
	}
	return vms[:min(len(vms), limit)], len(vms) > limit, nil
}

// await waits a moment until this process has written all that the stream has.
func (m *Model) await(ctx context.Context, last uint64) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		m.mu.Lock()
		reached, following, moved := m.upTo >= last, m.following, m.moved
		m.mu.Unlock()
		switch {
		case !following:
			return errLost
		case reached:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return errLost
		case <-moved:
		}
	}
}

// scan reads refs where the first condition finds them, and then looks at each VM.
func (m *Model) scan(ctx context.Context, f Filter, after string, limit int) ([]*vmlinev1.VM, error) {
	if f.Query != "" {
		refs, err := m.refsByWord(ctx, f.prefix(), after)
		if err != nil {
			return nil, err
		}
		return m.matching(ctx, f, refs, limit)
	}
	key := keyRefs
	if wants := f.wants(); len(wants) > 0 {
		key = keyBy + plain(wants[0])
	}
	var found []*vmlinev1.VM
	for len(found) < limit {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		refs, err := m.redis.ZRangeByLex(ctx, key, &redis.ZRangeBy{Min: from, Max: "+", Count: chunk}).Result()
		if err != nil || len(refs) == 0 {
			return found, err
		}
		more, err := m.matching(ctx, f, refs, limit-len(found))
		if err != nil {
			return nil, err
		}
		found, after = append(found, more...), refs[len(refs)-1]
	}
	return found, nil
}

// refsByWord returns the refs after one that have a word with this beginning, in their order.
func (m *Model) refsByWord(ctx context.Context, prefix, after string) ([]string, error) {
	members, err := m.redis.ZRangeByLex(ctx, keyWords, &redis.ZRangeBy{Min: "[" + plain(prefix), Max: "(" + plain(prefix) + "\xff", Count: maxWords + 1}).Result()
	if err != nil {
		return nil, err
	}
	if len(members) > maxWords {
		return nil, errLost // so many are better read in order from the stream
	}
	var refs []string
	for _, member := range members {
		if _, ref, ok := strings.Cut(member, "\t"); ok && ref > after {
			refs = append(refs, ref)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// matching reads VMs and returns the first that match.
func (m *Model) matching(ctx context.Context, f Filter, refs []string, limit int) ([]*vmlinev1.VM, error) {
	var found []*vmlinev1.VM
	for part := range slices.Chunk(refs, chunk) {
		values, err := m.redis.HMGet(ctx, keyVMs, part...).Result()
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			text, ok := value.(string)
			const seq = 20 // digits stand before the state
			if !ok || len(text) < seq {
				return nil, errLost
			}
			vm := &vmlinev1.VM{}
			if err := proto.Unmarshal([]byte(text[seq:]), vm); err != nil {
				return nil, err
			}
			if f.Matches(vm) {
				found = append(found, vm)
			}
			if len(found) == limit {
				return found, nil
			}
		}
	}
	return found, nil
}

// fromStream reads every VM and holds little more than the page.
func (m *Model) fromStream(ctx context.Context, f Filter, after string, limit int) ([]*vmlinev1.VM, bool, error) {
	p := top{limit: limit + 1}
	err := m.bus.Each(ctx, func(e bus.Entry) error {
		if e.VM.GetRef() > after && f.Matches(e.VM) {
			p.add(e.VM)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	vms := p.list()
	return vms[:min(len(vms), limit)], len(vms) > limit, nil
}

// top collects the VMs with the lowest refs. A VM that changes meanwhile comes again, newest last.
type top struct {
	limit int
	vms   []*vmlinev1.VM
}

func (p *top) add(vm *vmlinev1.VM) {
	p.vms = append(p.vms, vm)
	if len(p.vms) > 2*p.limit {
		p.vms = p.list()
	}
}

// list is the page, each VM once in its newest state.
func (p *top) list() []*vmlinev1.VM {
	slices.SortStableFunc(p.vms, func(a, b *vmlinev1.VM) int { return cmp.Compare(a.GetRef(), b.GetRef()) })
	var list []*vmlinev1.VM
	for _, vm := range p.vms {
		if n := len(list); n > 0 && list[n-1].GetRef() == vm.GetRef() {
			list[n-1] = vm
			continue
		}
		list = append(list, vm)
	}
	return list[:min(len(list), p.limit)]
}
