package bus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
)

// steps of one chain: every status of create after the first.
func stepsOfCreate() int {
	route, _ := chain.RouteOf(create)
	return len(route.Statuses) - 1
}

// chains measures how long each of many chains takes.
type chains struct {
	mu      sync.Mutex
	started map[string]time.Time
	took    []time.Duration
	left    int
	done    chan struct{}
}

func (c *chains) expect(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started, c.left, c.done = map[string]time.Time{}, n, make(chan struct{})
}

func (c *chains) start(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started[ref] = time.Now()
}

func (c *chains) end(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, time.Since(c.started[ref]))
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// measure has begin start n chains at once, b.N times, and reports their rates and times.
func (c *chains) measure(b *testing.B, n int, begin func(ref string)) {
	round := 0
	b.ResetTimer()
	for b.Loop() {
		round++
		c.expect(n)
		for i := range n {
			ref := fmt.Sprintf("b-%d-%d", round, i)
			c.start(ref)
			go begin(ref)
		}
		<-c.done
	}
	b.StopTimer()
	slices.Sort(c.took)
	rate := float64(len(c.took)) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "chains/s")
	b.ReportMetric(rate*float64(stepsOfCreate()), "steps/s")
	b.ReportMetric(float64(c.took[len(c.took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(c.took[len(c.took)*99/100].Microseconds())/1000, "p99-ms")
}

// forEachSetting runs a benchmark for both ways to sync and for growing numbers of chains.
func forEachSetting(b *testing.B, run func(b *testing.B, s *server.Server, n int)) {
	for _, fast := range []bool{false, true} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/chains=%d", map[bool]string{false: "sync", true: "fast"}[fast], n), func(b *testing.B) {
				s, err := embedded.Start(embedded.Options{Dir: b.TempDir(), Fast: fast})
				if err != nil {
					b.Fatal(err)
				}
				defer embedded.Stop(s)
				run(b, s, n)
			})
		}
	}
}

// BenchmarkCeiling is the least that any such chain must do: consume, publish behind the fence,
// acknowledge. It is written directly on the client library, with one consumer.
func BenchmarkCeiling(b *testing.B) {
	forEachSetting(b, func(b *testing.B, s *server.Server, n int) {
		bus := connect(b, s, Options{})
		ctx := context.Background()
		if _, err := bus.js.CreateStream(ctx, Streams[0]); err != nil {
			b.Fatal(err)
		}
		cons, err := bus.js.CreateConsumer(ctx, StreamVM, stepConsumer(chain.IPAM).Config)
		if err != nil {
			b.Fatal(err)
		}
		payload, err := proto.Marshal(admitted("b-0", create))
		if err != nil {
			b.Fatal(err)
		}
		var c chains
		sub, err := cons.Consume(func(msg jetstream.Msg) {
			go func() {
				if err := bareStep(ctx, bus.js, msg, payload, &c); err != nil {
					b.Error(err)
				}
			}()
		}, jetstream.PullMaxMessages(500), jetstream.PullExpiry(pullExpiry))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { sub.Stop(); <-sub.Closed() }()
		c.measure(b, n, func(ref string) {
			msg := nats.NewMsg(Subject(ref))
			msg.Header.Set("Step", "0")
			msg.Data = payload
			if _, err := bus.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
				b.Error(err)
			}
		})
	})
}

func bareStep(ctx context.Context, js jetstream.JetStream, msg jetstream.Msg, payload []byte, c *chains) error {
	var step int
	if _, err := fmt.Sscan(msg.Headers().Get("Step"), &step); err != nil {
		return err
	}
	if step == stepsOfCreate() {
		c.end(msg.Subject()[len("vm."):])
		return msg.Ack()
	}
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	next := nats.NewMsg(msg.Subject())
	next.Header.Set("Step", fmt.Sprint(step+1))
	next.Data = payload
	if _, err := js.PublishMsg(ctx, next, jetstream.WithExpectLastSequencePerSubject(meta.Sequence.Stream)); err != nil {
		return err
	}
	return msg.Ack()
}

// BenchmarkWorker is the same chain through the workers of every service, with steps that do
// nothing. A chain has ended when its last state is stored.
func BenchmarkWorker(b *testing.B) {
	forEachSetting(b, func(b *testing.B, s *server.Server, n int) {
		bus := apply(b, connect(b, s, Options{}))
		p := runWorkers(b, bus, noWork)
		defer p.stop()
		var c chains
		ctx, cancel := context.WithCancel(context.Background())
		started := make(chan struct{})
		var tail sync.WaitGroup
		tail.Go(func() {
			_ = bus.Tail(ctx, "*", func() { close(started) }, func(e Entry) bool {
				if ended(e.VM) {
					c.end(e.VM.GetRef())
				}
				return true
			})
		})
		defer tail.Wait()
		defer cancel()
		<-started
		c.measure(b, n, func(ref string) {
			if _, err := bus.Append(ctx, admitted(ref, create), 0); err != nil {
				b.Error(err)
			}
		})
	})
}
