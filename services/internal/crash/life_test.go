package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/services/internal/rig"
)

var errKilled = errors.New("the process was killed")

// strike is where a service dies: at the nth call of a name, which is not made, or whose answer is
// lost. With a hold it does not die, but waits there.
type strike struct {
	service chain.Service
	call    string
	nth     int
	after   bool
	hold    *hold
}

func (s strike) String() string {
	when := "before"
	if s.after {
		when = "after"
	}
	return fmt.Sprintf("%s/%s #%d/%s", s.service, s.call, s.nth, when)
}

// fate counts the calls of all instances of one service and knows at which of them one dies.
type fate struct {
	service chain.Service

	mu     sync.Mutex
	calls  map[string]int
	strike strike
	struck bool
	// started counts the instances that have done what they do first.
	started int
	// lossy loses every second acknowledgement.
	lossy bool
}

func newFate(service chain.Service) *fate {
	return &fate{service: service, calls: map[string]int{}}
}

// expect starts to count anew and has the strike come, if it is this service's.
func (f *fate) expect(s strike) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.strike, f.struck = map[string]int{}, s, false
}

// begin is before the first instance.
func (f *fate) begin() {
	f.expect(strike{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = 0
}

// loseAcks has every second acknowledgement get lost from now on.
func (f *fate) loseAcks() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lossy = true
}

// loses says whether a call gets lost on its way, with nobody the wiser.
func (f *fate) loses(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lossy && call == "msg.ack" && f.calls[call]%2 == 1
}

// ready says whether so many instances have started.
func (f *fate) ready(instances int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.service != chain.IPAM || f.started >= instances
}

// counted are the calls since expect.
func (f *fate) counted() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.calls)
}

func (f *fate) hasStruck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

// hits counts a call and says whether it is the one where the strike comes.
func (f *fate) hits(call string) (hit bool, s strike) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[call]++
	hit = f.strike.service == f.service && f.strike.call == call && f.strike.nth == f.calls[call]
	f.struck = f.struck || hit
	return hit, f.strike
}

// life is one instance of a service, until it is killed. A dead one makes no call any more and
// learns no answer.
type life struct {
	fate *fate
	ctx  context.Context //nolint:containedctx // it is what a life is
	kill context.CancelFunc

	mu   sync.Mutex
	dead bool
	// scans are ipam's first looks at its pools: it makes one at each before it is at rest.
	scans int
}

func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	l.kill()
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// around makes one call.
func (l *life) around(call string, do func() error) error {
	if l.isDead() {
		return errKilled
	}
	hit, at := l.fate.hits(call)
	if !hit {
		at.hold.pass(l.fate.service, call)
	}
	if hit && !at.after {
		l.suffer(at)
	}
	if l.isDead() {
		return errKilled
	}
	if l.fate.loses(call) {
		return nil
	}
	err := do()
	if hit && at.after {
		l.suffer(at)
	}
	if l.isDead() {
		return errKilled
	}
	l.made(call)
	return err
}

func (l *life) suffer(at strike) {
	if at.hold == nil {
		l.die()
		return
	}
	at.hold.wait()
}

// made notes a call that was made and whose answer has come.
func (l *life) made(call string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if call != "redis hscan" {
		return
	}
	if l.scans++; l.scans == len(rig.Pools()) {
		l.fate.mu.Lock()
		defer l.fate.mu.Unlock()
		l.fate.started++
	}
}

func (l *life) edge() rig.Edge {
	return rig.Edge{
		Bus: func(ctx context.Context, call string, do func(context.Context) error) error {
			return l.around(call, func() error { return do(ctx) })
		},
		Proxmox: func(next http.RoundTripper) http.RoundTripper { return &proxmoxEdge{l, next} },
		Redis:   redisEdge{l},
		DNS:     l.dial,
	}
}

// keep runs a service, and starts it again whenever it dies, until stop is called.
func keep(r *rig.Rig, f *fate) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var living sync.WaitGroup
	living.Go(func() {
		for ctx.Err() == nil {
			once(ctx, r, f)
		}
	})
	return func() {
		cancel()
		living.Wait()
	}
}

// once runs a service until it dies or ctx ends.
func once(ctx context.Context, r *rig.Rig, f *fate) {
	l := &life{fate: f}
	l.ctx, l.kill = context.WithCancel(ctx)
	defer l.kill()
	end := r.StartIn(l.ctx, f.service, l.edge()) //nolint:contextcheck // it is a child of ctx
	<-l.ctx.Done()
	end()
}

var services = []chain.Service{chain.IPAM, chain.Provisioner, chain.Lifecycle}

// proxmoxEdge stands around the calls to Proxmox.
type proxmoxEdge struct {
	life *life
	next http.RoundTripper
}

func (e *proxmoxEdge) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	err = e.life.around(shape(req.Method, req.URL.Path), func() (err error) {
		resp, err = e.next.RoundTrip(req)
		return err
	})
	if err != nil && resp != nil {
		_ = resp.Body.Close() // the answer is lost
		resp = nil
	}
	return resp, err
}

// redisEdge stands around the commands to Redis.
type redisEdge struct{ life *life }

func (e redisEdge) DialHook(next redis.DialHook) redis.DialHook { return next }

func (e redisEdge) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if connecting(cmd) {
			return next(ctx, cmd)
		}
		err := e.life.around(redisCall(cmd), func() error { return next(ctx, cmd) })
		if errors.Is(err, errKilled) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (e redisEdge) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, connecting) {
			return next(ctx, cmds)
		}
		return e.life.around("redis pipeline", func() error { return next(ctx, cmds) })
	}
}

// connecting says whether a command is the client's own: it opens connections when it likes.
func connecting(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "client" }
