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
