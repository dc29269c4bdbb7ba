// Package watch follows an operation through the gateway's API.
package watch

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// wait is how long one question for the operation's end may stay open. It is the longest gap that
// an event stream which broke can leave.
const wait = 5 * time.Second

// outage is how long the gateway, or what is behind it, may be away before a watch ends, and how often it is
// asked meanwhile. The operation goes on without it.
var outage = struct{ most, again time.Duration }{most: 2 * time.Minute, again: time.Second}

// Operation calls show with every step that has been done and is done, in order and once each,
// until the operation has ended or is parked, and returns it as it is then. Steps are shown as their
// events arrive; what an event stream misses is made up by asking.
func Operation(ctx context.Context, client *api.Client, op api.Operation, show func(api.Step) error) (api.Operation, error) {
	ctx, cancel := context.WithCancel(ctx)
	states := make(chan api.Operation)
	failed := make(chan error, 1)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	id, ref := op.ID, op.ServiceRef
	running.Go(func() { follow(ctx, client, id, ref, states) })
	running.Go(func() {
		if err := ask(ctx, client, id, states); err != nil {
			failed <- err
		}
	})
	for shown := 0; ; {
		for ; shown < done(op); shown++ {
			if err := show(op.Steps[shown]); err != nil {
				return op, err
			}
		}
		if op.Ended() {
			return op, nil
		}
		select {
		case newer := <-states:
			if newer.Ended() || done(newer) > shown {
				op = newer
			}
		case err := <-failed:
			return op, err
		case <-ctx.Done():
			return op, ctx.Err()
		}
	}
}

// done is how many steps have been done.
func done(op api.Operation) int {
	n := 0
	for n < len(op.Steps) && op.Steps[n].Status == api.StatusSucceeded {
		n++
	}
	return n
}

// follow hands on what events say of the operation. A stream that breaks is no error: ask goes on.
func follow(ctx context.Context, client *api.Client, id, ref string, states chan<- api.Operation) {
	_ = client.Events(ctx, ref, func(e api.Event) error {
		if e.Service.Operation.ID != id {
			return nil
		}
		return send(ctx, states, e.Service.Operation)
	})
}

// ask asks for the operation until it has ended.
func ask(ctx context.Context, client *api.Client, id string, states chan<- api.Operation) error {
	for {
		op, err := once(ctx, client, id)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err := send(ctx, states, op); err != nil || op.Ended() {
			return err
		}
	}
}

// once asks until there is an answer, or none for too long.
func once(ctx context.Context, client *api.Client, id string) (api.Operation, error) {
	for began := time.Now(); ; {
		op, err := client.GetOperation(ctx, id, wait)
		if err == nil || !passing(err) || time.Since(began) > wait+outage.most {
			return op, err
		}
		again := time.NewTimer(outage.again)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return op, err
		}
	}
}

// passing says that the next question may be answered: nobody has answered this one, or not for good.
func passing(err error) bool {
	if problem := (*api.Problem)(nil); errors.As(err, &problem) {
		return problem.Status >= http.StatusBadGateway && problem.Status <= http.StatusGatewayTimeout
	}
	return true
}

func send(ctx context.Context, states chan<- api.Operation, op api.Operation) error {
	select {
	case states <- op:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
