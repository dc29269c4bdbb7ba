package ipam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func tooMany(f family, count uint32) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The package asks for %d %s addresses; a VM may have at most %d", count, f, maxPerFamily),
		Next:  "Correct the package, then repeat the order.",
	}
}

func noPool(pkg *vmlinev1.Package, f family) error {
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("No pool has %s addresses for %s", f, place(pkg)),
		Next:  fmt.Sprintf("Add an %s pool for %s to the configuration, or correct the package, then repeat the order.", f, place(pkg)),
	}
}

// full says that the pools cannot give as many more addresses as are missing.
func (s *service) full(ctx context.Context, pkg *vmlinev1.Package, f family, pools []*pool, missing int) error {
	var states, names []string
	for _, p := range pools {
		free, err := s.index.free(ctx, p)
		if err != nil {
			return err
		}
		states = append(states, fmt.Sprintf("pool %s (%s) has %d of %d free", p.conf.GetName(), p.prefix, free, p.size))
		names = append(names, p.conf.GetName())
	}
	return &bus.NeedsPerson{
		Cause: fmt.Sprintf("The order needs %d more %s address(es) for %s, but there are none: %s", missing, f, place(pkg), strings.Join(states, ", ")),
		Next:  fmt.Sprintf("Add a range to pool %s, or another pool for %s, or terminate VMs that are not needed, then repeat the order.", strings.Join(names, " or "), place(pkg)),
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
// holds is kept and returned: a second worker on the same order may be about to publish it.
func (s *service) refused(ctx context.Context, o owner, cause error) ([]*vmlinev1.Address, error) {
	var person *bus.NeedsPerson
	if !errors.As(cause, &person) {
		return nil, cause
	}
	choices, err := s.indexed(ctx, o)
	if err != nil {
		return nil, err
	}
	var kept []choice
	var texts []string
	for _, c := range choices {
		holder, _, err := s.holder(ctx, c.key())
		if err != nil {
			return nil, err
		}
		if holder == o {
			kept, texts = append(kept, c), append(texts, c.addr().String())
			continue
		}
		if err := s.index.drop(ctx, c.pool, o, c.number); err != nil {
			return nil, err
		}
	}
	person.Kept = "No address is reserved for this VM."
	if len(kept) > 0 {
		person.Kept = "Reserved for this VM until it is terminated: " + strings.Join(texts, ", ") + "."
	}
	return describe(kept), cause
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
