package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var errKilled = errors.New("the process was killed")

// crasher kills the process of all workers at one place of every step of a chain, once each.
type crasher struct {
	place  string
	before bool

	mu      sync.Mutex
	step    vmlinev1.Status
	crashed map[vmlinev1.Status]bool
	kill    func()
	dead    bool
}

// around makes a call of the process: a dead one makes none, and one that dies on the call never
// learns its result.
func (c *crasher) around(ctx context.Context, call string, do func(context.Context) error) error {
	if c.isDead() {
		return errKilled
	}
	hit := c.hit(call)
	if hit && c.before {
		c.die()
		return errKilled
	}
	err := do(ctx)
	if hit {
		c.die()
	}
	if c.isDead() {
		return errKilled
	}
	return err
}

func (c *crasher) hit(call string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call != c.place || c.step == 0 || c.crashed[c.step] {
		return false
	}
	c.crashed[c.step] = true
	return true
}

func (c *crasher) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

func (c *crasher) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	c.kill()
}

// work is every step: it says where the chain is.
func (c *crasher) work(ctx context.Context, trigger *Trigger) (Outcome, error) {
	c.mu.Lock()
	c.step = trigger.Step.To
	c.mu.Unlock()
	return Done, c.around(ctx, "step", trigger.Current)
}

// live runs one process until it is killed or stop ends.
func (c *crasher) live(t *testing.T, stop context.Context, connect func() *Bus) {
	b := connect()
	killed := make(chan struct{})
	c.mu.Lock()
	c.dead = false
	c.kill = sync.OnceFunc(func() {
		b.nc.Close() // no word to the server: the messages in hand wait for AckWait
		close(killed)
	})
	c.mu.Unlock()
	p := runWorkers(t, b, c.work) //nolint:contextcheck // p.stop ends them, also when they are killed
	select {
	case <-killed:
	case <-stop.Done():
	}
	p.stop()
	b.nc.Close()
}

// TestCrashAtEveryCall kills all workers once in every step of the chain, right before and right
// after each kind of call.
func TestCrashAtEveryCall(t *testing.T) {
	t.Parallel()
	checked, _ := chain.RouteOf(create)
	for _, tt := range []struct {
		place  string
		before bool
	}{
		{"step", true}, {"step", false}, {"vm.append", true}, {"vm.append", false},
		{"msg.ack", true}, {"msg.ack", false}, {"vm.last", true}, {"vm.last", false},
	} {
		name := tt.place + " after"
		if tt.before {
			name = tt.place + " before"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &crasher{place: tt.place, before: tt.before, crashed: map[vmlinev1.Status]bool{}}
			s := startServer(t)
			o := Options{Retry: quick, AckWait: 60 * time.Millisecond}
			watcher := apply(t, connect(t, s, o))
			o.Intercept = c.around
			stop, cancel := context.WithCancel(context.Background())
			var living sync.WaitGroup
			defer living.Wait()
			defer cancel()
			living.Go(func() {
				for stop.Err() == nil {
					c.live(t, stop, func() *Bus { return connect(t, s, o) })
				}
			})
			begin(t, watcher, "a-1", create)
			until(t, watcher, "a-1", ended)
			cancel()
			living.Wait()
			checkLog(t, watcher, "a-1", create)
			// The chain may be a step ahead of an acknowledgement, so not every step has one of its own.
			if want := len(checked.Statuses) / 2; len(c.crashed) < want {
				t.Errorf("crashed in %d steps, want at least %d", len(c.crashed), want)
			}
		})
	}
}
