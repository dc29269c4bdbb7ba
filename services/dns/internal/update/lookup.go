package update

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/vmline/vmline/services/dns/internal/plan"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/zone"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Lookup asks the authoritative servers what stands at the names: the marks of all, and the records of
// those that carry this mark. Names without a configured zone are left out.
func (c *Client) Lookup(ctx context.Context, mark record.Mark, names []string) ([]plan.State, error) {
	states := make([]plan.State, 0, len(names))
	for _, name := range names {
		z, ok := c.zones.Find(name)
		if !ok {
			continue
		}
		state, err := c.state(ctx, z, mark, name)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

func (c *Client) state(ctx context.Context, z zone.Zone, mark record.Mark, name string) (plan.State, error) {
	state := plan.State{Name: name}
	set, marks, err := c.query(ctx, z, record.MarkName(name), dns.TypeTXT)
	if err != nil {
		return state, err
	}
	state.Marks = texts(marks)
	if !slices.Equal(state.Marks, []string{mark.Text()}) {
		return state, nil
	}
	state.RRsets = append(state.RRsets, set)
	for _, rr := range managed(name) {
		set, rrs, err := c.query(ctx, z, name, rr.Header().Rrtype)
		if err != nil {
			return state, err
		}
		if len(rrs) > 0 {
			state.RRsets = append(state.RRsets, set)
		}
	}
	return state, nil
}

// Standing are the RRsets of whatever type that stand at a name, whoever made them.
func (c *Client) Standing(ctx context.Context, name string) ([]*vmlinev1.RRset, error) {
	z, ok := c.zones.Find(name)
	if !ok {
		return nil, nil
	}
	_, rrs, err := c.query(ctx, z, name, dns.TypeANY)
	if err != nil {
		return nil, err
	}
	var sets []*vmlinev1.RRset
	for _, rr := range rrs {
		rrtype := dns.TypeToString[rr.Header().Rrtype]
		i := slices.IndexFunc(sets, func(s *vmlinev1.RRset) bool { return s.GetType() == rrtype })
		if i < 0 {
			i, sets = len(sets), append(sets, &vmlinev1.RRset{Name: name, Type: rrtype, Ttl: rr.Header().Ttl})
		}
		sets[i].Values = append(sets[i].Values, value(rr))
	}
	return sets, nil
}

// Serial is the serial of a zone's SOA. A zone whose serial has not moved has not changed.
func (c *Client) Serial(ctx context.Context, z zone.Zone) (uint32, error) {
	_, rrs, err := c.query(ctx, z, z.Name, dns.TypeSOA)
	if err != nil {
		return 0, err
	}
	if len(rrs) != 1 {
		return 0, &Error{Kind: NotAuthoritative, Zone: z.Name, Server: z.Server, Doing: "query of the SOA"}
	}
	return rrs[0].(*dns.SOA).Serial, nil
}

// query asks for one RRset, or with dns.TypeANY for all records of the name.
func (c *Client) query(ctx context.Context, z zone.Zone, name string, qtype uint16) (*vmlinev1.RRset, []dns.RR, error) {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.RecursionDesired = false
	doing := fmt.Sprintf("query for %s %s", name, dns.TypeToString[qtype])
	r, err := c.exchange(ctx, z, doing, m)
	if err != nil {
		return nil, nil, err
	}
	if !r.Authoritative {
		return nil, nil, &Error{Kind: NotAuthoritative, Zone: z.Name, Server: z.Server, Doing: doing}
	}
	set := &vmlinev1.RRset{Name: name, Type: dns.TypeToString[qtype]}
	var rrs []dns.RR
	for _, rr := range r.Answer {
		h := rr.Header()
		if dns.CanonicalName(h.Name) == name && (h.Rrtype == qtype || qtype == dns.TypeANY) {
			rrs = append(rrs, rr)
			set.Ttl = h.Ttl
			set.Values = append(set.Values, strings.TrimSpace(value(rr)))
		}
	}
	slices.Sort(set.Values)
	return set, rrs, nil
}

func texts(rrs []dns.RR) []string {
	var all []string
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			all = append(all, strings.Join(txt.Txt, ""))
		}
	}
	return all
}

// explain finds out why a name could not be given to the VM.
func (c *Client) explain(ctx context.Context, z zone.Zone, mark record.Mark, name string) error {
	_, marks, err := c.query(ctx, z, record.MarkName(name), dns.TypeTXT)
	if err != nil {
		return err
	}
	_, rrs, err := c.query(ctx, z, name, dns.TypeANY)
	if err != nil {
		return err
	}
	conflict := &ConflictError{Name: name, Mark: mark, Zone: z.Name}
	ours, alias := false, false
	for _, text := range texts(marks) {
		holder, ok := record.ParseMark(text)
		switch {
		case ok && holder == mark:
			ours = len(marks) == 1
		case ok:
			conflict.Holder = holder
		}
	}
	for _, rr := range rrs {
		alias = alias || rr.Header().Rrtype == dns.TypeCNAME
		conflict.Standing = append(conflict.Standing, dns.TypeToString[rr.Header().Rrtype]+" "+value(rr))
	}
	if ours && !alias || len(rrs)+len(marks) == 0 {
		return &Error{Kind: Changed, Zone: z.Name, Server: z.Server, Doing: "update of " + name}
	}
	return conflict
}
