package ipam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmline/vmline/pkg/bus"
)

// checkPause is how long to wait before the truth is read again after it could not be.
const checkPause = time.Second

// errRenamed says that a pool's configuration would give addresses a second time.
var errRenamed = errors.New("a pool may not be renamed while addresses of it are held")

// checkNames refuses pools that would give addresses which are held under the name of a pool that is not
// configured any more: the name is part of an address's key, so nothing else would notice. While the truth
// cannot be read, it waits.
func (s *service) checkNames(ctx context.Context) error {
	for {
		err := s.renamed(ctx)
		if err == nil || errors.Is(err, errRenamed) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("the names of the pools could not be compared with what is held; it is tried again", "error", err)
		if err := bus.Pause(ctx, checkPause); err != nil {
			return err
		}
	}
}

func (s *service) renamed(ctx context.Context) error {
	held, err := s.held(ctx)
	if err != nil {
		return err
	}
	for _, a := range held {
		if s.poolNamed(a.pool) != nil {
			continue
		}
		ref, _ := a.holder.split()
		last, err := s.bus.Last(ctx, ref)
		if errors.Is(err, bus.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for _, p := range s.pools {
			// Other clusters may have the same private network.
			if _, gives := p.number(a.addr); gives && p.conf.GetCluster() == last.VM.GetCluster() {
				return fmt.Errorf("VM %s has %s of pool %q, which is not configured, and pool %q would give it again; name that pool %q: %w",
					ref, a.addr, a.pool, p.conf.GetName(), a.pool, errRenamed)
			}
		}
	}
	return nil
}
