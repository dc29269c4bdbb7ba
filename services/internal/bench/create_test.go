package bench

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// BenchmarkCreate is the real chain, from the order to the stored status ready, with a cluster that
// answers at once. Beside it stands its ceiling: the same number of bare messages on the same server
// settings and the same kind of connection.
func BenchmarkCreate(b *testing.B) {
	for _, synced := range []bool{true, false} {
		for _, n := range []int{1, 10, 100, 1000} {
			name := fmt.Sprintf("%s/machines=%d", map[bool]string{true: "sync", false: "fast"}[synced], n)
			var ceiling bustest.Figures
			b.Run(name+"/ceiling", func(b *testing.B) {
				ceiling = bare(b, synced, n)
				ceiling.Report(b, stepsOfCreate())
			})
			b.Run(name+"/chain", func(b *testing.B) {
				figures := createMany(b, synced, n)
				figures.Report(b, stepsOfCreate())
				if ceiling.Rate > 0 { // else it was not chosen to run
					b.ReportMetric(figures.Rate/ceiling.Rate, "of-ceiling")
				}
			})
		}
	}
}

func createMany(b *testing.B, synced bool, n int) bustest.Figures {
	// A cluster that answers at once is also asked about its tasks at once.
	cluster := pvesim.Default()
	for i := range cluster.Storages {
		cluster.Storages[i].TotalGB *= 1000 // never full, however long the benchmark runs
	}
	_, f := newFleet(b, rig.Options{Sim: &cluster, Synced: synced, PollEvery: 5 * time.Millisecond})
	defer reportProcessor(b, n)()
	return f.chains.Measure(b, n, func(ref string) { f.order(ref, rig.Small(ref)) })
}

func bare(b *testing.B, synced bool, n int) bustest.Figures {
	s, err := embedded.Start(embedded.Options{Dir: b.TempDir(), Fast: !synced, Port: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer embedded.Stop(s)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	first := &vmlinev1.VM{Ref: "b-0", Status: vmlinev1.Status_STATUS_CREATION, Cluster: rig.Cluster, Package: rig.Small("b-0")}
	payload, err := proto.Marshal(first)
	if err != nil {
		b.Fatal(err)
	}
	chains := &bustest.Bare{Stream: bus.Streams[0], Consumer: stepConsumer(b), Payload: payload, Steps: stepsOfCreate()}
	defer reportProcessor(b, n)()
	return chains.Measure(b, nc, n)
}

// stepConsumer is how every service that owns steps consumes them.
func stepConsumer(b *testing.B) jetstream.ConsumerConfig {
	for _, c := range bus.Consumers {
		if c.Config.Durable == string(chain.Provisioner) {
			return c.Config
		}
	}
	b.Fatal("the provisioner has no consumer")
	return jetstream.ConsumerConfig{}
}

// reportProcessor reports the processor time of one chain: that of services, server and simulator.
// Unlike the time on the clock it does not depend on what else the machine does.
func reportProcessor(b *testing.B, n int) (report func()) {
	before := processor(b)
	return func() { b.ReportMetric(bustest.Milliseconds(processor(b)-before)/float64(b.N*n), "cpu-ms/chain") }
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
