package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// again is the end of what a person can do about a refusal.
const again = "then repeat the order."

func tooMany(f family, count int) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The package asks for %d %s addresses; a VM may have at most %d", count, f, maxPerFamily),
		Next:  "Correct the package, " + again,
	}
}

func noPool(pkg *vmlinev1.Package, f family) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("No pool has %s addresses for %s", f, place(pkg)),
		Next:  fmt.Sprintf("Add an %s pool for %s to the configuration, or correct the package, %s", f, place(pkg), again),
	}
}

func badChoice(err error) error {
	return &bus.NeedsPerson{Cause: fmt.Sprintf("The package names a %s", err), Next: "Correct the package, " + again}
}

// notGiven says why a chosen address is given to nobody.
func notGiven(pkg *vmlinev1.Package, addr netip.Addr, pools []*pool) error {
	why := fmt.Sprintf("no pool for %s has it", place(pkg))
	for _, p := range pools {
		if p.prefix.Contains(addr) {
			why = fmt.Sprintf("pool %s (%s) never gives it: it is the gateway, excluded, reserved or outside of the pool's range", p.conf.GetName(), p.prefix)
		}
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The chosen address %s cannot be given: %s", addr, why),
		Next:  "Choose another address, or change the pools, " + again,
	}
}

// taken says who has a chosen address.
func taken(c choice, holder owner) error {
	ref, _ := holder.split()
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The chosen address %s of pool %s belongs to VM %s", c.addr(), c.pool.conf.GetName(), ref),
		Next:  fmt.Sprintf("Choose another address, or have VM %s give it up, %s", ref, again),
	}
}

// full says that the pools cannot give as many more addresses as are missing.
func (s *service) full(ctx context.Context, pkg *vmlinev1.Package, n need, missing int) error {
	var states, names []string
	for _, p := range n.pools {
		free, err := s.index.free(ctx, p)
		if err != nil {
			return err
		}
		states = append(states, fmt.Sprintf("pool %s (%s) has %d of %d free", p.conf.GetName(), p.prefix, free, p.size))
		names = append(names, p.conf.GetName())
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The order needs %d more %s address(es) for %s, but there are none: %s", missing, n.family, place(pkg), strings.Join(states, ", ")),
		Next:  fmt.Sprintf("Add a range to pool %s, or another pool for %s, or terminate VMs that are not needed, %s", strings.Join(names, " or "), place(pkg), again),
	}
}

func place(pkg *vmlinev1.Package) string {
	n := pkg.GetNetwork()
	text := fmt.Sprintf("cluster %s, bridge %s", pkg.GetCluster(), n.GetBridge())
	if n.GetVlan() != 0 {
		text += fmt.Sprintf(", VLAN %d", n.GetVlan())
	}
	return text
}

// refused gives back what the index had reserved for an order that cannot be met. What the truth
// holds is kept: a second worker on the same order may be about to publish it. The order of a VM that
// is in use ends here, because nothing was changed; any other waits for a person.
func (s *service) refused(ctx context.Context, vm *vmlinev1.VM, o owner, listed []holding, cause error) error {
	var person *bus.NeedsPerson
	if !errors.As(cause, &person) {
		return cause
	}
	unlisted, err := s.dropReserved(ctx, o, listed)
	if err != nil {
		return err
	}
	switch {
	case untouched(vm.GetOperation()):
		return &bus.Refused{Cause: person.Cause, Next: person.Next}
	case marked(vm.GetOperation()):
		person.Kept = "The machine is left as it is and keeps its addresses."
		return person
	}
	vm.Addresses = nil
	var texts []string
	for _, h := range append(listed, unlisted...) {
		vm.Addresses = append(vm.Addresses, h.stay())
		texts = append(texts, h.addr.String())
	}
	person.Kept = "No address is reserved for this VM."
	if len(texts) > 0 {
		person.Kept = "Reserved for this VM until it is terminated: " + strings.Join(texts, ", ") + "."
	}
	return person
}

// untouched says that the operation found a VM in use and has changed nothing of it yet: the first
// step that could is the one to set_ip.
func untouched(op *vmlinev1.Operation) bool {
	return op.GetTakesUp() == "" && op.GetBefore().GetStatus() == vmlinev1.Status_STATUS_READY &&
		slices.Contains([]vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_CHANGE_PACKAGE, vmlinev1.Operation_KIND_SET_DEDICATED_IP}, op.GetKind())
}

// dropReserved makes free in the index what only the index has for o, and returns what the truth has
// and the VM's state does not list.
func (s *service) dropReserved(ctx context.Context, o owner, listed []holding) (unlisted []holding, err error) {
	choices, err := s.indexed(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, c := range choices {
		h := holding{addr: c.addr(), at: c}
		if h.among(listed) {
			continue
		}
		holder, _, err := s.holder(ctx, c.key())
		if err != nil {
			return nil, err
		}
		if holder == o {
			unlisted = append(unlisted, h)
			continue
		}
		if err := s.index.drop(ctx, c.pool, o, c.number); err != nil {
			return nil, err
		}
	}
	return unlisted, nil
}

// indexed is all that the index has for o in any pool, IPv4 first.
func (s *service) indexed(ctx context.Context, o owner) ([]choice, error) {
	var v4, v6 []choice
	for _, p := range s.pools {
		numbers, err := s.index.has(ctx, p, o)
		if err != nil {
			return nil, err
		}
		choices := inOrder([]*pool{p}, [][]uint64{numbers})
		if familyOf(p.prefix.Addr()) == ipv4 {
			v4 = append(v4, choices...)
		} else {
			v6 = append(v6, choices...)
		}
	}
	return append(v4, v6...), nil
}
