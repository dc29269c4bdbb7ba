package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// letter reads the last dead letter of a consumer.
func letter(t testing.TB, b *Bus, consumer string) *vmlinev1.DeadLetter {
	t.Helper()
	dlq, err := b.js.Stream(testContext(t), StreamDLQ)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := dlq.GetLastMsgForSubject(testContext(t), "dlq."+consumer)
	if err != nil {
		t.Fatal(err)
	}
	l := &vmlinev1.DeadLetter{}
	if err := proto.Unmarshal(msg.Data, l); err != nil {
		t.Fatal(err)
	}
	return l
}

// heard waits for a message on a subject that begin causes.
func heard(t testing.TB, b *Bus, subject string, begin func()) {
	t.Helper()
	sub, err := b.nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	begin()
	if _, err := sub.NextMsgWithContext(testContext(t)); err != nil {
		t.Fatalf("nothing on %s: %v", subject, err)
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
}

const (
	advisoryTerminated    = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"
	advisoryMaxDeliveries = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
)

// TestAPanicIsADeadLetterAndTheVMIsFound: the trigger of the VM is gone for good, and only the
// sweeper sees it.
func TestAPanicIsADeadLetterAndTheVMIsFound(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := apply(t, connect(t, s, Options{Retry: quick}))
	var calls counter
	runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_CLONE {
			_ = calls.intercept(ctx, "clone", func(context.Context) error { return nil })
			if calls.of("clone") == 1 {
				panic("nil map\nsecond line")
			}
		}
		return Done, nil
	})
	heard(t, b, advisoryTerminated, func() { begin(t, b, "a-1", create) })
	l := letter(t, b, string(chain.Provisioner))
	vm := &vmlinev1.VM{}
	if err := proto.Unmarshal(l.GetPayload(), vm); err != nil || vm.GetRef() != "a-1" || l.GetStream() != StreamVM || l.GetSubject() != "vm.a-1" {
		t.Errorf("dead letter %v, %v", l, err)
	}
	if !strings.Contains(l.GetError(), "nil map") || l.GetRetry() == "" || l.GetDeliveries() != 1 {
		t.Errorf("dead letter says %q, %q after %d deliveries", l.GetError(), l.GetRetry(), l.GetDeliveries())
	}
	if err := b.Sweep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	later := connect(t, s, Options{Now: inAnHour})
	if err := later.Sweep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
}

func TestAStateThatCannotBeStoredIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	runWorkers(t, b, func(_ context.Context, trigger *Trigger) (Outcome, error) {
		trigger.VM.Node = "\xff"
		return Done, nil
	})
	heard(t, b, advisoryTerminated, func() { begin(t, b, "a-1", create) })
	if l := letter(t, b, string(chain.IPAM)); !strings.Contains(l.GetError(), ErrUnstorable.Error()) {
		t.Errorf("dead letter says %q", l.GetError())
	}
}

