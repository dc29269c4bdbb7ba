package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/gateway/internal/identity"
)

// maxWait is the longest wait for an operation; proxies cut connections that are silent for longer.
const maxWait = 25 * time.Second

type operationInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}\\.[A-Za-z0-9_-]{1,64}$" patternDescription:"the id of an operation"`
	Wait int    `query:"wait" minimum:"0" maximum:"25" doc:"Seconds to wait for the operation's end."`
}

func (g *gateway) getOperation(ctx context.Context, in *operationInput) (*struct{ Body api.Operation }, error) {
	op, err := g.findOperation(ctx, in.ID)
	if err == nil && !op.Ended() && in.Wait > 0 {
		op, err = g.awaitOperation(ctx, op, time.Duration(in.Wait)*time.Second)
	}
	if err != nil {
		return nil, err
	}
	return &struct{ Body api.Operation }{op}, nil
}

// findOperation looks where an operation can be: in the VM's present state, among the refusals,
// still in the command stream, in the VM's history. The command stream is not read: an id that was
// made on the VM's present state was sent, and nothing has come of it yet.
func (g *gateway) findOperation(ctx context.Context, id string) (api.Operation, error) {
	vm, err := g.lastVM(ctx, identity.Ref(id))
	if err != nil {
		return api.Operation{}, err
	}
	if vm != nil && vm.GetOperation().GetId() == id {
		return api.OperationOf(vm), nil
	}
	refusal, err := g.refusal(ctx, id)
	if err != nil {
		return api.Operation{}, err
	}
	if refusal != nil {
		return api.FromRefusal(refusal), nil
	}
	if kind, ok := g.ids.Pending(id, vm.GetOperation().GetId()); ok {
		return api.Accepted(id, identity.Ref(id), kind), nil
	}
	return g.earlierOperation(ctx, id)
}

// earlierOperation looks in the VM's log, newest first.
func (g *gateway) earlierOperation(ctx context.Context, id string) (api.Operation, error) {
	history, err := g.bus.History(ctx, identity.Ref(id))
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return api.Operation{}, g.busProblem("read history", err)
	}
	for i := len(history) - 1; i >= 0; i-- {
		if history[i].VM.GetOperation().GetId() != id {
			continue
		}
		if i == len(history)-1 {
			return api.OperationOf(history[i].VM), nil
		}
		return api.InterruptedAt(history[i].VM, history[i+1].Time), nil
	}
	return api.Operation{}, problem(http.StatusNotFound, "There is no operation "+id+", or it is too old to be kept.", "Look at the VM itself.")
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
