// Package plan compares what stands in DNS with what a VM should have.
package plan

import (
	"slices"
	"strings"

	"github.com/vmline/vmline/services/dns/internal/record"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Action is what is to be done at a name.
type Action string

const (
	// Create makes the records of a name that is not in use.
	Create Action = "create"
	// Replace gives a name that carries the VM's mark its present records.
	Replace Action = "replace"
	// Delete removes the VM's records and its mark.
	Delete Action = "delete"
	// Conflict says that another VM's mark stands at a name that this VM should have.
	Conflict Action = "conflict"
)

// State is what stands at a name that a VM has, should have or may have had.
type State struct {
	Name string
	// Marks are the texts found where the name's mark stands, without quotes.
	Marks []string
	// RRsets of the name and its mark. They matter, and need to be known, only under the VM's own mark.
	RRsets []*vmlinev1.RRset
}

// Change is one name and what is to be done there.
type Change struct {
	Name   string
	Action Action
	// RRsets are what should stand after Create and Replace, the mark included.
	RRsets []*vmlinev1.RRset
	// Holder is the owner of the name in a Conflict.
	Holder record.Mark
}

// Calculate returns the changes that make the records of the VM so, in the order of the names:
//
//	mark at the name  wanted  records      action
//	none, or no mark  yes     -            create (the server refuses it where the name is in use)
//	of vmline's form
//	this VM's         yes     as wanted    -
//	this VM's         yes     others       replace
//	this VM's         no      any          delete
//	another VM's      yes     any          conflict
//	another VM's      no      any          -
//	none              no      any          -
//
// Nothing is deleted or replaced without the VM's own mark: whatever else stands there is not ours.
func Calculate(records record.Records, current []State) []Change {
	wanted := map[string][]*vmlinev1.RRset{}
	for _, set := range records.Wanted.GetRrsets() {
		name := record.OwnedName(set.GetName())
		wanted[name] = append(wanted[name], set)
	}
	var changes []Change
	for _, state := range current {
		if change, ok := decide(records.Mark, state, wanted[state.Name]); ok {
			changes = append(changes, change)
		}
		delete(wanted, state.Name)
	}
	for name, sets := range wanted {
		changes = append(changes, Change{Name: name, Action: Create, RRsets: sets})
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

func decide(mine record.Mark, state State, wanted []*vmlinev1.RRset) (Change, bool) {
	holder, marked := holderOf(state.Marks)
	ours := marked && holder == mine && len(state.Marks) == 1
	switch {
	case ours && len(wanted) == 0:
		return Change{Name: state.Name, Action: Delete}, true
	case ours && Equal(state.RRsets, wanted), len(wanted) == 0:
		return Change{}, false
	case ours:
		return Change{Name: state.Name, Action: Replace, RRsets: wanted}, true
	case marked && holder != mine:
		return Change{Name: state.Name, Action: Conflict, RRsets: wanted, Holder: holder}, true
	default:
		return Change{Name: state.Name, Action: Create, RRsets: wanted}, true
	}
}

func holderOf(texts []string) (record.Mark, bool) {
	for _, text := range texts {
		if mark, ok := record.ParseMark(text); ok {
			return mark, true
		}
	}
	return record.Mark{}, false
}

// Standing is what stands in DNS once set was applied.
func Standing(set *vmlinev1.RecordSet) []State {
	mark := record.Mark{Ref: set.GetRef(), UID: set.GetUid()}
	index := map[string]int{}
	var states []State
	for _, rrset := range set.GetRrsets() {
		name := record.OwnedName(rrset.GetName())
		i, ok := index[name]
		if !ok {
			i = len(states)
			index[name] = i
			states = append(states, State{Name: name, Marks: []string{mark.Text()}})
		}
		states[i].RRsets = append(states[i].RRsets, rrset)
	}
	return states
}

// Equal compares two lists of RRsets without regard to the order of RRsets and values.
func Equal(a, b []*vmlinev1.RRset) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		same := func(y *vmlinev1.RRset) bool {
			return x.GetName() == y.GetName() && x.GetType() == y.GetType() && x.GetTtl() == y.GetTtl() &&
				slices.Equal(sorted(x.GetValues()), sorted(y.GetValues()))
		}
		if !slices.ContainsFunc(b, same) {
			return false
		}
	}
	return true
}

func sorted(values []string) []string { return slices.Sorted(slices.Values(values)) }
