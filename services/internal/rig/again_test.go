package rig

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestACommandThatComesAgain: as long as its acknowledgements are lost, a command is delivered again and
// again. It is admitted once and never refused, also when another has taken its place meanwhile.
func TestACommandThatComesAgain(t *testing.T) {
	// A message that comes again for the 25th time comes no more, so it must not come too often.
	r := New(t, Options{AckWait: time.Second})
	losing := &acks{}
	r.Start(chain.Lifecycle, Edge{Bus: losing.intercept})
	for _, tt := range []struct {
		name, ref string
		replaced  bool
	}{
		{name: "to its own operation", ref: "again-1"},
		{name: "to the termination that replaced it", ref: "again-2", replaced: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			losing.lose(true)
			ids := []string{r.Order(tt.ref, Small("web"))}
			r.Await(tt.ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetKind() == create })
			losing.await(t)
			if tt.replaced {
				ids = append(ids, r.Terminate(tt.ref))
				r.Await(tt.ref, func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_REMOVED })
			}
			before := len(r.log(tt.ref))
			losing.lose(false)
			r.drained()
			for _, id := range ids {
				if refusal := r.refusal(id); refusal != nil {
					t.Errorf("%s was admitted and is refused: %v", id, refusal.GetProblem())
				}
				if n := len(r.admitted(tt.ref, id)); n != 1 {
					t.Errorf("%s was admitted %d times", id, n)
				}
			}
			if now := r.log(tt.ref); len(now) != before {
				t.Errorf("the repetition has written %v", now[before:])
			}
		})
	}
	t.Run("to its refusal", func(t *testing.T) {
		r := r.For(t)
		losing.lose(true)
		cmd, err := Command("again-3", terminate, nil, "")
		must(t, err)
		must(t, r.Bus.SendCommand(t.Context(), cmd))
		losing.await(t)
		first := r.refusal(cmd.GetId())
		losing.lose(false)
		r.drained()
		r.checkRefused(cmd, "there is no such VM", "Order it first.")
		if !proto.Equal(first, r.refusal(cmd.GetId())) {
			t.Error("the refusal was written again")
		}
	})
}

// acks loses acknowledgements.
type acks struct {
	losing atomic.Bool
	count  atomic.Int64
}

func (a *acks) lose(on bool) {
	if on {
		a.count.Store(0)
	}
	a.losing.Store(on)
}

// await returns once an acknowledgement was lost.
func (a *acks) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.count.Load() == 0 {
		select {
		case <-ctx.Done():
			t.Fatal("no acknowledgement was lost")
		case <-tick.C:
		}
	}
}

func (a *acks) intercept(ctx context.Context, call string, do func(context.Context) error) error {
	if call == "msg.ack" && a.losing.Load() {
		a.count.Add(1)
		return errors.New("the acknowledgement is lost")
	}
	return do(ctx)
}

// TestTwoCommandsAtOnce: both have read the same state before either writes. One is admitted, the other
// decides again and is refused with the name of the first, unless it is a termination: that is meant
// whatever came first.
func TestTwoCommandsAtOnce(t *testing.T) {
	r := New(t, Options{})
	for _, tt := range []struct {
		name, ref string
		before    *vmlinev1.VM
		kinds     [2]vmlinev1.Operation_Kind
	}{
		{name: "two packages for a new ref", ref: "race-1", kinds: [2]vmlinev1.Operation_Kind{create, create}},
		{name: "correction and termination of a parked order", ref: "race-2", before: standing(t, create, parked, setIP), kinds: [2]vmlinev1.Operation_Kind{create, terminate}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			r.stand(tt.ref, tt.before)
			var cmds []*vmlinev1.Command
			for i, kind := range tt.kinds {
				var pkg *vmlinev1.Package
				if kind == create {
					pkg = with(func(p *vmlinev1.Package) { p.Cores = uint32(2 + i) })
				}
				cmd, err := Command(tt.ref, kind, pkg, tt.before.GetOperation().GetId())
				must(t, err)
				must(t, r.Bus.SendCommand(t.Context(), cmd))
				cmds = append(cmds, cmd)
			}
			stop := r.Start(chain.Lifecycle, Edge{Bus: meet(2)})
			defer stop()
			r.drained()
			winner, loser := cmds[0], cmds[1]
			if len(r.admitted(tt.ref, winner.GetId())) == 0 {
				winner, loser = loser, winner
			}
			if loser.GetKind() == terminate {
				winner, loser = loser, nil // it has taken the place of the one that was first
			}
			if n := len(r.admitted(tt.ref, winner.GetId())); n != 1 || r.refusal(winner.GetId()) != nil {
				t.Errorf("the first was admitted %d times, its refusal is %v", n, r.refusal(winner.GetId()))
			}
			if loser == nil {
				return
			}
			r.checkRefused(loser, "another command came first: operation "+winner.GetId()+" ("+chain.KindName(winner.GetKind())+")", firstCame)
		})
	}
}

// meet holds writes of VM states until so many are about to be made. Later ones pass.
func meet(n int) bus.Interceptor {
	var (
		mu   sync.Mutex
		open = make(chan struct{})
	)
	return func(ctx context.Context, call string, do func(context.Context) error) error {
		if call != "vm.append" {
			return do(ctx)
		}
		mu.Lock()
		if n--; n == 0 {
			close(open)
		}
		mu.Unlock()
		select {
		case <-open:
			return do(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestACorrectedOrderGoesOn: a package that Proxmox refuses is parked; corrected, the same machine goes on to
// its end.
func TestACorrectedOrderGoesOn(t *testing.T) {
	r := New(t, Options{})
	r.StartAll()
	r.Order("mend-1", with(func(p *vmlinev1.Package) { p.CpuType = "pentium9" }))
	first := r.Await("mend-1", Parked)
	if p := first.GetProblem(); !strings.Contains(p.GetCause(), "pentium9") || p.GetNext() == "" {
		t.Fatalf("a person reads %q, %q, %q", p.GetCause(), p.GetKept(), p.GetNext())
	}
	r.Order("mend-1", with(func(p *vmlinev1.Package) { p.Cores = 2 }))
	vm := r.Await("mend-1", Ended(create))
	if vm.GetUid() != first.GetUid() || vm.GetVmid() != first.GetVmid() || !equal(vm.GetAddresses(), first.GetAddresses()) || len(vm.GetAddresses()) != 1 {
		t.Errorf("it was %s, VM %d, %v and is %s, VM %d, %v", first.GetUid(), first.GetVmid(), first.GetAddresses(), vm.GetUid(), vm.GetVmid(), vm.GetAddresses())
	}
	if machine, _ := r.Sim.VM(int(vm.GetVmid())); machine.Config["cores"] != "2" {
		t.Errorf("it runs with %s cores", machine.Config["cores"])
	}
	made := 0
	for _, task := range r.Sim.Tasks() {
		if task.Type == "qmclone" && task.ExitStatus == "OK" {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d clones were made", made)
	}
	r.CheckLog("mend-1")
	r.CheckWorld()
	r.CheckReserved(1, 1)
}
