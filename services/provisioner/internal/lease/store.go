package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// store keeps a cluster's table. change reads it, and writes back what do made of it unless somebody
// else wrote in between: then it is read and done again.
type store interface {
	change(ctx context.Context, do func(*table)) error
}

// local is the table of this process alone.
type local struct {
	mu sync.Mutex
	t  *table
}

// newLocal returns a table that misses nothing: its process is the only one that holds leases.
func newLocal(now time.Time) *local {
	l := &local{t: newTable()}
	l.t.begin(now, false)
	return l
}

func (l *local) change(_ context.Context, do func(*table)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(l.t)
	return nil
}

// shared is the table that all processes share, one value in Redis. It does not expire: where it is
// missing it was lost.
type shared struct {
	client redis.UniversalClient
	key    string
}

// swap writes the table only if it is still what was read.
var swap = redis.NewScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`)

// How often a change is tried, and how long one try may take: work must not wait for the limit's sake.
const (
	tries      = 20
	tryTimeout = 2 * time.Second
)

var errBusy = errors.New("others changed the table of leases each time")

func (s *shared) change(ctx context.Context, do func(*table)) error {
	for range tries {
		done, err := s.try(ctx, do)
		if done || err != nil {
			return err
		}
	}
	return errBusy
}

func (s *shared) try(ctx context.Context, do func(*table)) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	before, err := s.client.Get(ctx, s.key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("read the leases: %w", err)
	}
	t := newTable()
	if before != "" && json.Unmarshal([]byte(before), t) != nil {
		t = newTable() // an index that can be built again
	}
	do(t)
	after, err := json.Marshal(t)
	if err != nil {
		return false, fmt.Errorf("encode the leases: %w", err)
	}
	swapped, err := swap.Run(ctx, s.client, []string{s.key}, before, after).Int()
	if err != nil {
		return false, fmt.Errorf("write the leases: %w", err)
	}
	return swapped == 1, nil
}
