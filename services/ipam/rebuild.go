package ipam

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var (
	//go:embed lua/begin.lua
	beginLua string
	//go:embed lua/load.lua
	loadLua string
	//go:embed lua/open.lua
	openLua string

	beginScript = redis.NewScript(beginLua)
	loadScript  = redis.NewScript(loadLua)
	openScript  = redis.NewScript(openLua)
)

// batch is how many entries one call loads into an index.
const batch = 1000

// errBuildLost says that the build was wiped (FLUSHALL) or taken over.
var errBuildLost = errors.New("the build of the index was lost")

// open makes sure that the pool's index is open. An index that is closed is built from the truth,
// by one builder at a time: another one is waited for, unless it stands still.
func (x *index) open(ctx context.Context, p *pool) error {
	lock := x.lock(p)
	lock.Lock()
	defer lock.Unlock()
	var other, stopped string
	since := time.Now()
	for {
		b := &build{index: x, pool: p, id: x.newID()}
		state, err := b.begin(ctx, stopped)
		switch {
		case err != nil:
			return fmt.Errorf("open the index of pool %s: %w", p.conf.GetName(), err)
		case state == "open":
			return nil
		case state == b.token():
			err := b.run(ctx)
			if errors.Is(err, errBuildLost) {
				continue
			}
			return err
		case state != other:
			other, since = state, time.Now()
		case time.Since(since) >= x.patience:
			stopped = state
		}
		if err := bus.Pause(ctx, x.poll); err != nil {
			return fmt.Errorf("wait for the index of pool %s: %w", p.conf.GetName(), err)
		}
	}
}

func (x *index) lock(p *pool) *sync.Mutex {
	x.mu.Lock()
	defer x.mu.Unlock()
	lock, ok := x.building[p.conf.GetName()]
	if !ok {
		lock = &sync.Mutex{}
		x.building[p.conf.GetName()] = lock
	}
	return lock
}

// build is one attempt to build the index of a pool beside the old one.
type build struct {
	index *index
	pool  *pool
	id    string
	// loads counts what was loaded. It is part of the token, so that others see the progress.
	loads   int
	numbers []uint64
	args    []any
}

func (b *build) token() string { return b.id + "." + strconv.Itoa(b.loads) }

func (b *build) keys() []string {
	p := b.pool
	return []string{
		redisKey(p, "marker"), redisKey(p, "building"), redisKey(p, "new-free"), redisKey(p, "new-given"), redisKey(p, "new-owners"),
		redisKey(p, "free"), redisKey(p, "given"), redisKey(p, "owners"),
	}
}

func (b *build) begin(ctx context.Context, stopped string) (string, error) {
	return beginScript.Run(ctx, b.index.redis, b.keys()[:5], b.pool.layout, b.token(), stopped).Text()
}

// run reads the truth, loads what is held and then what is free, and opens the index.
func (b *build) run(ctx context.Context) error {
	name := b.pool.conf.GetName()
	start := time.Now()
	err := b.index.truth.Each(ctx, name+".>", func(item bus.Item) error { return b.held(ctx, item) })
	if err != nil {
		return fmt.Errorf("read what is held of pool %s: %w", name, err)
	}
	if err := b.free(ctx); err != nil {
		return fmt.Errorf("load what is free of pool %s: %w", name, err)
	}
	if err := b.script(ctx, openScript, b.keys(), b.token(), b.pool.layout); err != nil {
		return fmt.Errorf("open the index of pool %s: %w", name, err)
	}
	b.index.log.Info("index of addresses built from the truth", "pool", name, "held", len(b.numbers), "size", b.pool.size, "took", time.Since(start))
	return nil
}

// held loads one allocation. An address that this pool would not give is no concern of the index.
func (b *build) held(ctx context.Context, item bus.Item) error {
	_, addr, err := parseKey(item.Key)
	if err != nil {
		b.index.log.Error("the bucket of addresses has a foreign key; left alone", "key", item.Key)
		return nil //nolint:nilerr // what is not ours stops nothing
	}
	n, ok := b.pool.number(addr)
	if !ok {
		return nil
	}
	a := &vmlinev1.Allocation{}
	if err := proto.Unmarshal(item.Value, a); err != nil {
		return fmt.Errorf("decode %s: %w", item.Key, err)
	}
	b.numbers = append(b.numbers, n)
	return b.load(ctx, n, string(holderOf(a)))
}

// free loads the gaps between the numbers that are held.
func (b *build) free(ctx context.Context) error {
	slices.Sort(b.numbers)
	next := uint64(0)
	for _, n := range append(slices.Compact(b.numbers), b.pool.size) {
		if next < n {
			if err := b.load(ctx, strconv.FormatUint(next, 10)+"-"+strconv.FormatUint(n-1, 10), ""); err != nil {
				return err
			}
		}
		next = n + 1
	}
	return b.flush(ctx)
}

func (b *build) load(ctx context.Context, what any, holder string) error {
	b.args = append(b.args, what, holder)
	if len(b.args) < 2*batch {
		return nil
	}
	return b.flush(ctx)
}

func (b *build) flush(ctx context.Context) error {
	token := b.token()
	b.loads++
	args := append([]any{token, b.token()}, b.args...)
	b.args = b.args[:0]
	return b.script(ctx, loadScript, b.keys()[:5], args...)
}

func (b *build) script(ctx context.Context, script *redis.Script, keys []string, args ...any) error {
	err := script.Run(ctx, b.index.redis, keys, args...).Err()
	if errors.Is(err, redis.Nil) {
		return errBuildLost
	}
	return err
}
