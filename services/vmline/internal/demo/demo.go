// Package demo carries three orders from the HTTP call to running, named machines on a simulated
// Proxmox VE cluster, terminates one, and checks with its own eyes that all of it is true.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/api"
)

// Options of a demonstration.
type Options struct {
	// DataDir is kept afterwards; empty means a temporary one.
	DataDir string
	// Keep leaves everything running after the end, until the context ends.
	Keep bool
	// JSON writes an event a line instead of text for people.
	JSON bool
	// Colour is for terminals.
	Colour bool
	// Timeout bounds everything up to the end of the checks.
	Timeout time.Duration
	Out     io.Writer
}

// Run is nil only if everything that it shows was seen to be true.
func Run(ctx context.Context, o Options) (err error) {
	say := newPrinter(o)
	w, err := newWorld(ctx, o.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx, err == nil)) }()
	group, groupCtx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(groupCtx)
	defer stop()
	group.Go(func() error { return w.serve(serving) })
	group.Go(func() error {
		defer stop()
		if err := within(groupCtx, o.Timeout, func(ctx context.Context) error { return play(ctx, w, say) }); err != nil {
			return err
		}
		if o.Keep {
			say.kept(w)
			<-groupCtx.Done()
		}
		return nil
	})
	return group.Wait()
}

// within runs do and words the end of its time.
func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s", limit))
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
	}
	return err
}

// play is the demonstration itself.
func play(ctx context.Context, w *world, say *printer) error {
	if err := w.ready(ctx); err != nil {
		return err
	}
	say.world(w)
	orders, err := newOrders(ctx, w.client)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := place(ctx, w, say, orders); err != nil {
		return err
	}
	if err := follow(ctx, w, say, orders); err != nil {
		return err
	}
	say.ready(len(orders), time.Since(start))
	for _, check := range []func(context.Context, *world, *printer, []*order) error{
		checkMachines, checkNames, terminateOne,
	} {
		if err := check(ctx, w, say, orders); err != nil {
			return err
		}
	}
	say.done(time.Since(start))
	return nil
}

// place sends all orders, as a billing system would.
func place(ctx context.Context, w *world, say *printer, orders []*order) error {
	say.title("Orders")
	for _, o := range orders {
		sent := time.Now()
		op, err := w.client.PutService(ctx, o.ref, o.pkg)
		if err != nil {
			return fmt.Errorf("order %s: %w", o.ref, err)
		}
		o.operation = op
		say.accepted(o, time.Since(sent))
	}
	return nil
}

// follow shows each machine's chain until all are ready.
func follow(ctx context.Context, w *world, say *printer, orders []*order) error {
	say.title("Statuses, as they are reached")
	group, following := errgroup.WithContext(ctx)
	for _, o := range orders {
		group.Go(func() error { return w.follow(following, say, o.ref, o.operation) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, o := range orders {
		var err error
		if o.service, err = w.client.GetService(ctx, o.ref); err != nil {
			return fmt.Errorf("look at %s: %w", o.ref, err)
		}
		if o.service.Status != "ready" {
			return fmt.Errorf("%s has status %s, want ready", o.ref, o.service.Status)
		}
	}
	return nil
}

// notSucceeded words the end of an operation that did not succeed.
func notSucceeded(ref string, op api.Operation) error {
	if p := op.Error; p != nil {
		return fmt.Errorf("%s of %s is %s: %s %s %s", op.Type, ref, op.Status, p.Cause, p.Kept, p.Next)
	}
	return fmt.Errorf("%s of %s is %s", op.Type, ref, op.Status)
}
