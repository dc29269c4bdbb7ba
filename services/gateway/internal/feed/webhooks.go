package feed

import (
	"context"

	"github.com/vmline/vmline/pkg/api"
)

// After returns changes after a sequence, oldest first, and the sequence up to which it has looked. What
// is gone from the log is passed over: a state that was followed by two hundred others needs no webhook.
func (f *Feed) After(ctx context.Context, seq uint64) (events []api.Event, upTo uint64, err error) {
	entries, err := f.read(ctx, seq, seq, pageSize)
	upTo = seq
	for _, e := range entries {
		upTo = e.Seq
		if e.VM != nil {
			events = append(events, api.EventOf(e.VM, e.Seq))
		}
	}
	return events, upTo, err
}

// Changes calls changed after every change, or after several, until ctx ends.
func (f *Feed) Changes(ctx context.Context, changed func()) error {
	for {
		f.mu.Lock()
		next := f.changed
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
			changed()
		}
	}
}
