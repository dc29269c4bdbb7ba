package ipam

import (
	"context"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// holding is an address that a VM has or is to have.
type holding struct {
	addr netip.Addr
	// listed is how the VM's state has it; nil for one that the state does not list.
	listed *vmlinev1.Address
	// at is its place in a pool; without a pool it has none: nobody manages it, or its pool is not
	// configured any more or gives it to nobody else.
	at choice
	// serves says whether it belongs to the network of the VM's package.
	serves bool
}

// key is its name in the truth; empty for one that no pool manages.
func (h holding) key() string {
	switch {
	case h.at.pool != nil:
		return h.at.key()
	case h.listed.GetPool() == "":
		return ""
	default:
		return key(h.listed.GetPool(), h.addr)
	}
}

// stay is the address as the state lists it when the VM keeps it.
func (h holding) stay() *vmlinev1.Address {
	if h.at.pool != nil {
		return h.at.pool.describe(h.at.number)
	}
	a := proto.CloneOf(h.listed)
	a.Leaving = false
	return a
}

// leave is a listed address when it is to be taken off the machine.
func (h holding) leave() *vmlinev1.Address {
	a := proto.CloneOf(h.listed)
	a.Leaving = true
	return a
}

// listed returns which addresses of the VM's state are really its own, in the state's order, and
// teaches the index those of them that the truth has.
func (s *service) listed(ctx context.Context, src source, vm *vmlinev1.VM, o owner) ([]holding, error) {
	var all []holding
	for _, a := range vm.GetAddresses() {
		h, own, err := s.holding(ctx, vm, o, a)
		if err != nil {
			return nil, err
		}
		if !own {
			continue
		}
		if h.at.pool != nil {
			if err := src.hold(ctx, h.at.pool, o, h.at.number); err != nil {
				return nil, err
			}
		}
		all = append(all, h)
	}
	return all, nil
}

func (s *service) holding(ctx context.Context, vm *vmlinev1.VM, o owner, a *vmlinev1.Address) (h holding, own bool, err error) {
	h.listed = a
	if h.addr, err = netip.ParseAddr(a.GetAddress()); err != nil {
		return h, false, nil //nolint:nilerr // the step to terminated reports it
	}
	if a.GetPool() == "" {
		return s.unmanaged(ctx, vm, o, h)
	}
	holder, _, err := s.holder(ctx, key(a.GetPool(), h.addr))
	if err != nil || holder != o {
		return h, false, err
	}
	if p := s.poolNamed(a.GetPool()); p != nil {
		h.serves = p.serves(vm.GetPackage(), familyOf(h.addr))
		if n, ok := p.number(h.addr); ok {
			h.at = choice{p, n}
		}
	}
	return h, true, nil
}

// unmanaged is an address of an adopted machine that no pool gave. If one gives it now, reconcile has
// claimed it for the VM.
func (s *service) unmanaged(ctx context.Context, vm *vmlinev1.VM, o owner, h holding) (holding, bool, error) {
	h.serves = sameNetwork(vm)
	c, ok := s.manages(vm.GetPackage(), h.listed)
	if !ok {
		return h, true, nil
	}
	holder, _, err := s.holder(ctx, c.key())
	if holder == o {
		h.at, h.serves = c, true
	}
	return h, true, err
}

// sameNetwork says whether the operation leaves the VM in the network in which it found it. There
// an address that no pool manages may stay.
func sameNetwork(vm *vmlinev1.VM) bool {
	before := vm.GetOperation().GetBefore().GetPackage()
	return before == nil || place(before) == place(vm.GetPackage())
}

// marked says whether addresses that the VM does not keep stay listed as leaving, because a machine
// uses them until it is told otherwise. A machine that is still being made is not: nobody uses it, unless an
// earlier order has begun it, whose addresses the route gives back later.
func marked(op *vmlinev1.Operation) bool {
	switch chain.Goal(op) {
	case vmlinev1.Operation_KIND_CREATE:
		return slices.Contains(op.GetRoute(), vmlinev1.Status_STATUS_IP_RELEASED)
	case vmlinev1.Operation_KIND_REDEPLOY:
		return false
	default:
		return true
	}
}
