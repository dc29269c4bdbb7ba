// Package ipam gives addresses to VMs and takes them back.
//
// The truth is the key-value bucket IPAM on the bus: whoever creates the key of an address holds the
// address. Redis only has an index of what is free, so that a free address is found at once; it may
// be lost at any moment and is built again from the truth.
package ipam

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Config is what the service needs.
type Config struct {
	Bus *bus.Bus
	// Redis holds the index of free addresses. It must not evict keys (maxmemory-policy noeviction).
	Redis redis.UniversalClient
	// Pools are used in this order. They must pass CheckPools.
	Pools []*vmlinev1.Pool
	// Logger may be nil: slog.Default.
	Logger *slog.Logger
}

// grace is how long an address must have been held by nobody before reconcile releases it: longer
// than any worker takes from the truth to the VM's log.
const grace = 5 * time.Minute

// service is one running ipam.
type service struct {
	bus   *bus.Bus
	truth *bus.Bucket
	index *index
	pools []*pool
	log   *slog.Logger
}

// Run does ipam's steps and ticks, and answers questions, until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	s, err := newService(ctx, cfg)
	if err != nil {
		return err
	}
	if err := s.checkNames(ctx); err != nil {
		return err
	}
	worker, err := s.bus.NewWorker(chain.IPAM, map[vmlinev1.Status]bus.StepFunc{
		vmlinev1.Status_STATUS_SET_IP:      s.setIP,
		vmlinev1.Status_STATUS_IP_RELEASED: s.ipReleased,
		vmlinev1.Status_STATUS_TERMINATED:  s.terminated,
	})
	if err != nil {
		return err
	}
	ticks := map[string]func(context.Context) error{bus.TickIPAMReconcile: s.reconcile}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return worker.Run(ctx) })
	g.Go(func() error { return s.bus.Answers(ctx, chain.IPAM, s.questions()) })
	g.Go(func() error { return s.bus.Ticks(ctx, chain.IPAM, ticks, worker.Retry) })
	g.Go(func() error {
		// An index that outlived the last process may be behind the truth.
		if err := s.reconcile(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("first look at the index failed; the next tick tries again", "error", err)
		}
		return nil
	})
	return g.Wait()
}

func (s *service) questions() map[string]bus.Answer {
	return map[string]bus.Answer{
		bus.QuestionPlan:    bus.AnswerWith(s.plan),
		bus.QuestionHistory: bus.AnswerWith(s.history),
		bus.QuestionPools:   bus.AnswerWith(s.use),
	}
}

func newService(ctx context.Context, cfg Config) (*service, error) {
	if err := CheckPools(cfg.Pools); err != nil {
		return nil, err
	}
	s := &service{bus: cfg.Bus, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	for _, conf := range cfg.Pools {
		p, err := parsePool(conf)
		if err != nil {
			return nil, err
		}
		s.pools = append(s.pools, p)
	}
	var err error
	if s.truth, err = cfg.Bus.Bucket(ctx, bus.BucketIPAM); err != nil {
		return nil, fmt.Errorf("start ipam: %w", err)
	}
	s.index = newIndex(cfg.Redis, s.truth, cfg.Bus.NewID, s.log)
	return s, nil
}

// poolNamed returns the configured pool of that name, or nil.
func (s *service) poolNamed(name string) *pool {
	for _, p := range s.pools {
		if p.conf.GetName() == name {
			return p
		}
	}
	return nil
}
