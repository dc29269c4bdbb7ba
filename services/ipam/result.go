package ipam

import (
	"fmt"
	"strings"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// result adds to an operation's result the addresses that were given back, and the line for the billing
// system's notes. Addresses that no pool manages were nobody's to give back.
func (s *service) result(had *vmlinev1.Result, event string, addresses []*vmlinev1.Address) *vmlinev1.Result {
	r := &vmlinev1.Result{Released: had.GetReleased()}
	var texts []string
	for _, a := range addresses {
		if a.GetPool() != "" {
			r.Released, texts = append(r.Released, a), append(texts, a.GetAddress())
		}
	}
	what := "no address to release"
	if len(texts) > 0 {
		what = "released " + strings.Join(texts, ", ")
	}
	r.Note = fmt.Sprintf("%s %s, %s", s.bus.Now().UTC().Format(time.DateOnly), event, what)
	if had.GetNote() != "" {
		r.Note = had.GetNote() + "; " + r.Note
	}
	return r
}
