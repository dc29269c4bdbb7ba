package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/vmline/vmline/services/internal/app"
	"github.com/vmline/vmline/services/internal/rig"
)

// idleAfter is how long after its start a service counts as idle.
const idleAfter = 2 * time.Second

// BenchmarkServiceMemory is the memory of each service as a process of its own: idle, and the most
// it took while 1,000 machines were made at once.
func BenchmarkServiceMemory(b *testing.B) {
	r := rig.New(b, rig.Options{})
	packages := []string{"github.com/vmline/vmline/services/vmline"}
	for _, s := range app.All() {
		packages = append(packages, "github.com/vmline/vmline/services/"+s.Name+"/cmd/"+s.Name)
	}
	i := install(b, r.Sim, r.URL(), "redis://"+miniredis.RunT(b).Addr(), packages...)
	if out, err := i.command("vmline", "apply").CombinedOutput(); err != nil {
		b.Fatalf("apply: %v\n%s", err, out)
	}
	var programs []*program
	for _, s := range app.All() {
		programs = append(programs, i.start(s.Name))
	}
	for _, p := range programs {
		i.healthy(p.name)
	}
	<-time.After(idleAfter)
	idle := map[string]memory{}
	for _, p := range programs {
		idle[p.name] = p.memory()
	}
	f := watchFleet(b, r.Bus, r.URL())
	for round := 0; b.Loop(); round++ {
		f.round(fmt.Sprintf("b-%d", round), 1000, rig.Small)
	}
	for _, p := range programs {
		b.ReportMetric(idle[p.name].Resident, p.name+"-idle-MiB")
		b.ReportMetric(p.memory().Peak, p.name+"-peak-MiB")
		p.stop()
	}
}
