package dns

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/update"
)

// setRecords is the step to set_dns_records: it asks the servers what stands, deletes every record that the
// VM ever had and should not have, makes those that are missing, and is done when all of that is so.
func (s *service) setRecords(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	e, former, err := s.everHad(ctx, t.VM.GetRef())
	if err != nil {
		return bus.Done, err
	}
	if e.VM.GetUid() != t.VM.GetUid() {
		return bus.Done, fmt.Errorf("records of %s: %w", t.VM.GetRef(), bus.ErrSuperseded)
	}
	records, err := s.bring(ctx, e, former)
	switch {
	case update.Passes(err):
		return bus.Done, err
	case err != nil:
		return bus.Done, &bus.NeedsPerson{
			Cause: strings.ReplaceAll(err.Error(), "\n", "; "),
			Kept:  "The machine is left as it is; every record that could be set is set.",
			Next:  "Mend that, then retry; or cancel, and the machine is what it was.",
			Err:   err,
		}
	}
	t.VM.Operation.Result = &vmlinev1.Result{Note: s.bus.Now().UTC().Format(time.DateOnly) + " " + said(records)}
	return bus.Done, nil
}

// everHad returns the newest state of a VM and the names that it had according to its log and has no longer.
func (s *service) everHad(ctx context.Context, ref string) (bus.Entry, []string, error) {
	history, err := s.bus.History(ctx, ref)
	if err != nil {
		return bus.Entry{}, nil, err
	}
	last := history[len(history)-1]
	return last, formerNames(history, last.VM.GetUid(), s.zones), nil
}

// said is a line about the records of a VM, and about those that it does not get.
func said(r record.Records) string {
	var sets []string
	for _, set := range r.Wanted.GetRrsets() {
		if record.OwnedName(set.GetName()) == set.GetName() {
			sets = append(sets, fmt.Sprintf("%s %s %s", set.GetName(), set.GetType(), strings.Join(set.GetValues(), " ")))
		}
	}
	text := "DNS records set: " + strings.Join(sets, ", ")
	if len(sets) == 0 {
		text = "no DNS records to set"
	}
	return strings.Join(append([]string{text}, r.Notes...), "; ")
}

// plan answers what the step to set_dns_records would change, and changes nothing.
func (s *service) plan(ctx context.Context, req *vmlinev1.PlanRequest) (*vmlinev1.PlanReply, error) {
	vm := req.GetVm()
	reply := &vmlinev1.PlanReply{}
	for _, status := range vm.GetOperation().GetRoute() {
		if row, ok := chain.StepTo(status); !ok || row.Owner != chain.DNS {
			continue
		}
		_, former, err := s.everHad(ctx, vm.GetRef())
		if err != nil {
			return nil, err
		}
		changes, _, err := s.changes(ctx, vm, former)
		if err != nil {
			return nil, err
		}
		step := &vmlinev1.PlannedStep{Step: status, Notes: record.Compute(vm, s.zones).Notes}
		for _, c := range changes {
			step.Notes = append(step.Notes, fmt.Sprintf("%s %s", c.Action, c.Name))
		}
		reply.Steps = append(reply.Steps, step)
	}
	return reply, nil
}

// changes compares what stands with what should stand, at the names that the VM has and those that it had.
func (s *service) changes(ctx context.Context, vm *vmlinev1.VM, former []string) ([]plan.Change, []plan.State, error) {
	records := record.Compute(vm, s.zones)
	names := union(records.Names(), former)
	if have, seen := s.recall(vm.GetRef()); seen && have.mark == records.Mark {
		names = union(names, have.names)
	}
	current, err := s.client.Lookup(ctx, records.Mark, names)
	if err != nil {
		return nil, nil, err
	}
	return plan.Calculate(records, current), current, nil
}
