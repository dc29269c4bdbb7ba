package dns

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
)

// How many VMs one answer compares. Each costs a few queries to the DNS servers.
const (
	defaultPage = 50
	maxPage     = 500
)

// diff answers where the DNS servers hold something else than they should: for one VM, whose log is read
// for every name that it ever had, or for a page of all VMs.
func (s *service) diff(ctx context.Context, req *vmlinev1.DnsDiffRequest) (*vmlinev1.DnsDiffReply, error) {
	if req.GetRef() != "" {
		e, former, err := s.everHad(ctx, req.GetRef())
		if err != nil {
			return nil, err
		}
		return &vmlinev1.DnsDiffReply{Vms: []*vmlinev1.DnsDiff{s.differs(ctx, e.VM, former)}, Compared: 1}, nil
	}
	page, next, err := s.page(ctx, req)
	if err != nil {
		return nil, err
	}
	diffs := make([]*vmlinev1.DnsDiff, len(page))
	var g errgroup.Group
	g.SetLimit(workers)
	for i, vm := range page {
		g.Go(func() error { diffs[i] = s.differs(ctx, vm, nil); return nil })
	}
	_ = g.Wait() // each diff has its own error
	same := func(d *vmlinev1.DnsDiff) bool { return len(d.GetNames())+len(d.GetNotes()) == 0 && d.GetError() == "" }
	return &vmlinev1.DnsDiffReply{Vms: slices.DeleteFunc(diffs, same), Compared: uint32(len(page)), Next: next}, ctx.Err() //nolint:gosec // at most maxPage
}

// page returns the VMs with records that follow the one named, in the order of their refs.
func (s *service) page(ctx context.Context, req *vmlinev1.DnsDiffRequest) (page []*vmlinev1.VM, next string, err error) {
	now := s.bus.Now()
	newest := map[string]*vmlinev1.VM{}
	err = s.bus.Each(ctx, func(e bus.Entry) error {
		delete(newest, e.VM.GetRef())
		if e.VM.GetRef() > req.GetAfter() && s.mayDrift(e, now) {
			newest[e.VM.GetRef()] = e.VM
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	for _, vm := range newest {
		page = append(page, vm)
	}
	slices.SortFunc(page, func(a, b *vmlinev1.VM) int { return cmp.Compare(a.GetRef(), b.GetRef()) })
	if limit := min(cmp.Or(int(req.GetLimit()), defaultPage), maxPage); len(page) > limit {
		page = page[:limit]
		next = page[limit-1].GetRef()
	}
	return page, next, nil
}

// mayDrift tells whether others may have changed something of the VM's records.
func (s *service) mayDrift(e bus.Entry, now time.Time) bool {
	return len(record.Compute(e.VM, s.zones).Names()) > 0 && (!record.Leaves(e.VM) || now.Sub(e.Time) < recent)
}

// differs compares one VM.
func (s *service) differs(ctx context.Context, vm *vmlinev1.VM, former []string) *vmlinev1.DnsDiff {
	d := &vmlinev1.DnsDiff{Ref: vm.GetRef(), Uid: vm.GetUid(), Notes: record.Compute(vm, s.zones).Notes}
	changes, current, err := s.changes(ctx, vm, former)
	for _, c := range changes {
		n := &vmlinev1.NameDiff{Name: c.Name, Action: string(c.Action), Wanted: c.RRsets, Holder: c.Holder.Ref}
		if i := slices.IndexFunc(current, func(st plan.State) bool { return st.Name == c.Name }); i >= 0 {
			n.Standing = current[i].RRsets
		}
		if c.Action == plan.Create {
			standing, standingErr := s.client.Standing(ctx, c.Name)
			if len(standing) > 0 { // somebody's who has no mark
				n.Action, n.Standing = string(plan.Conflict), standing
			}
			err = errors.Join(err, standingErr)
		}
		d.Names = append(d.Names, n)
	}
	if err != nil {
		d.Error = err.Error()
	}
	return d
}
