package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

// maxWait is the longest wait for an operation; proxies cut connections that are silent for longer.
const maxWait = 25 * time.Second

type operationInput struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}\\.[A-Za-z0-9_-]{1,64}$" patternDescription:"the id of an operation"`
	Prefer
	Wait int `query:"wait" minimum:"0" maximum:"25" doc:"Seconds to wait for the operation's end."`
}

func (g *gateway) getOperation(ctx context.Context, in *operationInput) (*operationOutput, error) {
	op, err := g.findOperation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Wait > 0 {
		in.Prefer.Prefer = "wait=" + strconv.Itoa(in.Wait)
	}
	out, err := g.waited(ctx, op, in.Prefer)
	if out != nil {
		out.Status = http.StatusOK // it is the operation that was asked for, whatever its status
	}
	return out, err
}

// found is what is known of an operation.
type found struct {
	// operation is nil for one that is not known.
	operation *api.Operation
	// requestDigest is its request's, empty where that is not known.
	requestDigest []byte
}

func (g *gateway) findOperation(ctx context.Context, id string) (api.Operation, error) {
	f, err := g.lookUp(ctx, id)
	if err != nil {
		return api.Operation{}, err
	}
	if f.operation == nil {
		return api.Operation{}, problem(http.StatusNotFound, "There is no operation "+id+", or it is too old to be kept.", "Look at the VM itself.")
	}
	return *f.operation, nil
}

// lookUp looks where an operation can be: in the VM's present state, in its queue, still in the command
// stream, among the refusals, in the VM's history. It looks in this order because an operation moves
// from one to the next.
func (g *gateway) lookUp(ctx context.Context, id string) (found, error) {
	ref := identity.Ref(id)
	vm, err := g.lastVM(ctx, ref)
	if err != nil {
		return found{}, err
	}
	if f := present(vm, id); f.operation != nil {
		return f, nil
	}
	pending, err := g.bus.PendingCommands(ctx, ref)
	if err != nil {
		return found{}, g.busProblem("read commands", err)
	}
	for _, cmd := range pending {
		if cmd.GetId() == id {
			op := api.PendingOperation(cmd)
			return found{&op, cmd.GetRequestDigest()}, nil
		}
	}
	refusal, err := g.refusal(ctx, id)
	if err != nil {
		return found{}, err
	}
	if joined := refusal.GetJoined(); joined != "" && joined != id {
		if f, err := g.lookUp(ctx, joined); f.operation != nil || err != nil {
			return found{operation: f.operation}, err // the digest is another request's
		}
	}
	if refusal != nil {
		op := api.FromRefusal(refusal)
		return found{operation: &op}, nil
	}
	return g.inHistory(ctx, ref, id)
}

// present looks into the VM's state.
func present(vm *vmlinev1.VM, id string) found {
	if vm.GetOperation().GetId() == id {
		op := api.OperationOf(vm)
		return found{&op, vm.GetOperation().GetRequestDigest()}
	}
	if vm.GetQueued().GetId() == id {
		return found{operation: api.QueuedOperation(vm)}
	}
	return found{}
}

// inHistory looks in the VM's log, newest first.
func (g *gateway) inHistory(ctx context.Context, ref, id string) (found, error) {
	history, err := g.bus.History(ctx, ref)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return found{}, g.busProblem("read history", err)
	}
	for i := len(history) - 1; i >= 0; i-- {
		vm := history[i].VM
		if i == len(history)-1 {
			if f := present(vm, id); f.operation != nil {
				return f, nil
			}
		}
		if vm.GetOperation().GetId() == id {
			op := api.InterruptedAt(vm, history[i+1].Time)
			return found{&op, vm.GetOperation().GetRequestDigest()}, nil
		}
	}
	return found{}, nil
}

// Between changes of the VM a waiting request looks by itself: a refusal is no change of a VM, and
// a change may be missed while the connection to NATS is down.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 2 * time.Second
)

// awaitOperation returns the operation once it has ended or is parked, or as it stands after wait.
func (g *gateway) awaitOperation(ctx context.Context, op api.Operation, wait time.Duration) (api.Operation, error) {
	waiting, cancel := g.untilStopping(ctx)
	defer cancel()
	waiting, cancelWait := context.WithTimeout(waiting, wait)
	defer cancelWait()

	changed := make(chan struct{}, 1)
	changedNow := func() {
		select {
		case changed <- struct{}{}:
		default: // a look is due already
		}
	}
	var tail sync.WaitGroup
	defer tail.Wait()
	defer cancelWait()
	tail.Go(func() {
		err := g.bus.Tail(waiting, op.ServiceRef, changedNow, func(bus.Entry) bool { changedNow(); return true })
		if err != nil {
			g.log.Debug("a waiting request has no tail and only looks", "operation", op.ID, "error", err)
		}
	})
	look := time.NewTimer(firstLook)
	defer look.Stop()
	for next := firstLook; !op.Ended(); look.Reset(next) {
		select {
		case <-waiting.Done():
			return op, nil
		case <-changed:
		case <-look.C:
			next = min(2*next, lastLook)
		}
		var err error
		if op, err = g.findOperation(ctx, op.ID); err != nil {
			return api.Operation{}, err
		}
	}
	return op, nil
}
