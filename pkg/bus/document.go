package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// CreateJSON stores a new key as JSON, or returns ErrTaken. Buckets that people look into, and whose
// records change in place, hold JSON instead of protobuf.
func (k *Bucket) CreateJSON(ctx context.Context, key string, value any) error {
	_, err := k.putJSON(ctx, "create", key, value, 0)
	return err
}

// UpdateJSON replaces a key that still has the revision that was read, and returns the new revision. A
// key that is gone or was written again is ErrSuperseded. Any other error leaves open whether it was
// stored.
func (k *Bucket) UpdateJSON(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	return k.putJSON(ctx, "update", key, value, revision)
}

// GetJSON reads a key into value and returns its revision, or ErrNotFound.
func (k *Bucket) GetJSON(ctx context.Context, key string, value any) (revision uint64, err error) {
	err = k.bus.call(ctx, "kv.get", func(ctx context.Context) error {
		entry, err := k.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		revision = entry.Revision()
		return json.Unmarshal(entry.Value(), value)
	})
	if err != nil {
		return 0, fmt.Errorf("read %s in %s: %w", key, k.kv.Bucket(), err)
	}
	return revision, nil
}

func (k *Bucket) putJSON(ctx context.Context, verb, key string, value any, revision uint64) (stored uint64, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("encode %s: %w", key, err)
	}
	err = k.bus.call(ctx, "kv."+verb, func(ctx context.Context) (err error) {
		if verb == "create" {
			stored, err = k.kv.Create(ctx, key, data)
		} else {
			stored, err = k.kv.Update(ctx, key, data, revision)
		}
		return err
	})
	wrong := isAPIError(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
	switch {
	case err == nil:
		return stored, nil
	case verb == "create" && (wrong || errors.Is(err, jetstream.ErrKeyExists)):
		err = ErrTaken
	case wrong:
		err = ErrSuperseded
	}
	return 0, fmt.Errorf("%s %s in %s: %w", verb, key, k.kv.Bucket(), err)
}
