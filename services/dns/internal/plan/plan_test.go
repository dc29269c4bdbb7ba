package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/services/dns/internal/record"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var (
	mine   = record.Mark{Ref: "shop-7", UID: "u1"}
	theirs = record.Mark{Ref: "shop-8", UID: "u2"}
)

const name = "web.example.com."

// rrsets of one name with its mark.
func rrsets(owner string, mark record.Mark, ttl uint32, values ...string) []*vmlinev1.RRset {
	return []*vmlinev1.RRset{
		{Name: owner, Type: "A", Ttl: ttl, Values: values},
		{Name: record.MarkName(owner), Type: "TXT", Ttl: ttl, Values: []string{`"` + mark.Text() + `"`}},
	}
}

func wants(sets ...[]*vmlinev1.RRset) record.Records {
	return record.Records{Mark: mine, Wanted: &vmlinev1.RecordSet{Ref: mine.Ref, Uid: mine.UID, Rrsets: slices.Concat(sets...)}}
}

func show(changes []Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s %d", c.Action, c.Name, len(c.RRsets)))
	}
	return strings.Join(all, ", ")
}

func TestCalculate(t *testing.T) {
	one := rrsets(name, mine, 60, "192.0.2.1")
	stands := func(marks []string, sets []*vmlinev1.RRset) []State {
		return []State{{Name: name, Marks: marks, RRsets: sets}}
	}
	ours, other := []string{mine.Text()}, []string{theirs.Text()}
	tests := []struct {
		name    string
		records record.Records
		current []State
		want    string
	}{
		{"nothing known", wants(one), nil, "create web.example.com. 2"},
		{"nothing stands", wants(one), stands(nil, nil), "create web.example.com. 2"},
		{"a text that is no mark", wants(one), stands([]string{"v=spf1 -all"}, nil), "create web.example.com. 2"},
		{"as wanted", wants(one), stands(ours, one), ""},
		{"another value", wants(one), stands(ours, rrsets(name, mine, 60, "192.0.2.2")), "replace web.example.com. 2"},
		{"another TTL", wants(one), stands(ours, rrsets(name, mine, 61, "192.0.2.1")), "replace web.example.com. 2"},
		{"one value more", wants(one), stands(ours, rrsets(name, mine, 60, "192.0.2.1", "192.0.2.2")), "replace web.example.com. 2"},
		{"records lost, mark left", wants(one), stands(ours, one[1:]), "replace web.example.com. 2"},
		{"not wanted", wants(), stands(ours, one), "delete web.example.com. 0"},
		{"not wanted, mark only", wants(), stands(ours, nil), "delete web.example.com. 0"},
		{"another's, wanted", wants(one), stands(other, nil), "conflict web.example.com. 2"},
		{"another's, not wanted", wants(), stands(other, one), ""},
		{"nobody's, not wanted", wants(), stands(nil, one), ""},
		{"two marks, wanted", wants(one), stands(append(other, ours...), nil), "conflict web.example.com. 2"},
		{"two marks, not wanted", wants(), stands(append(ours, other...), nil), ""},
		{"the same ref, an older uid", wants(one), stands([]string{record.Mark{Ref: mine.Ref, UID: "u0"}.Text()}, nil), "conflict web.example.com. 2"},
	}
	for _, tt := range tests {
		got := Calculate(tt.records, tt.current)
		if show(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, show(got), tt.want)
		}
		if len(got) == 1 && got[0].Action == Conflict && got[0].Holder == mine {
			t.Errorf("%s: in conflict with itself", tt.name)
		}
	}
}

func TestCalculateFromWhatWasApplied(t *testing.T) {
	before := wants(rrsets("a.test.", mine, 60, "192.0.2.1"), rrsets("b.test.", mine, 60, "192.0.2.2"), rrsets("d.test.", mine, 60, "192.0.2.4")).Wanted
	after := wants(rrsets("c.test.", mine, 60, "192.0.2.2"), rrsets("b.test.", mine, 90, "192.0.2.2"), rrsets("d.test.", mine, 60, "192.0.2.4"))
	if got := show(Calculate(after, Standing(before))); got != "delete a.test. 0, replace b.test. 2, create c.test. 2" {
		t.Error(got)
	}
}

// TestCalculateConverges carries the changes out on a model of DNS: afterwards nothing is left to do, all
// that is wanted stands, and no name that was not ours has changed.
func TestCalculateConverges(t *testing.T) {
	names := []string{"a.test.", "b.test.", "c.test."}
	values := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}), 1, 3, rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		model := map[string]State{}
		var wanted [][]*vmlinev1.RRset
		for _, n := range names {
			mark := rapid.SampledFrom([]record.Mark{{}, mine, theirs}).Draw(t, "mark")
			if mark != (record.Mark{}) {
				model[n] = State{Name: n, Marks: []string{mark.Text()}, RRsets: rrsets(n, mark, 60, values.Draw(t, "have")...)}
			}
			if rapid.Bool().Draw(t, "wanted") {
				wanted = append(wanted, rrsets(n, mine, 60, values.Draw(t, "want")...))
			}
		}
		records := wants(wanted...)
		states := func() (all []State) {
			for _, n := range names {
				s := model[n]
				s.Name = n
				all = append(all, s)
			}
			return all
		}
		for _, c := range Calculate(records, states()) {
			owned := slices.Equal(model[c.Name].Marks, []string{mine.Text()})
			switch c.Action {
			case Create:
				if len(model[c.Name].Marks) > 0 {
					t.Fatalf("create over %v", model[c.Name])
				}
				model[c.Name] = State{Marks: []string{mine.Text()}, RRsets: c.RRsets}
			case Replace, Delete:
				if !owned {
					t.Fatalf("%s what is not ours: %v", c.Action, model[c.Name])
				}
				model[c.Name] = State{Marks: []string{mine.Text()}, RRsets: c.RRsets}
				if c.Action == Delete {
					delete(model, c.Name)
				}
			case Conflict:
				if c.Holder != theirs {
					t.Fatalf("conflict with %v", c.Holder)
				}
			}
		}
		for _, c := range Calculate(records, states()) {
			if c.Action != Conflict {
				t.Fatalf("still to do: %v", c)
			}
		}
	})
}
