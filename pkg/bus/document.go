package bus

import (
	"context"
	"encoding/json"
	"fmt"
)

// CreateJSON stores a new key as JSON, or returns ErrTaken. Buckets that people look into, and whose
// records change in place, hold JSON instead of protobuf.
func (k *Bucket) CreateJSON(ctx context.Context, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	_, err = k.create(ctx, key, data)
	return err
}

// UpdateJSON replaces a key that still has the revision that was read, and returns the new revision. A
// key that is gone or was written again is ErrSuperseded. Any other error leaves open whether it was
// stored.
func (k *Bucket) UpdateJSON(ctx context.Context, key string, value any, revision uint64) (uint64, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("encode %s: %w", key, err)
	}
	return k.update(ctx, key, data, revision)
}

// GetJSON reads a key into value and returns its revision, or ErrNotFound.
func (k *Bucket) GetJSON(ctx context.Context, key string, value any) (revision uint64, err error) {
	return k.get(ctx, key, func(data []byte) error { return json.Unmarshal(data, value) })
}
