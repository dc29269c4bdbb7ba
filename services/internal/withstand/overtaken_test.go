package withstand

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/internal/rig"
	"github.com/vmline/vmline/services/provisioner"
)

// gate is a place where one worker stands until it is let through.
type gate struct {
	once    sync.Once
	reached chan struct{}
	opened  chan struct{}
	open    func()
}

func newGate() *gate {
	g := &gate{reached: make(chan struct{}), opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	return g
}

func (g *gate) pass() {
	g.once.Do(func() { close(g.reached) })
	<-g.opened
}

func (g *gate) isReached() bool {
	select {
	case <-g.reached:
		return true
	default:
		return false
	}
}

// pair are two workers of one step. The first orders a heavy task; the second comes to its own order of it
// before the first can say that it has one, or only then.
type pair struct {
	*rig.Rig
	t    *testing.T
	path string
	// ordered is where the first stands before its order, answered where it has one and nobody knows.
	ordered, answered *gate
	// asked is where the second stands before it looks whether the step is still asked for.
	asked *gate
	// passed and left are how often the first and the second have ended what they were told.
	passed, left atomic.Int32
	// silent is where the first stands before a word to Redis.
	silent *gate
	quiet  atomic.Bool
}

// first is the edge of the worker that orders.
func (p *pair) first() rig.Edge {
	return rig.Edge{
		Bus: func(ctx context.Context, call string, do func(context.Context) error) error {
			err := do(ctx)
			if call == "msg.ack" {
				p.passed.Add(1)
			}
			return err
		},
		Proxmox: func(next http.RoundTripper) http.RoundTripper {
			return tripper(func(req *http.Request) (*http.Response, error) {
				orders := req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, p.path)
				if orders {
					p.ordered.pass()
				}
				answer, err := next.RoundTrip(req)
				if orders {
					p.answered.pass()
				}
				return answer, err
			})
		},
		Redis: mute{p},
	}
}

// second is the edge of the one that comes too: the second time that it reads the VM is right before its order.
func (p *pair) second() rig.Edge {
	var reads atomic.Int32
	return rig.Edge{Bus: func(ctx context.Context, call string, do func(context.Context) error) error {
		if call == "vm.last" && reads.Add(1) == 2 {
			p.asked.pass()
		}
		err := do(ctx)
		if call == "msg.ack" {
			p.left.Add(1)
		}
		return err
	}}
}

// mute keeps a worker from renewing its lease.
type mute struct{ *pair }

func (m mute) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (m mute) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if m.quiet.Load() {
			m.silent.pass()
		}
		return next(ctx, cmd)
	}
}

func (m mute) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestAnOvertakenWorkerLeavesTheLease: two workers have the same step of one VM, and so the same lease. The one
// that finds the task ordered already does not give back what the running task uses.
func TestAnOvertakenWorkerLeavesTheLease(t *testing.T) {
	t.Parallel()
	for _, heavy := range []struct {
		path, purpose string
		takes         pvesim.Durations
	}{
		{"/clone", machine.PurposeClone, pvesim.Durations{Clone: time.Hour}},
		{"/migrate", machine.PurposeMigrate, pvesim.Durations{Migrate: time.Hour}},
	} {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, and the order is known: %t", heavy.purpose, known), func(t *testing.T) {
				cfg, clock := slowly(heavy.takes)
				cfg.Templates = append(cfg.Templates, pvesim.Template{VMID: 9301, Node: "pve1", Name: "local", Storage: "local"})
				p := &pair{t: t, path: heavy.path, ordered: newGate(), answered: newGate(), asked: newGate(), silent: newGate()}
				p.Rig = rig.New(t, rig.Options{Sim: cfg, Rules: provisioner.Rules{TasksPerNode: 1}})
				p.meet(known, heavy.purpose)
				clock.pass(time.Hour)
				p.Await("pair-7201", rig.Ended(create))
				p.CheckWorld()
			})
		}
	}
}

// meet has the two meet and fails the test if the lease is gone after that.
func (p *pair) meet(known bool, purpose string) {
	const ref = "pair-7201"
	for _, g := range []*gate{p.ordered, p.answered, p.asked, p.silent} {
		p.t.Cleanup(g.open) // before the services are stopped
	}
	p.Start(chain.IPAM, rig.Edge{})
	p.Start(chain.Lifecycle, rig.Edge{})
	p.Start(chain.Provisioner, p.first())
	pkg := rig.Small("pair")
	pkg.Template, pkg.Node = "local", "pve2"
	p.Order(ref, pkg)
	eventually(p.t, "the first worker's order", p.ordered.isReached)
	last, err := p.Bus.Last(p.t.Context(), ref)
	must(p.t, err)
	p.Start(chain.Provisioner, p.second())
	for !p.asked.isReached() {
		p.retrigger(last)
	}
	p.quiet.Store(true)
	p.ordered.open()
	eventually(p.t, "the answer to the first", p.answered.isReached)
	if known {
		p.answered.open()
		p.Await(ref, doing(purpose))
	}
	p.asked.open()
	eventually(p.t, "the end of the second worker's step", func() bool { return p.left.Load() > 0 })
	if table, err := p.Redis.Get(p.t.Context(), "vmline:leases:"+rig.Cluster).Result(); err != nil || !strings.Contains(table, last.VM.GetUid()) {
		p.t.Errorf("the lease of a task that runs was given back: %s, %v", table, err)
	}
	p.answered.open()
	p.silent.open()
	p.quiet.Store(false)
}

// retrigger has one of the two look at the VM's step. The first, which is at it, does nothing.
func (p *pair) retrigger(e bus.Entry) {
	p.t.Helper()
	passed := p.passed.Load()
	must(p.t, p.Bus.Retrigger(p.t.Context(), chain.Provisioner, e.VM.GetRef(), e.Seq))
	eventually(p.t, "one of the workers looks again", func() bool { return p.passed.Load() > passed || p.asked.isReached() })
}
