package dns

import (
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/services/dns/internal/record"
)

// known is what this process knows about a VM's records. It is only there to spare work: a process that
// knows nothing asks the servers.
type known struct {
	// seq is the state that it comes from.
	seq  uint64
	mark record.Mark
	// digest of the records that state should have.
	digest [sha256.Size]byte
	// names may carry the mark. A name that a later state has no longer is found here.
	names []string
	// cleared were looked at and do not carry the mark.
	cleared []string
	// settled says that the records were made so, or that only a person can.
	settled bool
	// problem is the last text that was logged, so that it is said once.
	problem string
}

// digestOf tells different records from equal ones.
func digestOf(r record.Records) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", r.Mark.Text(), r.Unwanted, r.Notes)
	for _, set := range r.Wanted.GetRrsets() {
		fmt.Fprintf(h, "%q %q %d %q\n", set.GetName(), set.GetType(), set.GetTtl(), set.GetValues())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// due tells whether there may be something to do for a state of a VM.
func (s *service) due(e bus.Entry) bool {
	have, seen := s.recall(e.VM.GetRef())
	if seen && e.Seq < have.seq {
		return false
	}
	records := record.Compute(e.VM, s.zones)
	if len(records.Names())+len(records.Notes)+len(have.names) == 0 {
		return false
	}
	return !have.settled || have.mark != records.Mark || have.digest != digestOf(records)
}

// hint notes what a message says that the newest state of its VM may have forgotten, names that became
// unwanted, and tells whether there may be something to do. A message comes again until its VM is settled,
// so no end of a process loses them.
func (s *service) hint(e bus.Entry) bool {
	records := record.Compute(e.VM, s.zones)
	have, seen := s.recall(e.VM.GetRef())
	switch {
	case seen && have.mark != records.Mark && e.Seq < have.seq:
		return false // of a former VM of the ref
	case isNew(e.VM):
		return s.due(e) // it had no names before
	}
	names := records.Unwanted
	if have.mark == records.Mark {
		names = minus(names, have.cleared)
	}
	if len(names) == 0 {
		return s.due(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints[records.Mark] = union(s.hints[records.Mark], names)
	return true
}

// hinted are the names that messages have told of and that were not looked at yet.
func (s *service) hinted(mark record.Mark) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hints[mark]
}

func (s *service) recall(ref string) (known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.known[ref]
	return have, ok
}

func (s *service) remember(ref string, k known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[ref] = k
	if !k.settled {
		return
	}
	if rest := minus(minus(s.hints[k.mark], k.cleared), k.names); len(rest) > 0 {
		s.hints[k.mark] = rest
	} else {
		delete(s.hints, k.mark)
	}
}

// turns let one goroutine at a time work on a VM. A VM has one of them, which others may share.
type turns [256]sync.Mutex

var seed = maphash.MakeSeed()

func (t *turns) of(ref string) *sync.Mutex { return &t[maphash.String(seed, ref)%uint64(len(t))] }

// union of two lists of names, each name once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// minus is a without the names of b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
}
