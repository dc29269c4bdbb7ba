package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/internal/rig"
)

// fleetSize is how many machines a large cluster has.
const fleetSize = 1000

// largeCluster has 10 nodes with room for the fleet.
func largeCluster() *pvesim.Config {
	cfg := pvesim.Default()
	cfg.Nodes = nil
	for i := range 10 {
		cfg.Nodes = append(cfg.Nodes, pvesim.Node{Name: fmt.Sprintf("pve%d", i+1), CPUs: 64, MemoryMiB: 512 << 10})
	}
	return &cfg
}

// atRestFrom is from when on a machine that changed is compared with the list of its cluster.
const atRestFrom = 16 * time.Second

// BenchmarkIdleMinute counts the calls to a cluster with 10 nodes and 1,000 machines while nothing is
// ordered: those of each recurring tick, as often as it comes in a minute.
func BenchmarkIdleMinute(b *testing.B) {
	r, f := newFleet(b, rig.Options{Sim: largeCluster(), PollEvery: pollEvery})
	f.round("b", fleetSize, rig.Small)
	<-time.After(atRestFrom)
	minute := map[string]float64{}
	for b.Loop() {
		for _, tick := range bus.RecurringTicks {
			r.Sim.ResetCalls()
			if err := r.Bus.Tick(b.Context(), tick.Tick); err != nil {
				b.Fatal(err)
			}
			calls := float64(len(settledCalls(r.Sim)))
			minute[tick.Tick] += calls * float64(time.Minute) / float64(tick.Every)
			if tick.Tick == bus.TickObserve {
				b.ReportMetric(calls/fleetSize, "refresh-calls/machine")
			}
		}
	}
	all := 0.0
	for _, calls := range minute {
		all += calls / float64(b.N)
	}
	b.ReportMetric(all, "calls/minute")
	b.ReportMetric(minute[bus.TickObserve]/float64(b.N), "refresh-calls/minute")
	b.ReportMetric(minute[bus.TickDrift]/float64(b.N), "drift-calls/minute")
}

// settledCalls are the calls since the last reset, once no more come.
func settledCalls(sim *pvesim.Cluster) []pvesim.Call {
	for n := -1; ; {
		calls := sim.Calls()
		if len(calls) == n {
			return calls
		}
		n = len(calls)
		<-time.After(3 * time.Second)
	}
}

// cloneTime is how long each clone takes where all are in flight at once.
const cloneTime = 30 * time.Second

// BenchmarkClonesInFlight has 1,000 clones in flight at the same time: the calls that wait for them are
// one a node and look, however many they are.
func BenchmarkClonesInFlight(b *testing.B) {
	cluster := largeCluster()
	cluster.Durations.Clone = cloneTime
	r, f := newFleet(b, rig.Options{Sim: cluster, PollEvery: pollEvery, Synced: true})
	r.Sim.ResetCalls()
	made, most := tally{}, 0
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				most = max(most, inFlight(r.Sim))
			}
		}
	}()
	figures := f.chains.Measure(b, fleetSize, func(ref string) { f.order(ref, rig.Small(ref)) })
	close(stop)
	<-watched
	made.add(r.Sim.Calls())
	polls := 0
	for call, n := range made {
		if strings.Contains(call, "/tasks") {
			polls += n
		}
	}
	machines := float64(len(f.last))
	b.ReportMetric(float64(most), "most-in-flight")
	b.ReportMetric(float64(made.total()-polls)/machines, "calls/machine")
	b.ReportMetric(float64(polls)/machines, "polls/machine")
	b.ReportMetric(bustest.Milliseconds(figures.P50-cloneTime), "p50-overhead-ms")
	b.ReportMetric(fleetSize/figures.Rate*1000-bustest.Milliseconds(cloneTime), "all-overhead-ms")
}

// inFlight is how many tasks run.
func inFlight(sim *pvesim.Cluster) (n int) {
	for _, task := range sim.Tasks() {
		if task.Running {
			n++
		}
	}
	return n
}