func TestUndecodableMessagesAreDeadLetters(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	runWorkers(t, b, noWork)
	go func() {
		done <- b.Commands(ctx, func(context.Context, *vmlinev1.Command) error { return errors.New("handled") })
	}()
	badVM := nats.NewMsg("vm.a-1")
	badVM.Header.Set(HeaderOwner, string(chain.IPAM))
	badVM.Data = []byte("\xff")
	badCommand := nats.NewMsg("cmd.lifecycle.create.a-1")
	noID, err := proto.Marshal(&vmlinev1.Command{Ref: "a-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		consumer string
		msg      *nats.Msg
		data     []byte
	}{
		{string(chain.IPAM), badVM, []byte("\xff")}, {"lifecycle-cmd", badCommand, []byte("\xff")}, {"lifecycle-cmd", badCommand, noID},
	} {
		tt.msg.Data = tt.data
		heard(t, b, advisoryTerminated, func() {
			if _, err := b.js.PublishMsg(testContext(t), tt.msg); err != nil {
				t.Fatal(err)
			}
		})
		if l := letter(t, b, tt.consumer); string(l.GetPayload()) != string(tt.data) || l.GetError() == "" {
			t.Errorf("dead letter %v", l)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestADeadLetterThatCannotBeStoredKeepsItsMessage(t *testing.T) {
	t.Parallel()
	lost := nth(1, "dlq.publish", true)
	b := open(t, Options{Retry: quick, Intercept: lost})
	runWorkers(t, b, func(context.Context, *Trigger) (Outcome, error) { panic("again and again") })
	heard(t, b, advisoryTerminated, func() { begin(t, b, "a-1", create) })
	if l := letter(t, b, string(chain.IPAM)); l.GetDeliveries() != 2 {
		t.Errorf("buried at delivery %d, want 2", l.GetDeliveries())
	}
}

// TestExhaustedDeliveriesAreFound: a process that dies on each delivery uses them up. The server
// says so once, and the sweeper brings the VM on.
func TestExhaustedDeliveriesAreFound(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := apply(t, connect(t, s, Options{Retry: quick, AckWait: 60 * time.Millisecond}))
	cfg := stepConsumer(chain.IPAM).Config
	cfg.MaxDeliver, cfg.AckWait = 1, 60*time.Millisecond
	if _, err := b.js.UpdateConsumer(testContext(t), StreamVM, cfg); err != nil {
		t.Fatal(err)
	}
	begin(t, b, "a-1", create)
	heard(t, b, advisoryMaxDeliveries, func() { message(t, b, chain.IPAM) })
	runWorkers(t, b, noWork)
	if err := connect(t, s, Options{Now: inAnHour}).Sweep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
}

func TestTheSweeperLeavesABusyWorkerAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	acks := make(chan struct{}, 100)
	var calls counter
	b := apply(t, connect(t, s, Options{Retry: quick, Intercept: func(ctx context.Context, call string, do func(context.Context) error) error {
		err := do(ctx)
		if call == "msg.ack" {
			acks <- struct{}{}
		}
		return err
	}}))
	started, release := make(chan struct{}), make(chan struct{})
	runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if trigger.Step.To == vmlinev1.Status_STATUS_SET_IP {
			_ = calls.intercept(ctx, "set_ip", func(context.Context) error { return nil })
			close(started)
			<-release
		}
		return Done, nil
	})
	begin(t, b, "a-1", create)
	<-started
	if err := connect(t, s, Options{Now: inAnHour}).Sweep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	<-acks // of the tick, while the step is still at work
	close(release)
	until(t, b, "a-1", ended)
	checkLog(t, b, "a-1", create)
	if n := calls.of("set_ip"); n != 1 {
		t.Errorf("the step ran %d times", n)
	}
}

func TestTheSweeperWaitsForADeadlineAndAPlannedRetry(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	now := time.Now()
	var calls counter
	b := apply(t, connect(t, s, Options{Now: func() time.Time { return now }, Intercept: calls.intercept}))
	seq := begin(t, b, "a-1", create)
	sweep := func(want int) {
		t.Helper()
		if err := b.Sweep(testContext(t)); err != nil {
			t.Fatal(err)
		}
		if n := calls.of("tick.publish"); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	now = now.Add(50 * time.Second)
	sweep(0)
	now = now.Add(20 * time.Second)
	sweep(1)
	vm := admitted("a-1", create)
	step, _ := chain.Next(vm)
	b.advance(vm, step, Done, &RetryAfter{Err: errors.New("locked"), After: time.Hour})
	if _, err := b.Append(testContext(t), vm, seq); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	sweep(1)
	now = now.Add(2 * time.Minute)
	sweep(2)
}

func TestTraceContextPassesThrough(t *testing.T) {
	t.Parallel()
	b := open(t, Options{Retry: quick})
	id := trace.TraceID{1, 2, 3}
	ctx := trace.ContextWithSpanContext(testContext(t), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: trace.SpanID{4}, TraceFlags: trace.FlagsSampled,
	}))
	runWorkers(t, b, func(ctx context.Context, trigger *Trigger) (Outcome, error) {
		if got := trace.SpanContextFromContext(ctx).TraceID(); got != id {
			t.Errorf("step %s has trace %s", chain.Name(trigger.Step.To), got)
		}
		return Done, nil
	})
	if _, err := b.Append(ctx, admitted("a-1", create), 0); err != nil {
		t.Fatal(err)
	}
	until(t, b, "a-1", ended)
}

func TestRedeliveryDelayGrowsToACap(t *testing.T) {
	for delivered, want := range map[uint64]time.Duration{
		1: 200 * time.Millisecond, 3: 800 * time.Millisecond, 9: 30 * time.Second, 25: 30 * time.Second,
	} {
		if got := redeliveryDelay(delivery{delivered: delivered}); got != want {
			t.Errorf("delivery %d: %s, want %s", delivered, got, want)
		}
	}
	if got := redeliveryDelay(delivery{}); got != time.Second {
		t.Errorf("a message without metadata: %s", got)
	}
}

// delivery is a message of which only the number of deliveries is known; 0 means not even that.
type delivery struct {
	jetstream.Msg
	delivered uint64
}

func (d delivery) Metadata() (*jetstream.MsgMetadata, error) {
	if d.delivered == 0 {
		return nil, jetstream.ErrNotJSMessage
	}
	return &jetstream.MsgMetadata{NumDelivered: d.delivered}, nil
}
