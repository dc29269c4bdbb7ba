package ipam

import (
	"cmp"
	"context"
	"slices"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// source is where free addresses come from: the index, or a look at it that takes nothing.
type source interface {
	has(ctx context.Context, p *pool, o owner) ([]uint64, error)
	take(ctx context.Context, p *pool, o owner, want int) ([]uint64, error)
	hold(ctx context.Context, p *pool, o owner, numbers ...uint64) error
}

// proposal is which addresses a VM is to have.
type proposal struct {
	stay, leave []holding
}

// propose finds the addresses that the package asks for, IPv4 first. What is new among them is
// reserved in the source only.
func (s *service) propose(ctx context.Context, src source, vm *vmlinev1.VM, o owner, listed []holding) (proposal, error) {
	needs, err := s.needs(vm)
	if err != nil {
		return proposal{}, err
	}
	var all proposal
	for _, n := range needs {
		has, err := s.gather(ctx, src, vm.GetPackage(), o, n, listed)
		if err != nil {
			return proposal{}, err
		}
		p := n.sortOut(has)
		all.stay, all.leave = append(all.stay, p.stay...), append(all.leave, p.leave...)
	}
	return all, nil
}

// gather returns all that the VM has of the family once it has enough: what its state lists, in that
// order, and then the rest.
func (s *service) gather(ctx context.Context, src source, pkg *vmlinev1.Package, o owner, n need, listed []holding) ([]holding, error) {
	var has []holding
	enough := n.count
	for _, h := range listed {
		if familyOf(h.addr) != n.family {
			continue
		}
		has = append(has, h)
		if h.serves && h.at.pool == nil {
			enough-- // it counts, but no pool's index knows it
		}
	}
	if n.count == 0 {
		return has, nil
	}
	for _, c := range n.chosen {
		if err := s.reserve(ctx, src, o, c); err != nil {
			return nil, err
		}
	}
	rest, err := s.fill(ctx, src, pkg, o, n, max(0, enough))
	for _, c := range rest {
		if !slices.ContainsFunc(has, func(h holding) bool { return h.at == c }) {
			has = append(has, holding{addr: c.addr(), at: c, serves: true})
		}
	}
	return has, err
}

// reserve takes a chosen address, unless the truth says that it is another's.
func (s *service) reserve(ctx context.Context, src source, o owner, c choice) error {
	holder, _, err := s.holder(ctx, c.key())
	switch {
	case err != nil:
		return err
	case holder != "" && holder != o:
		return taken(c, holder)
	default:
		return src.hold(ctx, c.pool, o, c.number)
	}
}

// fill takes addresses from the pools in their order until the VM has enough of them.
func (s *service) fill(ctx context.Context, src source, pkg *vmlinev1.Package, o owner, n need, enough int) ([]choice, error) {
	got := make([][]uint64, len(n.pools))
	total := 0
	if len(n.pools) > 1 { // what it has in a later pool counts before more is taken from an earlier one
		for i, p := range n.pools {
			var err error
			if got[i], err = src.has(ctx, p, o); err != nil {
				return nil, err
			}
			total += len(got[i])
		}
	}
	for i, p := range n.pools {
		if total >= enough && len(n.pools) > 1 {
			break
		}
		more, err := src.take(ctx, p, o, len(got[i])+enough-total)
		if err != nil {
			return nil, err
		}
		total += len(more) - len(got[i])
		got[i] = more
	}
	if total < enough {
		return nil, s.full(ctx, pkg, n, enough-total)
	}
	return inOrder(n.pools, got), nil
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

// sortOut decides which addresses stay, in what order, and which listed ones leave:
//
//	address                          stays, as far as the number allows
//	of another network               never
//	chosen by the package            first
//	listed                           then, the first in the list before the others
//	listed as leaving                then: better taken back than a new one given
//	listed, when a change is undone  those that the VM had before it, and then the others, leaving or not
//	new                              last; it is not listed, so nothing is said of it when it is too many
//
// Those that stay keep their order, so that nothing becomes the machine's first address only because
// another was added; new ones follow, the chosen ones first.
func (n need) sortOut(has []holding) proposal {
	var fit []holding
	for _, h := range has {
		if h.serves {
			fit = append(fit, h)
		}
	}
	slices.SortStableFunc(fit, func(a, b holding) int { return cmp.Compare(n.rank(a), n.rank(b)) })
	stays := fit[:min(n.count, len(fit))]
	var p proposal
	for _, h := range has {
		switch {
		case h.listed == nil:
		case h.among(stays):
			p.stay = append(p.stay, h)
		default:
			p.leave = append(p.leave, h)
		}
	}
	for _, h := range stays {
		if h.listed == nil {
			p.stay = append(p.stay, h)
		}
	}
	return p
}

// rank is what stays before what. Chosen ones come in the order of the package.
func (n need) rank(h holding) int {
	if i := slices.Index(n.chosen, h.at); i >= 0 {
		return i
	}
	switch {
	case slices.Contains(n.own, h.addr):
		return 0
	case h.listed == nil:
		return len(n.chosen) + 2
	case n.undo && slices.Contains(n.had, h.addr.String()), !n.undo && !h.listed.GetLeaving():
		return len(n.chosen)
	default:
		return len(n.chosen) + 1
	}
}

// among says whether the address is one of them.
func (h holding) among(all []holding) bool {
	return slices.ContainsFunc(all, func(o holding) bool { return o.addr == h.addr && o.key() == h.key() })
}

// addresses is the list for the VM's state: first those that stay, then, where they are marked, those
// that leave.
func (p proposal) addresses(marked bool) []*vmlinev1.Address {
	var list []*vmlinev1.Address
	for _, h := range p.stay {
		list = append(list, h.stay())
	}
	if marked {
		for _, h := range p.leave {
			list = append(list, h.leave())
		}
	}
	return list
}
