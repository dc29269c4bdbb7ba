package ipam

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// peek looks into the index as if it took addresses, and takes none.
type peek struct {
	index *index
	// held are what would be held of each pool beside what the index says.
	held map[*pool][]uint64
}

func (s *service) peek() *peek { return &peek{index: s.index, held: map[*pool][]uint64{}} }

func (k *peek) hold(_ context.Context, p *pool, _ owner, numbers ...uint64) error {
	k.held[p] = append(k.held[p], numbers...)
	return nil
}

func (k *peek) has(ctx context.Context, p *pool, o owner) ([]uint64, error) {
	numbers, err := k.index.has(ctx, p, o)
	all := slices.Concat(numbers, k.held[p])
	slices.Sort(all)
	return slices.Compact(all), err
}

func (k *peek) take(ctx context.Context, p *pool, o owner, want int) ([]uint64, error) {
	all, err := k.has(ctx, p, o)
	for from := int64(0); err == nil && len(all) < want; from += window {
		var free []uint64
		var end bool
		free, end, err = k.index.look(ctx, p, from, want)
		for _, n := range free {
			if len(all) < want && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		if end {
			break
		}
	}
	return all, err
}

// window is how many entries of the list of free numbers one look reads.
const window = 256

// look returns the free numbers among the entries from the given one, at most some of each range, and
// whether the list ends there.
func (x *index) look(ctx context.Context, p *pool, from int64, some int) (free []uint64, end bool, err error) {
	entries, err := x.redis.LRange(ctx, redisKey(p, "free"), from, from+window-1).Result()
	if err != nil {
		return nil, false, fmt.Errorf("look at the free addresses of pool %s: %w", p.conf.GetName(), err)
	}
	var texts []string
	for _, entry := range entries {
		numbers, err := parseNumbers(strings.Split(entry, "-"))
		if err != nil {
			return nil, false, err
		}
		last := numbers[len(numbers)-1]
		// Those of a range that are given already are passed over, so a few more are looked at.
		for n := numbers[0]; n <= last && n < numbers[0]+uint64(some)+window; n++ { //nolint:gosec // at most maxPerFamily
			texts = append(texts, strconv.FormatUint(n, 10))
		}
	}
	if len(texts) == 0 {
		return nil, true, nil
	}
	owners, err := x.redis.HMGet(ctx, redisKey(p, "given"), texts...).Result()
	if err != nil {
		return nil, false, fmt.Errorf("look at the free addresses of pool %s: %w", p.conf.GetName(), err)
	}
	for i, o := range owners {
		if o == nil {
			n, _ := strconv.ParseUint(texts[i], 10, 64) // written above
			free = append(free, n)
		}
	}
	return free, int64(len(entries)) < window, nil
}
