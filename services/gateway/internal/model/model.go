// Package model is the table of all VMs in Redis, from which lists and searches are answered. It follows
// the VM stream; it is built anew when Redis has lost it, and whoever asks learns whether it has all that
// the stream has. Where it has not, the stream itself is read: nothing depends on Redis but speed.
//
// Any number of gateways may write the table at once: each state carries its sequence in the stream, and an
// older one never takes the place of a newer one.
package model

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/feed"
)

var (
	//go:embed apply.lua
	applyLua    string
	applyScript = redis.NewScript(applyLua)
)

// The keys. Those of what VMs are found by follow under prefix. The braces have a Redis Cluster keep all of
// them on one server.
const (
	prefix     = "{gateway:model}:"
	keyUpTo    = prefix + "upto"
	keyStream  = prefix + "stream"
	keyBuild   = prefix + "build:"
	keyVMs     = prefix + "vms"
	keyFound   = prefix + "found"
	keyRefs    = prefix + "refs"
	keyWords   = prefix + "words"
	keyBy      = prefix + "by:"
	pageSize   = 200
	again      = time.Second
	lookEvery  = time.Second
	buildLease = 10 * time.Minute
)

// errLost says that Redis has lost the table.
var errLost = errors.New("the table is not in Redis")

// Model keeps the table. Its methods are safe for concurrent use.
type Model struct {
	bus   *bus.Bus
	feed  *feed.Feed
	redis redis.UniversalClient
	log   *slog.Logger

	mu sync.Mutex
	// upTo is the sequence up to which this process has written the table; moved is closed, and replaced,
	// when it moves.
	upTo  uint64
	moved chan struct{}
	// following says that the table is being kept: who finds it behind can wait for it.
	following bool
}

// New returns a model. Without a client, which is nil, everything is read from the stream.
func New(b *bus.Bus, f *feed.Feed, client redis.UniversalClient, log *slog.Logger) *Model {
	return &Model{bus: b, feed: f, redis: client, log: log, moved: make(chan struct{})}
}

// Run keeps the table until ctx ends.
func (m *Model) Run(ctx context.Context) error {
	if m.redis == nil {
		return nil
	}
	for {
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if !errors.Is(err, errLost) {
			m.log.Warn("the table of VMs in Redis stands still; lists are read from the stream", "error", err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// follow brings the table up to date and keeps it so, until Redis or NATS fails.
func (m *Model) follow(ctx context.Context) error {
	upTo, err := m.position(ctx)
	if errors.Is(err, errLost) {
		upTo, err = m.build(ctx)
	}
	if err != nil {
		return err
	}
	m.setFollowing(true)
	defer m.setFollowing(false)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		next := m.feed.Changed(upTo)
		page, err := m.feed.Page(ctx, upTo, pageSize)
		switch {
		case err != nil:
			return err
		case page.Gap:
			return m.forget(ctx)
		}
		for _, e := range page.Entries {
			if err := m.write(ctx, e, true); err != nil {
				return err
			}
		}
		upTo = page.Cursor
		m.moveTo(upTo)
		if page.More {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		case <-look.C:
			if _, err := m.position(ctx); err != nil {
				return err
			}
		}
	}
}

// position is the sequence up to which the table is written, or errLost. A table of another stream is
// lost too.
func (m *Model) position(ctx context.Context) (uint64, error) {
	bounds, err := m.feed.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	values, err := m.redis.MGet(ctx, keyUpTo, keyStream).Result()
	if err != nil {
		return 0, err
	}
	text, _ := values[0].(string)
	stream, _ := values[1].(string)
	var upTo uint64
	if _, err := fmt.Sscanf(text, "%d", &upTo); err != nil {
		return 0, errLost
	}
	if stream != identity(bounds) || upTo > bounds.Last {
		return 0, m.forget(ctx)
	}
	return upTo, nil
}

// identity tells a stream from one that was made anew.
func identity(b bus.Bounds) string { return b.Created.UTC().Format(time.RFC3339Nano) }

// build writes the newest state of every VM. That Redis loses all meanwhile shows at the end: the mark of
// this building is gone.
func (m *Model) build(ctx context.Context) (uint64, error) {
	bounds, err := m.feed.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	mark := keyBuild + m.bus.NewID()
	if err := m.redis.Set(ctx, mark, "", buildLease).Err(); err != nil {
		return 0, err
	}
	count := 0
	err = m.bus.Each(ctx, func(e bus.Entry) error { count++; return m.write(ctx, e, false) })
	if err != nil {
		return 0, err
	}
	gone, err := m.redis.Del(ctx, mark).Result()
	if err != nil {
		return 0, err
	}
	if gone == 0 {
		return 0, errLost
	}
	if err := m.redis.MSet(ctx, keyStream, identity(bounds), keyUpTo, digits(bounds.Last)).Err(); err != nil {
		return 0, err
	}
	m.log.Info("the table of VMs was built in Redis", "vms", count)
	return bounds.Last, nil
}

// forget takes away a table that does not fit the stream, and returns errLost.
func (m *Model) forget(ctx context.Context) error {
	server := m.redis
	if cluster, ok := m.redis.(*redis.ClusterClient); ok {
		one, err := cluster.MasterForKey(ctx, prefix)
		if err != nil {
			return err
		}
		server = one
	}
	for cursor := uint64(0); ; {
		keys, next, err := server.Scan(ctx, cursor, prefix+"*", 1000).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := server.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return errLost
		}
	}
}

// write puts one state into the table. must says that the table has to be there already.
func (m *Model) write(ctx context.Context, e bus.Entry, must bool) error {
	if e.VM == nil {
		return nil
	}
	data, err := proto.Marshal(e.VM)
	if err != nil {
		return err
	}
	flag := "0"
	if must {
		flag = "1"
	}
	there, err := applyScript.Run(ctx, m.redis, []string{keyUpTo, keyVMs, keyFound, keyRefs},
		e.VM.GetRef(), digits(e.Seq), data, foundBy(e), flag).Int()
	if err == nil && there == 0 {
		return errLost
	}
	return err
}

// foundBy lists the sorted sets that a VM stands in, one a line.
func foundBy(e bus.Entry) string {
	var b strings.Builder
	for _, mark := range marksOf(e.VM) {
		b.WriteString(keyBy + plain(mark) + "\t" + e.VM.GetRef() + "\n")
	}
	for _, word := range wordsOf(e.VM) {
		b.WriteString(keyWords + "\t" + plain(word) + "\t" + e.VM.GetRef() + "\n")
	}
	return b.String()
}

// plain keeps what separates out of a text.
func plain(text string) string { return strings.NewReplacer("\t", " ", "\n", " ").Replace(text) }

// digits is a sequence in a form whose order as text is its order.
func digits(seq uint64) string { return fmt.Sprintf("%020d", seq) }

func (m *Model) moveTo(upTo uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.upTo = upTo
	m.wake()
}

func (m *Model) setFollowing(following bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.following = following
	m.wake()
}

// wake is called with mu held.
func (m *Model) wake() {
	close(m.moved)
	m.moved = make(chan struct{})
}
