package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
)

// Bucket is a key-value bucket of protobuf values. A key is created once: whoever creates it holds
// it, and only a delete at the revision that was read lets go of it.
type Bucket struct {
	bus *Bus
	kv  jetstream.KeyValue
}

// Bucket opens a bucket that Apply makes. It waits for the server and the bucket until ctx ends, because
// a service may start before them.
func (b *Bus) Bucket(ctx context.Context, name string) (bucket *Bucket, err error) {
	err = b.patiently(ctx, "bucket "+name, func() error {
		bucket, err = b.bucket(ctx, name)
		return err
	})
	return bucket, err
}

func (b *Bus) bucket(ctx context.Context, name string) (*Bucket, error) {
	b.mu.Lock()
	bucket, ok := b.buckets[name]
	b.mu.Unlock()
	if ok {
		return bucket, nil
	}
	kv, err := b.js.KeyValue(ctx, name)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buckets[name] = &Bucket{bus: b, kv: kv}
	return b.buckets[name], nil
}

// Create stores a new key, or returns ErrTaken. After a lost answer the caller reads the key: its
// value says whose it is.
func (k *Bucket) Create(ctx context.Context, key string, value proto.Message) error {
	data, err := proto.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	_, err = k.create(ctx, key, data)
	return err
}

// Get reads a key into value and returns its revision, or ErrNotFound.
func (k *Bucket) Get(ctx context.Context, key string, value proto.Message) (revision uint64, err error) {
	return k.get(ctx, key, func(data []byte) error { return proto.Unmarshal(data, value) })
}

// Update writes a key anew that still has the revision that was read, so that whoever read it before
// cannot delete it any more. A key that is gone or was written again is ErrSuperseded.
func (k *Bucket) Update(ctx context.Context, key string, value proto.Message, revision uint64) error {
	data, err := proto.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	_, err = k.update(ctx, key, data, revision)
	return err
}

// Delete removes a key that still has the revision that was read. A key that is gone or was
// written again is ErrSuperseded: it is no longer the caller's.
func (k *Bucket) Delete(ctx context.Context, key string, revision uint64) error {
	_, err := k.write(ctx, "delete", key, ErrSuperseded, func(ctx context.Context) (uint64, error) {
		return 0, k.kv.Delete(ctx, key, jetstream.LastRevision(revision))
	})
	return err
}

func (k *Bucket) create(ctx context.Context, key string, data []byte) (revision uint64, err error) {
	return k.write(ctx, "create", key, ErrTaken, func(ctx context.Context) (uint64, error) { return k.kv.Create(ctx, key, data) })
}

func (k *Bucket) update(ctx context.Context, key string, data []byte, read uint64) (revision uint64, err error) {
	return k.write(ctx, "update", key, ErrSuperseded, func(ctx context.Context) (uint64, error) { return k.kv.Update(ctx, key, data, read) })
}

// write makes one write; overtaken is its error where somebody wrote the key first.
func (k *Bucket) write(ctx context.Context, verb, key string, overtaken error, do func(context.Context) (uint64, error)) (revision uint64, err error) {
	err = k.bus.call(ctx, "kv."+verb, func(ctx context.Context) (err error) {
		revision, err = do(ctx)
		return err
	})
	switch {
	case err == nil:
		return revision, nil
	case isAPIError(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant), errors.Is(err, jetstream.ErrKeyExists):
		err = overtaken
	}
	return 0, fmt.Errorf("%s %s in %s: %w", verb, key, k.kv.Bucket(), err)
}

func (k *Bucket) get(ctx context.Context, key string, decode func([]byte) error) (revision uint64, err error) {
	err = k.bus.call(ctx, "kv.get", func(ctx context.Context) error {
		entry, err := k.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		revision = entry.Revision()
		return decode(entry.Value())
	})
	if err != nil {
		return 0, fmt.Errorf("read %s in %s: %w", key, k.kv.Bucket(), err)
	}
	return revision, nil
}

// Item is one key of a bucket with its undecoded value.
type Item struct {
	Key      string
	Value    []byte
	Revision uint64
	// Deleted is set by Watch and History for a key that was removed; Value is empty then.
	Deleted bool
	// Time is when this was written, by the server's clock.
	Time time.Time
}

func itemOf(e jetstream.KeyValueEntry) Item {
	return Item{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Deleted: e.Operation() != jetstream.KeyValuePut, Time: e.Created()}
}

// History returns what the bucket remembers of the keys that match the filter, oldest first, deletions
// included. How much of each key that is says the bucket's topology.
func (k *Bucket) History(ctx context.Context, filter string) ([]Item, error) {
	var items []Item
	err := k.bus.call(ctx, "kv.history", func(ctx context.Context) error {
		entries, err := k.kv.History(ctx, filter)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		for _, e := range entries {
			items = append(items, itemOf(e))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the history of %s in %s: %w", filter, k.kv.Bucket(), err)
	}
	return items, nil
}

// Each calls do with every key that matches the filter, for example "dc1.*" or ">".
func (k *Bucket) Each(ctx context.Context, filter string, do func(Item) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := errors.New("done")
	err := k.Watch(ctx, filter, do, func() error { return done })
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// errClosed says that a watch has ended because its connection did.
var errClosed = errors.New("connection closed")

// Watch calls do with every key that matches, then caughtUp once, then do with every change until
// ctx ends or one of them returns an error.
func (k *Bucket) Watch(ctx context.Context, filter string, do func(Item) error, caughtUp func() error) error {
	return k.watch(ctx, filter, do, caughtUp, false)
}

// WatchDeleted is Watch that tells of deleted keys from the beginning too, as far as the bucket remembers them.
func (k *Bucket) WatchDeleted(ctx context.Context, filter string, do func(Item) error, caughtUp func() error) error {
	return k.watch(ctx, filter, do, caughtUp, true)
}

func (k *Bucket) watch(ctx context.Context, filter string, do func(Item) error, caughtUp func() error, deleted bool) error {
	w, err := k.kv.Watch(ctx, filter)
	if err != nil {
		return fmt.Errorf("watch %s in %s: %w", filter, k.kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }() // the watch ends with its connection anyway
	ready := false
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("watch %s in %s: %w", filter, k.kv.Bucket(), ctx.Err())
		case entry, ok := <-w.Updates():
			if !ok {
				// It ends with its connection, and with the context, which may not have been seen above.
				return fmt.Errorf("watch %s in %s: %w", filter, k.kv.Bucket(), cmp.Or(ctx.Err(), errClosed))
			}
			if entry == nil {
				ready = true
				if err := caughtUp(); err != nil {
					return err
				}
				continue
			}
			item := itemOf(entry)
			if item.Deleted && !ready && !deleted {
				continue
			}
			if err := do(item); err != nil {
				return err
			}
		}
	}
}
