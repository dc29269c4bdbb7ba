package lease

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// table is who holds a lease and who waits for one, in one cluster.
type table struct {
	Entries map[string]*entry `json:"entries"`
	// Grants counts the leases that were given; Last has the count at a customer's last one.
	Grants int64            `json:"grants"`
	Last   map[string]int64 `json:"last"`
	// Begun is when the table was begun, Quiet until when it gives no lease because Redis has lost the one
	// before it: those who hold a lease have to say so first.
	Begun time.Time `json:"begun"`
	Quiet time.Time `json:"quiet"`
}

// entry is one VM's heavy task, waiting or holding.
type entry struct {
	Customer string `json:"customer,omitempty"`
	Uses     []Use  `json:"uses"`
	// Since is when it came to wait, Until when it is forgotten unless it is renewed.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Held  bool      `json:"held,omitempty"`
}

func newTable() *table { return &table{Entries: map[string]*entry{}, Last: map[string]int64{}} }

// begin marks a new table. lost says that there was one before it.
func (t *table) begin(now time.Time, lost bool) {
	if !t.Begun.IsZero() {
		return
	}
	t.Begun = now
	if lost {
		t.Quiet = now.Add(2 * renewEvery)
	}
}

// expire forgets the entries that nobody renews, and the customers that have none.
func (t *table) expire(now time.Time) {
	maps.DeleteFunc(t.Entries, func(_ string, e *entry) bool { return !e.Until.After(now) })
	present := map[string]bool{}
	for _, e := range t.Entries {
		present[e.Customer] = true
	}
	maps.DeleteFunc(t.Last, func(customer string, _ int64) bool { return !present[customer] })
}

// put renews an entry. One that waits longer already keeps its place; one that holds stays a holder of
// what it holds: for anything else it waits like others, unless its task runs.
func (t *table) put(id string, e entry) {
	if old := t.Entries[id]; old != nil {
		e.Held = e.Held || old.Held && slices.Equal(e.Uses, old.Uses)
		if old.Since.Before(e.Since) {
			e.Since = old.Since
		}
	}
	t.Entries[id] = &e
}

// queue is the order in which those who wait have their turns: the customers one after the other, each
// with its oldest first. The customer whose last turn is longest ago begins.
func (t *table) queue() []string {
	var ids []string
	for id, e := range t.Entries {
		if !e.Held {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(t.Entries[a].Since.Compare(t.Entries[b].Since), cmp.Compare(a, b))
	})
	round, ahead := map[string]int{}, map[string]int{}
	for _, id := range ids {
		customer := t.Entries[id].Customer
		round[id] = ahead[customer]
		ahead[customer]++
	}
	slices.SortStableFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(round[a], round[b]), cmp.Compare(t.Last[t.Entries[a].Customer], t.Last[t.Entries[b].Customer]))
	})
	return ids
}

// overdue is from when on those behind one that waits leave what it needs to it: else one that needs
// several resources might never find them free at the same time.
const overdue = 10 * time.Minute

// grant gives leases to those of mine whose turn it is. Somebody else's turn is left for it: its own
// process takes it within a moment. One whose resources are not all free holds nobody up until it is
// overdue.
func (t *table) grant(now time.Time, mine map[string]bool) {
	if now.Before(t.Quiet) {
		return
	}
	taken := t.taken()
	for _, id := range t.queue() {
		e := t.Entries[id]
		must := slices.ContainsFunc(e.Uses, func(u Use) bool { return u.full(taken) })
		if must && now.Sub(e.Since) < overdue {
			continue
		}
		for _, u := range e.Uses {
			taken[u.Of]++
		}
		if mine[id] && !must {
			e.Held = true
			t.Grants++
			t.Last[e.Customer] = t.Grants
		}
	}
}

// taken is how many hold a lease of each resource.
func (t *table) taken() map[string]int {
	taken := map[string]int{}
	for _, e := range t.Entries {
		if e.Held {
			for _, u := range e.Uses {
				taken[u.Of]++
			}
		}
	}
	return taken
}

// reasons say why each one that waits has to, in a person's words.
func (t *table) reasons() map[string]string {
	reasons, taken, ahead := map[string]string{}, t.taken(), map[string]int{}
	for _, id := range t.queue() {
		e, before, full := t.Entries[id], 0, ""
		for _, u := range e.Uses {
			before = max(before, ahead[u.Of])
			ahead[u.Of]++
			if full == "" && u.full(taken) {
				full = fmt.Sprintf("%d of %d heavy tasks run on %s; ", taken[u.Of], u.Limit, u.Of)
			}
		}
		reasons[id] = fmt.Sprintf("waits for its turn: %s%d wait before it", full, before)
	}
	return reasons
}

// full says that no more tasks are to use the resource now.
func (u Use) full(taken map[string]int) bool { return u.Limit > 0 && taken[u.Of] >= u.Limit }
