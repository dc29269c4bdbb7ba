package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// taskTime is how long every task takes where tasks take time.
const taskTime = 200 * time.Millisecond

// pollEvery is the driver's own default, as in production.
const pollEvery = 500 * time.Millisecond

// aloneAfter is how long after another an order comes alone: it finds no list of the cluster that is
// still fresh.
const aloneAfter = 2 * time.Second

// The sheets are printed when all benchmarks have run, because the output of one is cut at ten lines.
var createSheet, terminateSheet = &sheet{title: "create"}, &sheet{title: "terminate"}

// timedCluster has tasks that all take the same time.
func timedCluster(d time.Duration) *pvesim.Config {
	cfg := pvesim.Default()
	cfg.Durations = pvesim.Durations{
		Create: d, Clone: d, Config: d, Resize: d, Template: d, Destroy: d, Start: d, Stop: d, Shutdown: d, Reboot: d,
		Snapshot: d, SnapshotDelete: d, Rollback: d, Migrate: d, Move: d, Backup: d, DeleteVolume: d,
	}
	return &cfg
}

// BenchmarkCalls counts the calls to Proxmox for one machine, made and taken away.
func BenchmarkCalls(b *testing.B) {
	for _, pkg := range []struct {
		name string
		make func(string) *vmlinev1.Package
	}{{"small", rig.Small}, {"full", rig.Full}} {
		for _, took := range []time.Duration{0, taskTime} {
			for _, n := range []int{1, 10} {
				b.Run(fmt.Sprintf("%s/tasks=%s/machines=%d", pkg.name, took, n), func(b *testing.B) {
					countCalls(b, fmt.Sprintf("%s/%s/%d", pkg.name, took, n), timedCluster(took), n, pkg.make)
				})
			}
		}
	}
}

func countCalls(b *testing.B, column string, cluster *pvesim.Config, n int, pkg func(string) *vmlinev1.Package) {
	r, f := newFleet(b, rig.Options{Sim: cluster, PollEvery: pollEvery})
	made, gone, machines := tally{}, tally{}, 0
	for b.Loop() {
		if n == 1 {
			<-time.After(aloneAfter)
		}
		r.Sim.ResetCalls()
		f.round(fmt.Sprintf("b-%d", machines), n, pkg)
		made.add(r.Sim.Calls())
		r.Sim.ResetCalls()
		f.terminateAll()
		gone.add(r.Sim.Calls())
		machines += n
	}
	b.ReportMetric(float64(made.total())/float64(machines), "create-calls")
	b.ReportMetric(float64(gone.total())/float64(machines), "terminate-calls")
	createSheet.add(b, column, made, machines)
	terminateSheet.add(b, column, gone, machines)
}

// BenchmarkOverhead is the time that a machine takes beside its tasks, which take 200 ms each.
func BenchmarkOverhead(b *testing.B) {
	for _, n := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("machines=%d", n), func(b *testing.B) {
			r, f := newFleet(b, rig.Options{Sim: timedCluster(taskTime), PollEvery: pollEvery, Synced: true})
			r.Sim.ResetCalls()
			figures := f.chains.Measure(b, n, func(ref string) { f.order(ref, rig.Small(ref)) })
			made := tally{}
			made.add(r.Sim.Calls())
			tasks := float64(made.tasks()) / float64(len(f.last))
			b.ReportMetric(tasks, "tasks/machine")
			b.ReportMetric(bustest.Milliseconds(figures.P50), "p50-ms")
			b.ReportMetric(bustest.Milliseconds(figures.P50)-tasks*bustest.Milliseconds(taskTime), "overhead-ms")
			b.ReportMetric(float64(n)/figures.Rate*1000, "all-ms")
		})
	}
}
