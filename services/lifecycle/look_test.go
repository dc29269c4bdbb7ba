package lifecycle

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestJustSeen: what another process saw is no news for long, whichever of the two clocks is wrong.
func TestJustSeen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	b, err := bus.New(&nats.Conn{}, bus.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	l := &lifecycle{Config: Config{Bus: b}}
	for _, tt := range []struct {
		name    string
		age     time.Duration
		reached int
		retry   *vmlinev1.Retry
		want    bool
	}{
		{name: "a moment ago", age: time.Second, reached: 2, want: true},
		{name: "by a clock that is a little ahead", age: -time.Second, reached: 2, want: true},
		{name: "long ago", age: time.Minute, reached: 2},
		{name: "perhaps long ago, by a clock that is far ahead", age: -time.Hour, reached: 2},
		{name: "before the operation began", age: time.Second, reached: 1},
		{name: "before an attempt that failed", age: time.Second, reached: 2, retry: &vmlinev1.Retry{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vm := &vmlinev1.VM{
				UpdatedAt: timestamppb.New(now.Add(-tt.age)), Retry: tt.retry,
				Operation: &vmlinev1.Operation{Reached: make([]*vmlinev1.Reached, tt.reached)},
			}
			if got := l.justSeen(&bus.Trigger{VM: vm}); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
