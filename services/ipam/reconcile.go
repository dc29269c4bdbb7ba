package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// allocation is one key of the truth.
type allocation struct {
	pool   string
	addr   netip.Addr
	holder owner
	at     time.Time
}

// reconcile finds what a process left behind that was killed at a bad moment: addresses that the
// truth holds for nobody, and differences between the index and the truth. What it finds it looks
// at again, one by one, before it acts: the world went on meanwhile.
func (s *service) reconcile(ctx context.Context) error {
	if err := s.claimUnmanaged(ctx); err != nil {
		return err
	}
	held, err := s.held(ctx)
	if err != nil {
		return err
	}
	if err := s.releaseAbandoned(ctx, held); err != nil {
		return err
	}
	for _, p := range s.pools {
		if err := s.compare(ctx, p, held); err != nil {
			return err
		}
	}
	return nil
}

// held reads the whole truth, by key.
func (s *service) held(ctx context.Context) (map[string]allocation, error) {
	held := map[string]allocation{}
	err := s.truth.Each(ctx, ">", func(item bus.Item) error {
		a, ok, err := s.allocationOf(item)
		if ok {
			held[item.Key] = a
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read which addresses are held: %w", err)
	}
	return held, nil
}

// releaseAbandoned releases what the truth holds for nobody.
func (s *service) releaseAbandoned(ctx context.Context, held map[string]allocation) error {
	used := map[string]owner{}
	err := s.bus.Each(ctx, func(e bus.Entry) error {
		if ended(e.VM) && e.VM.GetStatus() == vmlinev1.Status_STATUS_TERMINATED {
			return nil
		}
		for _, a := range e.VM.GetAddresses() {
			if addr, err := netip.ParseAddr(a.GetAddress()); err == nil {
				used[key(a.GetPool(), addr)] = ownerOf(e.VM)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k, a := range held {
		if used[k] == a.holder {
			continue
		}
		abandoned, err := s.abandoned(ctx, a)
		if err != nil {
			return err
		}
		if !abandoned {
			continue
		}
		err = s.release(ctx, a.holder, a.pool, a.addr, func(ctx context.Context) error { return s.stillAbandoned(ctx, a) })
		if errors.Is(err, errUsed) {
			continue
		}
		if err != nil {
			return err
		}
		s.log.Warn("address was held by nobody; released", "pool", a.pool, "address", a.addr, "held_by", a.holder)
		delete(held, k)
	}
	return nil
}

// errUsed says that an address which seemed abandoned is used again.
var errUsed = errors.New("the address is used again")

func (s *service) stillAbandoned(ctx context.Context, a allocation) error {
	abandoned, err := s.abandoned(ctx, a)
	if err == nil && !abandoned {
		err = errUsed
	}
	return err
}

// abandoned says whether it is certain that nobody uses the address or is about to:
//
//	newest state of the VM                    the address
//	young, or the allocation is               may be about to be listed
//	not in the log                            cannot be judged: left alone
//	another VM under the same ref             abandoned: that one starts only after the end of this one
//	operation runs or waits for a person      may still be used
//	operation ended, VM terminated            abandoned
//	operation ended, address not listed       abandoned: only a running operation adds addresses
//	operation ended, address listed           used
func (s *service) abandoned(ctx context.Context, a allocation) (bool, error) {
	if s.bus.Now().Sub(a.at) < grace {
		return false, nil
	}
	ref, uid := a.holder.split()
	last, err := s.bus.Last(ctx, ref)
	if errors.Is(err, bus.ErrNotFound) {
		s.log.Error("address is held by a VM that is not in the log; left alone", "pool", a.pool, "address", a.addr, "held_by", a.holder)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	vm := last.VM
	switch {
	case s.bus.Now().Sub(vm.GetUpdatedAt().AsTime()) < grace:
		return false, nil
	case vm.GetUid() != uid:
		return true, nil
	case !ended(vm):
		return false, nil
	case vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED:
		return true, nil
	default:
		return !lists(vm, a), nil
	}
}

// ended says that nothing goes on with the VM. An operation that was refused has left it as it was.
func ended(vm *vmlinev1.VM) bool {
	state := vm.GetOperation().GetState()
	return state == vmlinev1.Operation_STATE_SUCCEEDED || state == vmlinev1.Operation_STATE_REFUSED
}

// lists says whether the VM's state has the address, also where it has it without a pool.
func lists(vm *vmlinev1.VM, a allocation) bool {
	for _, listed := range vm.GetAddresses() {
		if (listed.GetPool() == a.pool || listed.GetPool() == "") && listed.GetAddress() == a.addr.String() {
			return true
		}
	}
	return false
}

// compare makes the index of a pool agree with the truth.
func (s *service) compare(ctx context.Context, p *pool, held map[string]allocation) error {
	if err := s.index.open(ctx, p); err != nil {
		return err
	}
	name := p.conf.GetName()
	agreed := map[string]bool{}
	wrong := map[uint64]owner{} // what the index says and the truth did not
	err := s.index.each(ctx, p, func(n uint64, o owner) {
		if n >= p.size {
			return // of another layout, which closes the index
		}
		k := key(name, p.address(n))
		if held[k].holder == o {
			agreed[k] = true
		} else {
			wrong[n] = o
		}
	})
	if err != nil {
		return err
	}
	for n, o := range wrong {
		if err := s.correct(ctx, p, n, o); err != nil {
			return err
		}
	}
	for k, a := range held {
		if n, ok := p.number(a.addr); ok && a.pool == name && !agreed[k] {
			if err := s.correct(ctx, p, n, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// correct looks at one address again and writes into the index what the truth says. A reservation
// of a VM that is still waiting for its addresses stays. The truth is read again after each write: who
// changes it tells the index after, so what was written before that may be overtaken, and what is written
// after it is seen here.
func (s *service) correct(ctx context.Context, p *pool, n uint64, indexed owner) error {
	for range maxReads {
		holder, _, err := s.holder(ctx, key(p.conf.GetName(), p.address(n)))
		if err != nil || holder == indexed {
			return err
		}
		if holder == "" {
			waiting, err := s.waiting(ctx, indexed)
			if err != nil || waiting {
				return err
			}
		}
		s.log.Warn("index of addresses differed from the truth; corrected", "pool", p.conf.GetName(), "address", p.address(n), "index", indexed, "truth", holder)
		if err := s.mend(ctx, indexed, holder, p.conf.GetName(), p.address(n)); err != nil {
			return err
		}
		indexed = holder
	}
	return nil // others change it all the time, and tell the index
}

// waiting says whether the VM is on its way to set_ip.
func (s *service) waiting(ctx context.Context, o owner) (bool, error) {
	ref, uid := o.split()
	last, err := s.bus.Last(ctx, ref)
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	step, ok := chain.Next(last.VM)
	return ok && last.VM.GetUid() == uid && step.To == vmlinev1.Status_STATUS_SET_IP, nil
}
