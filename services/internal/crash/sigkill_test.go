package crash

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vmline/vmline/services/internal/rig"
)

// TestKilledBySIGKILL has the service run as a process of its own, which kills itself at the first
// call of each name: half of them before, half of them after it. Nothing is handed back then; what
// the process had in hand waits for AckWait.
func TestKilledBySIGKILL(t *testing.T) {
	options := rig.Options{AckWait: 500 * time.Millisecond}
	var rows []scene
	for i, row := range record(t, options, "full") {
		// Which half is for each operation to say: both have every service.
		row.first = row.first && row.making.nth == 1 && row.making.after == (i/2%2 == 0)
		row.last = row.last && row.takingAway.nth == 1 && row.takingAway.after == (i/2%2 == 1)
		if row.first || row.last {
			rows = append(rows, row)
		}
	}
	eachScene(t, options, rows, func(t *testing.T, s *stage, ref string, row scene) {
		server, err := s.Sim.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		s.act(t, server.URL, row.first, row.making, func(s *stage) {
			s.makeVM(ref, packages[row.pkg])
			s.checkLooks(ref, row.looks)
		})
		if t.Failed() {
			return
		}
		s.view(t).dress(ref)
		s.act(t, server.URL, row.last, row.takingAway, func(s *stage) { s.removeVM(ref) })
	})
}

// act runs do, with the struck service as a process of its own if it is to be killed.
func (s *stage) act(t *testing.T, proxmox string, killed bool, at strike, do func(*stage)) {
	if !killed {
		s.perform(t, 1, do)
		return
	}
	t.Run(at.String(), func(t *testing.T) {
		others := *s
		others.fates = slices.DeleteFunc(slices.Clone(s.fates), func(f *fate) bool { return f.service == at.service })
		others.perform(t, 1, func(view *stage) {
			redis := s.Redis.Options()
			p := startProcess(t, order{
				Service: at.service, NATS: s.URL(), RedisNetwork: redis.Network, RedisAddr: redis.Addr, Proxmox: proxmox,
				Call: at.call, Nth: at.nth, After: at.after,
			})
			defer p.stop()
			do(view)
			// A call that nothing waits for, such as an acknowledgement, may come a little later.
			view.await("the process was killed", p.wasKilled)
		})
	})
}

// process runs a child, and starts it again without a strike when it has killed itself.
type process struct {
	stop func()

	mu     sync.Mutex
	killed bool
}

func (p *process) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

func startProcess(t *testing.T, o order) *process {
	p := &process{}
	ctx, cancel := context.WithCancel(context.Background())
	var living sync.WaitGroup
	living.Go(func() {
		for ctx.Err() == nil {
			status := live(t, ctx, o)
			if ctx.Err() != nil {
				return
			}
			if status.Signal() != syscall.SIGKILL {
				t.Errorf("the process ended by itself: %v", status)
				return
			}
			o.Call = ""
			p.mu.Lock()
			p.killed = true
			p.mu.Unlock()
		}
	})
	p.stop = func() {
		cancel()
		living.Wait()
	}
	return p
}

// live runs one child until it ends, or ctx does.
func live(t *testing.T, ctx context.Context, o order) syscall.WaitStatus {
	text, err := json.Marshal(o)
	if err != nil {
		t.Error(err)
	}
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childOrder+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the child ends when it is closed
	if err != nil {
		t.Error(err)
		return 0
	}
	defer in.Close()
	err = cmd.Run() // how it ended stands in its state
	if cmd.ProcessState == nil {
		if ctx.Err() == nil {
			t.Errorf("the process did not begin: %v", err)
		}
		return 0
	}
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status
}
