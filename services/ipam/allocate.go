package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

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
// that are free, so doing it again, or twice at once, ends with the same addresses.
func (s *service) setIP(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	addresses, err := s.allocate(ctx, t.VM)
	var person *bus.NeedsPerson
	if errors.As(err, &person) {
		// What the truth has stays listed, because another worker may be about to publish it.
		t.VM.Addresses = addresses
	}
	if err != nil {
		return bus.Done, err
	}
	t.VM.Addresses = addresses
	return bus.Done, s.keep(ctx, t)
}

// keep gives the addresses back if the VM is being taken away meanwhile: the step to terminated may
// have looked for them before they were claimed. A termination that comes later finds them.
func (s *service) keep(ctx context.Context, t *bus.Trigger) error {
	last, err := s.bus.Last(ctx, t.VM.GetRef())
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil
	case err != nil:
		return err
	case last.VM.GetUid() == t.VM.GetUid() && chain.Goal(last.VM.GetOperation()) != vmlinev1.Operation_KIND_TERMINATE:
		return nil
	}
	if _, err := s.terminated(ctx, t); err != nil {
		return err
	}
	return fmt.Errorf("give addresses to %s: %w", t.VM.GetRef(), bus.ErrSuperseded)
}

// allocate returns the VM's addresses after they are held in the truth. With a *bus.NeedsPerson it
// returns those that the truth already held for the VM.
func (s *service) allocate(ctx context.Context, vm *vmlinev1.VM) ([]*vmlinev1.Address, error) {
	o := ownerOf(vm)
	if err := s.recall(ctx, vm, o); err != nil {
		return nil, err
	}
	claimed := map[choice]bool{}
	for conflicts := 0; conflicts < maxConflicts; {
		choices, err := s.choose(ctx, vm, o)
		if err != nil {
			return s.refused(ctx, o, err)
		}
		lost, err := s.claimAll(ctx, o, choices, claimed)
		if err != nil {
			return nil, err
		}
		if lost == 0 {
			return describe(choices), s.confirm(ctx, o, choices)
		}
		conflicts += lost
	}
	return nil, errConflicts
}

// recall teaches the index the addresses that an earlier attempt left in the VM's state, as far as
// the truth says that they are this VM's.
func (s *service) recall(ctx context.Context, vm *vmlinev1.VM, o owner) error {
	for _, a := range vm.GetAddresses() {
		c, ok := s.choiceOf(a)
		if !ok {
			continue
		}
		holder, _, err := s.holder(ctx, c.key())
		if err != nil {
			return err
		}
		if holder == o {
			if err := s.index.hold(ctx, c.pool, o, c.number); err != nil {
				return err
			}
		}
	}
	return nil
}

// choiceOf finds a VM's address in the pools as they are configured now.
func (s *service) choiceOf(a *vmlinev1.Address) (choice, bool) {
	p := s.poolNamed(a.GetPool())
	addr, err := netip.ParseAddr(a.GetAddress())
	if p == nil || err != nil {
		return choice{}, false
	}
	n, ok := p.number(addr)
	return choice{p, n}, ok
}

// choose asks the index for all addresses of the VM, IPv4 first.
func (s *service) choose(ctx context.Context, vm *vmlinev1.VM, o owner) ([]choice, error) {
	var all []choice
	for _, need := range []struct {
		family family
		count  uint32
	}{
		{ipv4, vm.GetPackage().GetNetwork().GetIpv4Count()},
		{ipv6, vm.GetPackage().GetNetwork().GetIpv6Count()},
	} {
		if need.count == 0 {
			continue
		}
		if need.count > maxPerFamily {
			return nil, tooMany(need.family, need.count)
		}
		got, err := s.chooseFamily(ctx, vm.GetPackage(), o, need.family, int(need.count))
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	return all, nil
}

func (s *service) chooseFamily(ctx context.Context, pkg *vmlinev1.Package, o owner, f family, want int) ([]choice, error) {
	var pools []*pool
	for _, p := range s.pools {
		if p.serves(pkg, f) {
			pools = append(pools, p)
		}
	}
	if len(pools) == 0 {
		return nil, noPool(pkg, f)
	}
	got := make([][]uint64, len(pools))
	total := 0
	if len(pools) > 1 { // what it has in a later pool counts before more is taken from an earlier one
		for i, p := range pools {
			var err error
			if got[i], err = s.index.has(ctx, p, o); err != nil {
				return nil, err
			}
			total += len(got[i])
		}
	}
	for i, p := range pools {
		if total >= want && len(pools) > 1 {
			break
		}
		taken, err := s.index.take(ctx, p, o, len(got[i])+want-total)
		if err != nil {
			return nil, err
		}
		total += len(taken) - len(got[i])
		got[i] = taken
	}
	if total < want {
		return nil, s.full(ctx, pkg, f, pools, want-total)
	}
	return inOrder(pools, got)[:want], nil
}

// inOrder sorts by pool and number, so that every worker lists the same addresses alike.
func inOrder(pools []*pool, got [][]uint64) []choice {
	var choices []choice
	for i, p := range pools {
		slices.Sort(got[i])
		for _, n := range got[i] {
			choices = append(choices, choice{p, n})
		}
	}
	return choices
}

// claimAll writes the choices into the truth and returns how many belong to somebody else. Those
// are noted in the index.
func (s *service) claimAll(ctx context.Context, o owner, choices []choice, claimed map[choice]bool) (lost int, err error) {
	for _, c := range choices {
		if claimed[c] {
			continue
		}
		holder, err := s.claim(ctx, o, c)
		if err != nil {
			return 0, err
		}
		if holder == o {
			claimed[c] = true
			continue
		}
		lost++
		s.log.Info("address is held by another VM; the index is corrected", "pool", c.pool.conf.GetName(), "address", c.addr(), "wanted_by", o, "held_by", holder)
		if err := s.index.hold(ctx, c.pool, holder, c.number); err != nil {
			return 0, err
		}
	}
	return lost, nil
}

// claim creates the address's key and returns whose it is then. A key that was there already may be
// this VM's, from an attempt that was cut off or whose answer was lost.
func (s *service) claim(ctx context.Context, o owner, c choice) (owner, error) {
	ref, uid := o.split()
	err := s.truth.Create(ctx, c.key(), &vmlinev1.Allocation{Ref: ref, Uid: uid, At: timestamppb.New(s.bus.Now())})
	if err == nil {
		return o, nil
	}
	if !errors.Is(err, bus.ErrTaken) {
		return "", err
	}
	holder, _, err := s.holder(ctx, c.key())
	if err == nil && holder == "" {
		err = fmt.Errorf("%s was taken and is free again: try again", c.key())
	}
	return holder, err
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
func (s *service) confirm(ctx context.Context, o owner, choices []choice) error {
	for i := 0; i < len(choices); {
		p := choices[i].pool
		var numbers []uint64
		for ; i < len(choices) && choices[i].pool == p; i++ {
			numbers = append(numbers, choices[i].number)
		}
		if err := s.index.hold(ctx, p, o, numbers...); err != nil {
			return err
		}
	}
	return nil
}

func describe(choices []choice) []*vmlinev1.Address {
	var addresses []*vmlinev1.Address
	for _, c := range choices {
		addresses = append(addresses, c.pool.describe(c.number))
	}
	return addresses
}
