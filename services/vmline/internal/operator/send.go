package operator

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// repeatAfter are the waits before a call is repeated whose outcome is not known. All repetitions bear the
// same Idempotency-Key, so that they are one operation.
var repeatAfter = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}

// newIdempotencyKey makes an Idempotency-Key.
func newIdempotencyKey() string { return "cli-" + rand.Text() }

// send gives the gateway a command.
func send(ctx context.Context, client *api.Client, ref string, action api.Action, key string) (api.Operation, error) {
	for attempt := 0; ; attempt++ {
		op, err := client.Act(ctx, ref, action, api.IdempotencyKey(key))
		if err == nil || !unknown(err) {
			return op, err
		}
		if attempt == len(repeatAfter) || !pause(ctx, repeatAfter[attempt]) {
			return op, fmt.Errorf(`%w
  It is not known whether the gateway has taken the command.
  Look with "vmline vm get %s"; repeated with --idempotency-key %s the command is not done twice`, err, ref, key)
		}
	}
}

// pause waits, and says whether the time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
