package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	// maxPerFamily is how many addresses of one family a VM may have.
	maxPerFamily = 256
	// maxConflicts bounds the addresses that one attempt finds held by others. Each one corrects
	// the index, so the next attempt gets further.
	maxConflicts = 100
)

// errConflicts is transient: the attempt corrected the index.
var errConflicts = fmt.Errorf("%d addresses that the index took for free are held by other VMs; the index is corrected", maxConflicts)

// choice is one address that the index proposes for a VM.
type choice struct {
	pool   *pool
	number uint64
}

func (c choice) addr() netip.Addr { return c.pool.address(c.number) }
func (c choice) key() string      { return key(c.pool.conf.GetName(), c.addr()) }

// setIP is the step to set_ip: it gives the VM the addresses of its package. It writes only keys
// that are free or the VM's, so doing it again, or twice at once, ends with the same addresses.
func (s *service) setIP(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	give := s.allocate
	if chain.Goal(t.VM.GetOperation()) == vmlinev1.Operation_KIND_ADOPT {
		give = s.adopt
	}
	claimed, err := give(ctx, t.VM)
	t.Overtaken = func(ctx context.Context) error { return s.keep(ctx, t.VM, claimed) }
	return bus.Done, errors.Join(err, s.keep(ctx, t.VM, claimed))
}

// allocate lists in the VM's state the addresses that it is to have, after they are held in the
// truth. Those that it is to give up stay held. It returns what it has claimed, also beside an error.
func (s *service) allocate(ctx context.Context, vm *vmlinev1.VM) (claims, error) {
	o := ownerOf(vm)
	var written claims
	claimed := map[string]bool{}
	for conflicts := 0; conflicts < maxConflicts; {
		listed, err := s.listed(ctx, s.index, vm, o)
		if err != nil {
			return written, err
		}
		for _, h := range listed {
			claimed[h.key()] = claimed[h.key()] || !h.listed.GetLeaving()
		}
		p, err := s.propose(ctx, s.index, vm, o, listed)
		if err != nil {
			return written, s.refused(ctx, vm, o, listed, err)
		}
		lost, err := s.claimAll(ctx, o, p.stay, claimed, &written)
		if err != nil {
			return written, err
		}
		if lost == 0 {
			vm.Addresses = p.addresses(marked(vm.GetOperation()))
			return written, s.confirm(ctx, o, p.stay)
		}
		conflicts += lost
	}
	return written, errConflicts
}

// claimAll writes the addresses into the truth and returns how many belong to somebody else. Those
// are noted in the index.
func (s *service) claimAll(ctx context.Context, o owner, all []holding, claimed map[string]bool, written *claims) (lost int, err error) {
	for _, h := range all {
		k := h.key()
		if k == "" || claimed[k] {
			continue
		}
		*written = append(*written, h.stay()) // before: an answer may be lost
		holder, err := s.claim(ctx, o, k)
		if err != nil {
			return 0, err
		}
		if holder == o {
			claimed[k] = true
			continue
		}
		lost++
		s.log.Info("address is held by another VM; the index is corrected", "key", k, "wanted_by", o, "held_by", holder)
		if h.at.pool == nil {
			continue
		}
		if err := s.index.hold(ctx, h.at.pool, holder, h.at.number); err != nil {
			return 0, err
		}
	}
	return lost, nil
}

// claim makes the address's key the VM's, unless it is another's, and returns whose it is then. A key
// that is the VM's already, from an attempt that was cut off or because it was to be given up, is
// written anew: whoever was about to release it has then read an old revision.
func (s *service) claim(ctx context.Context, o owner, k string) (owner, error) {
	ref, uid := o.split()
	for range maxReads {
		mine := &vmlinev1.Allocation{Ref: ref, Uid: uid, At: timestamppb.New(s.bus.Now())}
		err := s.truth.Create(ctx, k, mine)
		if err == nil {
			return o, nil
		}
		if !errors.Is(err, bus.ErrTaken) {
			return "", err
		}
		holder, revision, err := s.holder(ctx, k)
		if err != nil || holder != "" && holder != o {
			return holder, err
		}
		if holder == o {
			err = s.truth.Update(ctx, k, mine, revision)
			if !errors.Is(err, bus.ErrSuperseded) {
				return o, err
			}
		}
	}
	return "", fmt.Errorf("claim %s: others change it all the time", k)
}

// holder returns who holds a key and at which revision; nobody is "".
func (s *service) holder(ctx context.Context, k string) (owner, uint64, error) {
	a := &vmlinev1.Allocation{}
	revision, err := s.truth.Get(ctx, k, a)
	if errors.Is(err, bus.ErrNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	return holderOf(a), revision, nil
}

// confirm tells the index what the truth holds now: the index may have been built in between, from
// a truth that did not have it yet.
func (s *service) confirm(ctx context.Context, o owner, all []holding) error {
	numbers := map[*pool][]uint64{}
	for _, h := range all {
		if h.at.pool != nil {
			numbers[h.at.pool] = append(numbers[h.at.pool], h.at.number)
		}
	}
	for _, p := range s.pools {
		if len(numbers[p]) == 0 {
			continue
		}
		if err := s.index.hold(ctx, p, o, numbers[p]...); err != nil {
			return err
		}
	}
	return nil
}
