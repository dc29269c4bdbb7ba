package bus

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestApplyMayBeRepeatedAndMakesEverything(t *testing.T) {
	t.Parallel()
	b := connect(t, startServer(t), Options{})
	ctx := testContext(t)
	if err := b.Ready(ctx); err == nil {
		t.Fatal("ready before anything was applied")
	}
	apply(t, apply(t, b))
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range Consumers {
		cons, err := b.js.Consumer(ctx, c.Stream, c.Config.Durable)
		if err != nil {
			t.Fatalf("%s: %v", c.Config.Durable, err)
		}
		got := cons.CachedInfo().Config
		if got.AckWait != defaultAckWait || got.MaxDeliver != deliveries || got.FilterSubject != c.Config.FilterSubject {
			t.Errorf("%s: %+v", c.Config.Durable, got)
		}
	}
	for _, kv := range Buckets {
		if _, err := b.Bucket(ctx, kv.Bucket); err != nil {
			t.Error(err)
		}
	}
	ticks, err := b.js.Stream(ctx, StreamTICK)
	if err != nil {
		t.Fatal(err)
	}
	for _, tick := range RecurringTicks {
		msg, err := ticks.GetLastMsgForSubject(ctx, "sched."+tick.Tick)
		if err != nil {
			t.Fatalf("%s: %v", tick.Tick, err)
		}
		if got := msg.Header.Get("Nats-Schedule"); got != "@every "+tick.Every.String() {
			t.Errorf("%s fires %q", tick.Tick, got)
		}
	}
}

func TestATickHasTheIntervalThatIsAskedFor(t *testing.T) {
	b := open(t, Options{Every: map[string]time.Duration{TickObserve: time.Hour}})
	ticks, err := b.js.Stream(testContext(t), StreamTICK)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := ticks.GetLastMsgForSubject(testContext(t), "sched."+TickObserve)
	if err != nil || msg.Header.Get("Nats-Schedule") != "@every 1h0m0s" {
		t.Errorf("it fires %v, %v", msg, err)
	}
}

// TestEveryTickHasAConsumer holds the tables together: a tick that nobody consumes would be silent.
func TestEveryTickHasAConsumer(t *testing.T) {
	for _, tick := range RecurringTicks {
		consumed := slices.ContainsFunc(Consumers, func(c Consumer) bool {
			return c.Stream == StreamTICK && strings.HasPrefix("tick."+tick.Tick, strings.TrimSuffix(c.Config.FilterSubject, ">"))
		})
		if !consumed {
			t.Errorf("nobody consumes %s", tick.Tick)
		}
	}
}

func TestTheNewestStateOutlivesEveryLimit(t *testing.T) {
	for _, s := range Streams {
		if s.Name == StreamVM && (s.MaxAge != 0 || s.MaxMsgs != 0 || s.MaxBytes != 0 || s.Retention != jetstream.LimitsPolicy || s.AllowMsgTTL) {
			t.Error("a limit of the VM stream could drop a VM's newest state")
		}
	}
}
