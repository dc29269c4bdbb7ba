// Package feed reads the changes of all VMs in their order, for as many readers as there are, each from
// where it is. The newest changes are held in memory, so that readers who keep up cost NATS nothing; the
// older ones come from the VM stream.
package feed

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/bus"
)

const (
	// held is how many changes are in memory, some kilobytes each.
	held = 2000
	// pageSize bounds one reading of the stream.
	pageSize = 200
	// again is the pause after NATS did not answer.
	again = 200 * time.Millisecond
	// behind is how long a reader waits for the memory to hold what the stream has, before it asks the
	// stream itself.
	behind = 500 * time.Millisecond
)

// Feed holds the newest changes. Run keeps it; the other methods may be called at any time.
type Feed struct {
	bus    *bus.Bus
	log    *slog.Logger
	bounds *bounder

	mu sync.Mutex
	// entries are all changes after from, up to upTo. started says that they are there at all.
	entries    []bus.Entry
	from, upTo uint64
	started    bool
	ready      chan struct{}
	// changed is closed, and replaced, with every change.
	changed chan struct{}
}

// New returns a feed that holds nothing yet.
func New(b *bus.Bus, log *slog.Logger) *Feed {
	return &Feed{bus: b, log: log, bounds: &bounder{bus: b}, ready: make(chan struct{}), changed: make(chan struct{})}
}

// Run follows the stream until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	for {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		f.log.Error("the changes of VMs are read again", "error", err)
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// follow starts anew at the end of the stream: what is between is read from the stream by who wants it.
func (f *Feed) follow(ctx context.Context) error {
	bounds, err := f.bus.Bounds(ctx)
	if err != nil {
		return err
	}
	return f.bus.Changes(ctx, bounds.Last, func() { f.start(bounds.Last) }, func(e bus.Entry, _ uint64) error { f.add(e); return nil })
}

func (f *Feed) start(after uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.from, f.upTo = nil, after, after
	if !f.started {
		f.started = true
		close(f.ready)
	}
	f.wake()
}

// Ready is closed once the feed follows the stream.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

func (f *Feed) add(e bus.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, e)
	if len(f.entries) >= 2*held {
		f.from = f.entries[len(f.entries)-held-1].Seq
		f.entries = slices.Clone(f.entries[len(f.entries)-held:])
	}
	f.upTo = e.Seq
	f.wake()
}

// wake is called with mu held.
func (f *Feed) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Changed returns a channel that is closed with the next change after a sequence; at once if there is
// one already.
func (f *Feed) Changed(seq uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started && f.upTo > seq {
		now := make(chan struct{})
		close(now)
		return now
	}
	return f.changed
}

// Bounds are those of the log, read after it was called.
func (f *Feed) Bounds(ctx context.Context) (bus.Bounds, error) { return f.bounds.get(ctx) }

// Page is a part of the feed.
type Page struct {
	Entries []bus.Entry
	// Cursor is where the next page begins.
	Cursor uint64
	// More says that there are changes after the cursor.
	More bool
	// Gap says that changes after the reader's cursor are gone from the log. The page then has none, and
	// its cursor is the end of the log: who reads the state of all VMs now, and goes on from there, has
	// missed no state that still is one.
	Gap bool
}

// Page returns changes after a cursor, at most limit and at most a few hundred. It has everything that
// was in the log when it was called.
func (f *Feed) Page(ctx context.Context, after uint64, limit int) (Page, error) {
	bounds, err := f.bounds.get(ctx)
	switch {
	case err != nil:
		return Page{}, err
	case after > bounds.Last || after+1 < bounds.First:
		return Page{Cursor: bounds.Last, Gap: true}, nil
	case after == bounds.Last:
		return Page{Cursor: after}, nil
	}
	f.await(ctx, bounds.Last)
	entries, err := f.read(ctx, after, bounds.Last, min(limit, pageSize))
	if err != nil {
		return Page{}, err
	}
	page := Page{Entries: entries, Cursor: after}
	for _, e := range entries {
		if e.Seq != page.Cursor+1 {
			return Page{Cursor: bounds.Last, Gap: true}, nil
		}
		page.Cursor = e.Seq
	}
	page.More = page.Cursor < bounds.Last
	return page, nil
}

// await gives the memory a moment to hold what is in the log already.
func (f *Feed) await(ctx context.Context, last uint64) {
	timer := time.NewTimer(behind)
	defer timer.Stop()
	for {
		f.mu.Lock()
		reached, changed := f.started && f.upTo >= last, f.changed
		f.mu.Unlock()
		if reached {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-changed:
		}
	}
}

// read returns changes after a sequence, from memory if it has all of them up to last.
func (f *Feed) read(ctx context.Context, after, last uint64, limit int) ([]bus.Entry, error) {
	f.mu.Lock()
	if f.started && after >= f.from && f.upTo >= last {
		i, _ := slices.BinarySearchFunc(f.entries, after+1, func(e bus.Entry, seq uint64) int {
			return int(int64(e.Seq) - int64(seq)) //nolint:gosec // G115: sequences are far below 2^63
		})
		page := slices.Clone(f.entries[i:min(i+limit, len(f.entries))])
		f.mu.Unlock()
		return page, nil
	}
	f.mu.Unlock()
	return f.bus.Page(ctx, after, limit)
}
