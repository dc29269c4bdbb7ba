package app

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Run runs services until ctx ends or one of them ends, and returns that one's error. The gateway
// stops first, so that nobody's order is taken that is not to be worked on, then the others.
func (a *App) Run(ctx context.Context, services ...Service) error {
	front, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	var gateway, workers errgroup.Group
	for _, s := range services {
		group, until := &workers, back
		if s.Name == Gateway.Name {
			group, until = &gateway, front
		}
		group.Go(func() error {
			err := a.runOne(until, s)
			stop(err)
			return err
		})
	}
	<-front.Done()
	errGateway := gateway.Wait()
	stopBack()
	return errors.Join(errGateway, workers.Wait())
}

// runOne runs a service. Ending is an error unless it was told to.
func (a *App) runOne(ctx context.Context, s Service) error {
	err := s.run(ctx, a)
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		a.log.Debug("stopped", "service", s.Name)
		return nil
	case err == nil:
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("%s: %w", s.Name, err)
}
