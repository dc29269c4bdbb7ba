package bus

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
)

// stepsOfCreate are the steps of one chain: every status of create after the first.
func stepsOfCreate() int {
	route, _ := chain.RouteOf(create)
	return len(route.Statuses) - 1
}

// forEachSetting runs a benchmark for both ways to sync and for growing numbers of chains.
func forEachSetting(b *testing.B, run func(b *testing.B, s *server.Server, n int) bustest.Figures) {
	for _, fast := range []bool{false, true} {
		for _, n := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/chains=%d", map[bool]string{false: "sync", true: "fast"}[fast], n), func(b *testing.B) {
				s, err := embedded.Start(embedded.Options{Dir: b.TempDir(), Fast: fast})
				if err != nil {
					b.Fatal(err)
				}
				defer embedded.Stop(s)
				run(b, s, n).Report(b, stepsOfCreate())
			})
		}
	}
}

// BenchmarkCeiling is the least that any such chain must do.
func BenchmarkCeiling(b *testing.B) {
	payload, err := proto.Marshal(admitted("b-0", create))
	if err != nil {
		b.Fatal(err)
	}
	forEachSetting(b, func(b *testing.B, s *server.Server, n int) bustest.Figures {
		bare := &bustest.Bare{Stream: Streams[0], Consumer: stepConsumer(chain.IPAM).Config, Payload: payload, Steps: stepsOfCreate()}
		return bare.Measure(b, connect(b, s, Options{}).nc, n)
	})
}

// BenchmarkWorker is the same chain through the workers of every service, with steps that do
// nothing. A chain has ended when its last state is stored.
func BenchmarkWorker(b *testing.B) {
	forEachSetting(b, func(b *testing.B, s *server.Server, n int) bustest.Figures {
		bus := apply(b, connect(b, s, Options{}))
		p := runWorkers(b, bus, noWork)
		defer p.stop()
		var c bustest.Chains
		ctx, cancel := context.WithCancel(context.Background())
		started := make(chan struct{})
		var tail sync.WaitGroup
		tail.Go(func() {
			_ = bus.Tail(ctx, "*", func() { close(started) }, func(e Entry) bool {
				if ended(e.VM) {
					c.End(e.VM.GetRef())
				}
				return true
			})
		})
		defer tail.Wait()
		defer cancel()
		<-started
		return c.Measure(b, n, func(ref string) {
			if _, err := bus.Append(ctx, admitted(ref, create), 0); err != nil {
				b.Error(err)
			}
		})
	})
}
