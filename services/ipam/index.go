package ipam

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/bus"
)

// The scripts are the only ones that write the index; each is atomic.
var (
	//go:embed lua/owners.lua
	ownersLua string
	//go:embed lua/take.lua
	takeLua string
	//go:embed lua/hold.lua
	holdLua string
	//go:embed lua/drop.lua
	dropLua string

	takeScript = redis.NewScript(takeLua)
	holdScript = redis.NewScript(ownersLua + holdLua)
	dropScript = redis.NewScript(ownersLua + dropLua)
)

// index is what is free, in Redis. For each pool it has
//
//	marker   the pool's layout while the index is complete ("open")
//	free     a list of free numbers and ranges "first-last"; what was released is at its end
//	given    number -> owner
//	owners   owner -> numbers, so that a VM that asks again gets the same
//
// and, while it is being built, "building" and a new set of the last three. Its speed does not
// depend on how much is given, and a huge pool costs no more than a small one.
type index struct {
	redis redis.UniversalClient
	truth *bus.Bucket
	newID func() string
	log   *slog.Logger

	// poll is how often another builder is looked at, patience how long it may stand still.
	poll, patience time.Duration

	mu sync.Mutex
	// building has one lock a pool, so that a process builds an index once.
	building map[string]*sync.Mutex
}

func newIndex(client redis.UniversalClient, truth *bus.Bucket, newID func() string, log *slog.Logger) *index {
	return &index{
		redis: client, truth: truth, newID: newID, log: log,
		poll: 20 * time.Millisecond, patience: 5 * time.Second, building: map[string]*sync.Mutex{},
	}
}

// redisKey is a key of the pool's index. The braces keep all keys of a pool on one node of a
// cluster.
func redisKey(p *pool, name string) string { return "vmline:ipam:{" + p.conf.GetName() + "}:" + name }

func indexKeys(p *pool) []string {
	return []string{redisKey(p, "marker"), redisKey(p, "free"), redisKey(p, "given"), redisKey(p, "owners")}
}

// take hands numbers to o until it has want of them or none is free, and returns all that it has.
func (x *index) take(ctx context.Context, p *pool, o owner, want int) ([]uint64, error) {
	reply, err := x.run(ctx, p, takeScript, string(o), want, p.size)
	if err != nil {
		return nil, fmt.Errorf("take addresses of pool %s for %s: %w", p.conf.GetName(), o, err)
	}
	texts, err := reply.StringSlice()
	if err != nil {
		return nil, fmt.Errorf("take addresses of pool %s for %s: %w", p.conf.GetName(), o, err)
	}
	return parseNumbers(texts)
}

// has returns the numbers that o has.
func (x *index) has(ctx context.Context, p *pool, o owner) ([]uint64, error) {
	return x.take(ctx, p, o, 0)
}

// hold notes that the truth gives the numbers to o.
func (x *index) hold(ctx context.Context, p *pool, o owner, numbers ...uint64) error {
	args := make([]any, 0, 2*len(numbers))
	for _, n := range numbers {
		args = append(args, n, string(o))
	}
	if _, err := x.run(ctx, p, holdScript, args...); err != nil {
		return fmt.Errorf("note addresses of pool %s as held by %s: %w", p.conf.GetName(), o, err)
	}
	return nil
}

// drop makes those of the numbers free that o has.
func (x *index) drop(ctx context.Context, p *pool, o owner, numbers ...uint64) error {
	args := []any{string(o)}
	for _, n := range numbers {
		args = append(args, n)
	}
	if _, err := x.run(ctx, p, dropScript, args...); err != nil {
		return fmt.Errorf("give addresses back to pool %s for %s: %w", p.conf.GetName(), o, err)
	}
	return nil
}

// free is how many numbers nobody has.
func (x *index) free(ctx context.Context, p *pool) (uint64, error) {
	given, err := x.redis.HLen(ctx, redisKey(p, "given")).Uint64()
	if err != nil {
		return 0, fmt.Errorf("count the addresses of pool %s: %w", p.conf.GetName(), err)
	}
	return p.size - min(given, p.size), nil
}

// each calls do with every number that is given. A number may come twice while the index changes.
func (x *index) each(ctx context.Context, p *pool, do func(uint64, owner)) error {
	pairs := x.redis.HScan(ctx, redisKey(p, "given"), 0, "", 1000).Iterator()
	for pairs.Next(ctx) {
		n, err := strconv.ParseUint(pairs.Val(), 10, 64)
		if err != nil || !pairs.Next(ctx) {
			return fmt.Errorf("read the index of pool %s: %w", p.conf.GetName(), errors.Join(err, pairs.Err()))
		}
		do(n, owner(pairs.Val()))
	}
	if err := pairs.Err(); err != nil {
		return fmt.Errorf("read the index of pool %s: %w", p.conf.GetName(), err)
	}
	return nil
}

// openings bounds how often one call builds a closed index: more means that somebody closes it all
// the time, for example a service with another configuration of the pool.
const openings = 5

// errKeepsClosing is transient: whoever closes it may stop.
var errKeepsClosing = errors.New("the index is closed again and again; does another ipam have the pool in another form, or does Redis evict keys?")

// run runs a script on the pool's index, building the index first when it is closed.
func (x *index) run(ctx context.Context, p *pool, script *redis.Script, args ...any) (*redis.Cmd, error) {
	args = append([]any{p.layout}, args...)
	for range openings {
		cmd := script.Run(ctx, x.redis, indexKeys(p), args...)
		if !errors.Is(cmd.Err(), redis.Nil) {
			return cmd, cmd.Err()
		}
		if err := x.open(ctx, p); err != nil {
			return nil, err
		}
	}
	return nil, errKeepsClosing
}

func parseNumbers(texts []string) ([]uint64, error) {
	numbers := make([]uint64, 0, len(texts))
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the index holds %q, which is no number", text)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
