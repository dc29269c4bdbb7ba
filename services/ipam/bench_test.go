package ipam

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// bareLua is the least that hands out a number and can find it again from either side: the ceiling
// that the index is held against.
var bareLua = redis.NewScript(`
local n = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[2], n, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], n)
return n`)

// BenchmarkIndex measures hand-outs a second from the index and from the bare script, with 1 and
// 32 clients, while the pool has nothing to a million addresses held.
func BenchmarkIndex(b *testing.B) {
	w := &world{redis: startRedis(b)}
	client := w.client(b)
	for _, held := range []int{0, 1_000, 60_000, 1_000_000} {
		b.Run("held="+strconv.Itoa(held), func(b *testing.B) {
			w.flush(b)
			x, p := filled(b, client, held)
			if held > 0 {
				b.Logf("%.0f bytes an address", bytesPerAddress(b, client, p, held))
			}
			var vm atomic.Int64
			for _, clients := range []int{1, 32} {
				b.Run(fmt.Sprintf("clients=%d/index", clients), func(b *testing.B) {
					measure(b, clients, func() error {
						numbers, err := x.take(context.Background(), p, owner(fmt.Sprintf("whmcs-%d/0123456789abcdefghijkl", vm.Add(1))), 1)
						if err == nil && len(numbers) != 1 {
							err = fmt.Errorf("got %v", numbers)
						}
						return err
					})
				})
				b.Run(fmt.Sprintf("clients=%d/bare", clients), func(b *testing.B) {
					measure(b, clients, func() error {
						return bareLua.Run(context.Background(), client, []string{"{bare}next", "{bare}given", "{bare}owners"}, fmt.Sprintf("whmcs-%d/0123456789abcdefghijkl", vm.Add(1))).Err()
					})
				})
			}
		})
	}
}

// measure reports operations a second and the 99th percentile of their time.
func measure(b *testing.B, clients int, do func() error) {
	times := make([]time.Duration, b.N)
	var next atomic.Int64
	var g errgroup.Group
	b.ResetTimer()
	for range clients {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := do(); err != nil {
					return err
				}
				times[i] = time.Since(start)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// filled is an open index in which the first numbers are held.
func filled(b *testing.B, client redis.UniversalClient, held int) (*index, *pool) {
	conf := v4Pool("bench", "10.0.0.0/8")
	p, err := parsePool(conf)
	if err != nil {
		b.Fatal(err)
	}
	x := newIndex(client, nil, func() string { return "id" }, nil)
	building := &build{index: x, pool: p, id: "id"}
	ctx := context.Background()
	if _, err := building.begin(ctx, ""); err != nil {
		b.Fatal(err)
	}
	for n := range uint64(held) {
		building.numbers = append(building.numbers, n)
		if err := building.load(ctx, n, fmt.Sprintf("held-%d/0123456789abcdefghijkl", n)); err != nil {
			b.Fatal(err)
		}
	}
	if err := building.free(ctx); err != nil {
		b.Fatal(err)
	}
	if err := building.script(ctx, openScript, building.keys(), building.token(), p.layout); err != nil {
		b.Fatal(err)
	}
	return x, p
}

func bytesPerAddress(b *testing.B, client redis.UniversalClient, p *pool, held int) float64 {
	var total int64
	for _, k := range indexKeys(p) {
		size, err := client.MemoryUsage(context.Background(), k, 0).Result()
		if err != nil {
			b.Fatal(err)
		}
		total += size
	}
	return float64(total) / float64(held)
}

// BenchmarkAllocate measures whole allocations with their durable write, against the write alone.
func BenchmarkAllocate(b *testing.B) {
	for _, mode := range []struct {
		name string
		fast bool
	}{{"synced", false}, {"fast", true}} {
		w := newWorldOn(b, startRedis(b), mode.fast)
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "10.0.0.0/8")}
		s := w.instance(b, nil)
		var n atomic.Uint64
		for _, clients := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/clients=%d/allocate", mode.name, clients), func(b *testing.B) {
				measure(b, clients, func() error {
					_, err := s.give(context.Background(), order(fmt.Sprintf("vm-%d", n.Add(1)), 1, 0))
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/clients=%d/bare create", mode.name, clients), func(b *testing.B) {
				measure(b, clients, func() error {
					i := n.Add(1)
					return s.truth.Create(context.Background(), fmt.Sprintf("bare.%d", i), &vmlinev1.Allocation{Ref: "vm", Uid: strings.Repeat("x", 22)})
				})
			})
		}
	}
}
