package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/overtake"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	suspend, unsuspend = vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND
	atReady            = vmlinev1.Status_STATUS_READY
)

// admitter is a lifecycle that admits what it is told to.
func admitter(t *testing.T, server nats.InProcessConnProvider, work *overtake.Work) *lifecycle {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	conn, err := bus.DialInProcess(server, "test", quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b, err := bus.New(conn, bus.Options{Logger: quiet, Intercept: func(ctx context.Context, call string, do func(context.Context) error) error {
		return work.Call(call, func() error { return do(ctx) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	refusals, err := b.Bucket(t.Context(), bus.BucketREFUSAL)
	if err != nil {
		t.Fatal(err)
	}
	return &lifecycle{Config: Config{Bus: b, Logger: quiet}, refusals: refusals}
}

// TestACommandBesideAQueuedOne: a suspension stands in the queue of a VM that has just become ready, and the
// contrary comes while it begins, in every way. The later wish counts: it is not told that the VM is ready
// anyway while the suspension begins behind its back.
func TestACommandBesideAQueuedOne(t *testing.T) {
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedded.Stop(server) })
	late, last := &overtake.Work{}, &overtake.Work{}
	slow, fast, observer := admitter(t, server, late), admitter(t, server, last), admitter(t, server, &overtake.Work{})
	for _, queueLast := range []bool{true, false} {
		overtake.EveryWay(t, late, last, func(name string) overtake.Scene {
			ref := name
			if queueLast {
				ref = "queue-" + name
			}
			vm := &vmlinev1.VM{
				Ref: ref, Uid: "uid-" + ref, Status: atReady, Queued: &vmlinev1.Queued{Id: "first-" + ref, Kind: suspend},
				Operation: &vmlinev1.Operation{Id: "create", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_SUCCEEDED},
			}
			entry, err := observer.Bus.Append(t.Context(), vm, 0)
			if err != nil {
				t.Fatal(err)
			}
			begins := func(l *lifecycle) func() error {
				return func() error { return l.queued(t.Context(), bus.Entry{VM: vm, Seq: entry}) }
			}
			comes := func(l *lifecycle) func() error {
				return func() error {
					return l.admit(t.Context(), &vmlinev1.Command{Id: "later-" + ref, Ref: ref, Kind: unsuspend, After: "create"})
				}
			}
			s := overtake.Scene{Slow: begins(slow), Fast: comes(fast), Check: func(t *testing.T, slow, fast error) {
				end, err := observer.Bus.Last(t.Context(), ref)
				if err := errors.Join(err, slow, fast); err != nil {
					t.Error(err)
				}
				if end.VM.GetOperation().GetId() != "first-"+ref || end.VM.GetQueued().GetId() != "later-"+ref {
					t.Errorf("%v is under way, and %v is queued", end.VM.GetOperation(), end.VM.GetQueued())
				}
			}}
			if !queueLast {
				s.Slow, s.Fast = comes(slow), begins(fast)
			}
			return s
		})
	}
}
