package withstand

import (
	"context"
	"fmt"
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// outage is something that goes away in the middle of work.
type outage struct {
	name string
	// begin runs right before one of the services' calls, end some calls later.
	begin, end func(context.Context, *rig.Rig)
	// lasts is the number of calls between the two.
	lasts int
	// moments are shares of the calls that the same work needs undisturbed, in percent.
	moments []int
}

var (
	often = []int{3, 30, 60, 85}
	// halfway is for what takes the services many seconds.
	halfway = []int{40}
)

var outages = []outage{
	{"Redis is flushed", func(ctx context.Context, r *rig.Rig) { r.Redis.FlushAll(ctx) }, nothing, 0, often},
	{"NATS is restarted", func(_ context.Context, r *rig.Rig) { r.StopNATS(); r.StartNATS() }, nothing, 0, halfway},
	{
		"the API is down",
		func(_ context.Context, r *rig.Rig) { r.Sim.SetDown(true) },
		func(_ context.Context, r *rig.Rig) { r.Sim.SetDown(false) }, 120, often,
	},
	nodeDown("pve1"), // it has the template
	nodeDown("pve2"),
}

func nothing(context.Context, *rig.Rig) {}

func nodeDown(node string) outage {
	return outage{
		node + " is down",
		func(_ context.Context, r *rig.Rig) { r.Sim.SetNodeOnline(node, false) },
		func(_ context.Context, r *rig.Rig) { r.Sim.SetNodeOnline(node, true) }, 120, often,
	}
}

// TestRow7Outages: whatever goes away for a while, at several moments of the creation and of the
// termination of several machines at once, everything ends as if nothing had happened. While the API
// is down no machine counts as gone, and no address is free.
func TestRow7Outages(t *testing.T) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, rig.Options{})
			ahead := &between{}
			startAll(r, 1, ahead.edge())
			creating, terminating := lifeOfSix(r, "calm", func(vmlinev1.Operation_Kind) { ahead.observe(nil) }, func() int { return ahead.seen() })
			began := 0
			for _, share := range o.moments {
				lifeOfSix(r, fmt.Sprintf("at%d", share), func(kind vmlinev1.Operation_Kind) {
					first := creating * share / 100
					if kind == terminate {
						first = terminating * share / 100
					}
					ahead.observe(func(n int, _ call) {
						switch n {
						case first:
							began++
							o.begin(t.Context(), r)
						case first + o.lasts:
							o.end(t.Context(), r)
						}
					})
				}, func() int {
					ahead.observe(nil)
					o.end(t.Context(), r)
					return 0
				})
			}
			if began < max(1, 2*len(o.moments)-2) {
				t.Errorf("only %d outages came about", began)
			}
		})
	}
}

// lifeOfSix creates and terminates six machines. before runs ahead of each of the two; after ends it
// and counts the calls that it took.
func lifeOfSix(r *rig.Rig, name string, before func(vmlinev1.Operation_Kind), after func() int) (creating, terminating int) {
	six := refs(name, 6)
	before(create)
	for i, ref := range six {
		pkg := rig.Small(ref)
		if i%2 == 1 {
			pkg = rig.Full(ref)
		}
		r.Order(ref, pkg)
	}
	awaitAll(r, six, create)
	creating = after()
	r.CheckWorld()
	r.CheckReserved(3+3*3, 6)

	before(terminate)
	for _, ref := range six {
		r.Terminate(ref)
	}
	awaitAll(r, six, terminate)
	terminating = after()
	r.CheckWorld()
	r.CheckReserved(0, 0)
	return creating, terminating
}
