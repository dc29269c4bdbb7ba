package dns

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/update"
	"github.com/vmline/vmline/services/dns/internal/zone"
)

// service is one running dns service.
type service struct {
	bus     *bus.Bus
	zones   *zone.Set
	client  *update.Client
	log     *slog.Logger
	compare time.Duration
	turns   turns

	mu    sync.Mutex
	known map[string]known
	// hints are names that messages told of, by the VM that had them.
	hints map[record.Mark][]string

	// Only sync, which never runs beside itself, uses these.
	serials  map[string]uint32
	compared time.Time
}

// follow settles a VM unless that was done while its message waited.
func (s *service) follow(ctx context.Context, e bus.Entry) error {
	if !s.due(e) && len(s.hinted(record.Mark{Ref: e.VM.GetRef(), UID: e.VM.GetUid()})) == 0 {
		return nil
	}
	return s.settle(ctx, e)
}

// settle makes the records of a VM what its state says they should be. It returns an error only where
// trying again soon may help; what needs a person is logged, and tried again by the next sync.
func (s *service) settle(ctx context.Context, e bus.Entry) error {
	_, err := s.bring(ctx, e, nil)
	if update.Passes(err) {
		return err
	}
	return nil
}

// bring makes the records of a VM what its state says they should be, and returns what that is. former
// are names that it may have had. After each change the state is read again: another process may have made the
// records of a newer one so in between, and would not learn that they are those of an older one now.
func (s *service) bring(ctx context.Context, e bus.Entry, former []string) (record.Records, error) {
	turn := s.turns.of(e.VM.GetRef())
	turn.Lock()
	defer turn.Unlock()
	for {
		records, changed, err := s.bringOnce(ctx, e, former)
		if !changed {
			return records, err
		}
		last, lastErr := s.bus.Last(ctx, e.VM.GetRef())
		if lastErr != nil || last.Seq == e.Seq {
			return records, errors.Join(err, lastErr)
		}
		e = last
	}
}

// bringOnce makes the records so once, and says whether it may have changed any.
func (s *service) bringOnce(ctx context.Context, e bus.Entry, former []string) (records record.Records, changed bool, err error) {
	ref := e.VM.GetRef()
	records = record.Compute(e.VM, s.zones)
	have, seen := s.recall(ref)
	if seen && e.Seq < have.seq {
		return records, false, nil
	}
	if have.mark != records.Mark {
		// A former VM of the same ref, whose end this process has missed.
		if err := s.drop(ctx, have.mark, have.names); err != nil {
			return records, true, err
		}
		have.names, have.cleared = nil, nil
	}
	next := known{seq: e.Seq, mark: records.Mark, digest: digestOf(records), cleared: have.cleared, problem: have.problem}
	former = union(former, s.hinted(records.Mark))
	next.names = union(union(have.names, records.Names()), former)
	changed, err = s.apply(ctx, records, next.names, !seen && len(former) == 0 && isNew(e.VM))
	if ctx.Err() != nil {
		return records, changed, ctx.Err() // stopping: the error says nothing about the records
	}
	if err == nil {
		next.cleared = minus(union(next.cleared, next.names), owned(records))
		next.names = owned(records)
		next.settled = true
	}
	s.report(ref, &next, records.Notes, err)
	s.remember(ref, next)
	return records, changed, err
}

// isNew tells that the VM is being made, so that most likely nothing of it stands yet.
func isNew(vm *vmlinev1.VM) bool {
	op := vm.GetOperation()
	return op.GetKind() == vmlinev1.Operation_KIND_CREATE && op.GetState() == vmlinev1.Operation_STATE_RUNNING
}

// owned are the names that carry the mark once the records are settled.
func owned(r record.Records) []string {
	return record.Records{Wanted: r.Wanted}.Names()
}

// drop deletes the names as far as they carry the mark.
func (s *service) drop(ctx context.Context, mark record.Mark, names []string) error {
	var changes []plan.Change
	for _, name := range names {
		changes = append(changes, plan.Change{Name: name, Action: plan.Delete})
	}
	return s.client.Apply(ctx, mark, changes)
}

// apply compares the names with the servers, unless the VM is fresh, and changes what differs. A name that
// a VM holds that is gone is taken from it. It says whether there was anything to change.
func (s *service) apply(ctx context.Context, records record.Records, names []string, fresh bool) (changed bool, err error) {
	var current []plan.State
	if !fresh {
		if current, err = s.client.Lookup(ctx, records.Mark, names); err != nil {
			return false, err
		}
	}
	changes := plan.Calculate(records, current)
	err = s.client.Apply(ctx, records.Mark, changes)
	freed := map[string]bool{}
	for _, conflict := range update.Conflicts(err) {
		ok, releaseErr := s.release(ctx, conflict)
		if releaseErr != nil {
			return true, errors.Join(err, releaseErr)
		}
		freed[conflict.Name] = ok
	}
	if !slices.ContainsFunc(changes, func(c plan.Change) bool { return freed[c.Name] }) {
		return len(changes) > 0, err
	}
	for i := range changes {
		if freed[changes[i].Name] {
			changes[i].Action = plan.Create
		}
	}
	return true, s.client.Apply(ctx, records.Mark, changes)
}

// release takes a name from its holder, with all that the holder has no longer, if our log says so. A
// holder that the log does not know belongs to another installation and keeps its names.
func (s *service) release(ctx context.Context, conflict *update.ConflictError) (bool, error) {
	if conflict.Holder == (record.Mark{}) {
		return false, nil
	}
	history, err := s.bus.History(ctx, conflict.Holder.Ref)
	if errors.Is(err, bus.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	names := formerNames(history, conflict.Holder.UID, s.zones)
	if !slices.Contains(names, conflict.Name) {
		return false, nil
	}
	return true, s.drop(ctx, conflict.Holder, names)
}

// formerNames are the names that a VM had according to the history of its ref, without those that it still
// should have.
func formerNames(history []bus.Entry, uid string, zones *zone.Set) []string {
	var names []string
	for _, e := range history {
		if e.VM.GetUid() == uid {
			names = union(names, record.Compute(departed(e.VM), zones).Unwanted)
		}
	}
	last := history[len(history)-1].VM
	if last.GetUid() != uid {
		return names // another VM has the ref
	}
	keeps := owned(record.Compute(last, zones))
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(keeps, name) })
}

// departed is the VM as if it were gone.
func departed(vm *vmlinev1.VM) *vmlinev1.VM {
	vm = proto.CloneOf(vm)
	vm.Status = vmlinev1.Status_STATUS_TERMINATED
	return vm
}

// report logs what a person should know, once until it changes. What passes is logged by the bus.
func (s *service) report(ref string, k *known, notes []string, err error) {
	if update.Passes(err) {
		return
	}
	said := notes
	if err != nil {
		said = append(slices.Clone(notes), strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	problem := strings.Join(said, "; ")
	switch problem {
	case k.problem:
	case "":
		s.log.Info("DNS records are complete again", "ref", ref)
	default:
		s.log.Warn("DNS records are not complete", "ref", ref, "problem", problem)
	}
	k.problem = problem
}
