package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func command(id, ref string) *vmlinev1.Command {
	return &vmlinev1.Command{Id: id, Ref: ref, Kind: create}
}

func TestSendCommand(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	for _, bad := range []*vmlinev1.Command{command("1", "a.b"), {Id: "1", Ref: "a-1"}} {
		if err := b.SendCommand(ctx, bad); err == nil {
			t.Errorf("%v was sent", bad)
		}
	}
	for _, id := range []string{"1", "1", "2", "1"} {
		if err := b.SendCommand(ctx, command(id, "a-1")); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := b.js.Stream(ctx, StreamCMD)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d commands are stored, want 2", n)
	}
}

// TestFullIsBackPressure checks the real answers of a full stream, and that a command too large is
// another matter: waiting would not help it.
func TestFullIsBackPressure(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	limit := func(change func(*jetstream.StreamConfig)) {
		t.Helper()
		cfg := Streams[1]
		change(&cfg)
		if _, err := b.js.UpdateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	limit(func(c *jetstream.StreamConfig) { c.MaxMsgs = 1 })
	if err := b.SendCommand(ctx, command("1", "a-1")); err != nil {
		t.Fatal(err)
	}
	if err := b.SendCommand(ctx, command("2", "a-2")); !errors.Is(err, ErrFull) {
		t.Errorf("too many: %v, want ErrFull", err)
	}
	limit(func(c *jetstream.StreamConfig) { c.MaxBytes = 100 })
	if err := b.SendCommand(ctx, command("3", "a-3")); !errors.Is(err, ErrFull) {
		t.Errorf("too many bytes: %v, want ErrFull", err)
	}
	large := command("4", "a-4")
	large.RequestedBy = string(make([]byte, 300<<10))
	limit(func(*jetstream.StreamConfig) {})
	if err := b.SendCommand(ctx, large); !errors.Is(err, ErrUnstorable) || errors.Is(err, ErrFull) {
		t.Errorf("too large: %v, want ErrUnstorable", err)
	}
	large.RequestedBy = "\xff"
	if err := b.SendCommand(ctx, large); !errors.Is(err, ErrUnstorable) {
		t.Errorf("not UTF-8: %v, want ErrUnstorable", err)
	}
}

func TestCommandsAreRepeatedUntilHandled(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(testContext(t))
	if err := b.SendCommand(ctx, command("1", "a-1")); err != nil {
		t.Fatal(err)
	}
	attempts := 0
	err := b.Commands(ctx, func(_ context.Context, cmd *vmlinev1.Command) error {
		if attempts++; attempts < 3 {
			return errors.New("the server is away")
		}
		if cmd.GetId() != "1" || cmd.GetRef() != "a-1" {
			t.Errorf("got %v", cmd)
		}
		cancel()
		return nil
	})
	if err != nil || attempts != 3 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	waited := testContext(t)
	for left := uint64(1); left != 0; { // the server takes the acknowledgement in its own time
		stream, err := b.js.Stream(waited, StreamCMD)
		if err != nil {
			t.Fatalf("%d commands are left: %v", left, err)
		}
		left = stream.CachedInfo().State.Msgs
	}
}
