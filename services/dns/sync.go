package dns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
)

const (
	// workers compare VMs at the same time.
	workers = 16
	// recent is how long after its last change a VM that is gone is still compared: a worker that was
	// stopped in the middle may wake up and bring its records back.
	recent = time.Hour
)

// sync makes the records of all VMs so. VMs with something due are looked at each time; all others only if
// a zone has changed since the last comparison, and not more often than the configuration says.
func (s *service) sync(ctx context.Context) error {
	now := s.bus.Now()
	var serials map[string]uint32
	compare := false
	if now.Sub(s.compared) >= s.compare {
		serials = s.readSerials(ctx)
		compare = s.serials == nil || !maps.Equal(serials, s.serials)
	}
	refs, err := s.candidates(ctx, compare, now)
	if err != nil {
		return err
	}
	if err := s.settleAll(ctx, refs); err != nil {
		return err
	}
	if serials != nil {
		s.serials, s.compared = serials, now
	}
	return nil
}

// readSerials asks for the serial of every zone. A zone that does not answer has none and counts as
// changed once it does.
func (s *service) readSerials(ctx context.Context) map[string]uint32 {
	serials := map[string]uint32{}
	for _, z := range s.zones.All() {
		if serial, err := s.client.Serial(ctx, z); err == nil {
			serials[z.Name] = serial
		}
	}
	return serials
}

// candidates are the VMs to look at.
func (s *service) candidates(ctx context.Context, compare bool, now time.Time) ([]string, error) {
	var refs []string
	err := s.bus.Each(ctx, func(e bus.Entry) error {
		if s.due(e) || compare && s.mayDrift(e, now) {
			refs = append(refs, e.VM.GetRef())
		}
		return nil
	})
	return refs, err
}

// settleAll settles the newest states of the VMs. Its error counts and holds the first failure, so that a
// server that is down is not reported once for every VM.
func (s *service) settleAll(ctx context.Context, refs []string) error {
	var (
		g      errgroup.Group
		mu     sync.Mutex
		failed int
		first  error
	)
	g.SetLimit(workers)
	for _, ref := range refs {
		g.Go(func() error {
			e, err := s.bus.Last(ctx, ref)
			if err == nil {
				err = s.settle(ctx, e)
			}
			if err != nil && !errors.Is(err, bus.ErrNotFound) {
				mu.Lock()
				defer mu.Unlock()
				if failed++; failed == 1 {
					first = err
				}
			}
			return nil
		})
	}
	_ = g.Wait() // the failures were counted
	if failed > 0 {
		return fmt.Errorf("DNS records of %d of %d VMs could not be compared or changed, the first because: %w", failed, len(refs), first)
	}
	return nil
}
