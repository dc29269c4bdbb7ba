package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func use(of string, limit int) []Use { return []Use{{of, limit}} }

// wait puts one that waits into a table.
func (t *table) wait(id, customer string, second int, uses []Use) {
	t.put(id, entry{Customer: customer, Uses: uses, Since: noon.Add(time.Duration(second) * time.Second), Until: noon.Add(time.Hour)})
}

func (t *table) all() map[string]bool {
	all := map[string]bool{}
	for id := range t.Entries {
		all[id] = true
	}
	return all
}

// TestTurnsGoRound: a customer with many orders does not hold up one with few.
func TestTurnsGoRound(t *testing.T) {
	tab := newTable()
	for i := range 5 {
		tab.wait(fmt.Sprintf("a%d", i), "a", i, use("s", 1))
	}
	tab.wait("b0", "b", 10, use("s", 1))
	tab.wait("b1", "b", 11, use("s", 1))
	tab.wait("c0", "c", 12, use("s", 1))
	var order []string
	for range 8 {
		tab.grant(noon, tab.all())
		for id, e := range tab.Entries {
			if e.Held {
				order = append(order, id)
				delete(tab.Entries, id)
			}
		}
	}
	if want := []string{"a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"}; !slices.Equal(order, want) {
		t.Errorf("turns %v, want %v", order, want)
	}
}

func TestReasons(t *testing.T) {
	tab := newTable()
	both := []Use{{"node pve1", 4}, {"storage shared1", 2}}
	for i := range 6 {
		tab.wait(fmt.Sprintf("x%d", i), "", i, both)
	}
	tab.wait("other", "", 7, use("storage local on pve2", 1))
	tab.grant(noon, tab.all())
	for id, want := range map[string]string{
		"x2": "waits for its turn: 2 of 2 heavy tasks run on storage shared1; 0 wait before it",
		"x5": "waits for its turn: 2 of 2 heavy tasks run on storage shared1; 3 wait before it",
	} {
		if got := tab.reasons()[id]; got != want {
			t.Errorf("%s %s", id, got)
		}
	}
	if !tab.Entries["other"].Held {
		t.Error("one that wants something else is held up")
	}
}

// TestOneThatCannotGoHoldsNobodyUp: the first waits for a full node, the second has what it needs.
func TestOneThatCannotGoHoldsNobodyUp(t *testing.T) {
	tab := newTable()
	tab.put("runs", entry{Uses: use("node a", 1), Since: noon, Until: noon.Add(time.Hour), Held: true})
	tab.wait("first", "", 1, []Use{{"node a", 1}, {"storage s", 2}})
	tab.wait("second", "", 2, []Use{{"node b", 1}, {"storage s", 2}})
	tab.grant(noon, tab.all())
	if tab.Entries["first"].Held || !tab.Entries["second"].Held {
		t.Errorf("first %t, second %t", tab.Entries["first"].Held, tab.Entries["second"].Held)
	}
}

// TestOneThatIsOverdueIsNotOvertaken: it needs two resources, of which others always have one.
func TestOneThatIsOverdueIsNotOvertaken(t *testing.T) {
	tab := newTable()
	tab.put("runs", entry{Uses: use("node a", 1), Since: noon, Until: noon.Add(time.Hour), Held: true})
	tab.wait("both", "", 1, []Use{{"node a", 1}, {"node b", 1}})
	tab.wait("behind", "", 2, use("node b", 1))
	now := noon.Add(overdue + time.Second)
	tab.grant(now, tab.all())
	if tab.Entries["behind"].Held {
		t.Fatal("it was overtaken")
	}
	delete(tab.Entries, "runs")
	tab.grant(now, tab.all())
	if !tab.Entries["both"].Held || tab.Entries["behind"].Held {
		t.Error("it does not have its turn")
	}
}

// TestSomebodyElsesTurnIsLeftForIt: this process takes only what stays when those before it had theirs.
func TestSomebodyElsesTurnIsLeftForIt(t *testing.T) {
	tab := newTable()
	tab.wait("theirs", "", 1, use("s", 2))
	tab.wait("mine1", "", 2, use("s", 2))
	tab.wait("mine2", "", 3, use("s", 2))
	tab.grant(noon, map[string]bool{"mine1": true, "mine2": true})
	if tab.Entries["theirs"].Held || !tab.Entries["mine1"].Held || tab.Entries["mine2"].Held {
		t.Error("the queue was jumped")
	}
}

// TestAnyHistory: whatever comes, goes and dies, no resource is over its limit, nobody who could go waits,
// and within a customer nobody with the same wish overtakes.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, now := newTable(), noon
		limits := map[string]int{"a": rapid.IntRange(1, 3).Draw(t, "a"), "b": rapid.IntRange(1, 3).Draw(t, "b")}
		for step := range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "pause")) * time.Second)
			tab.expire(now)
			id := fmt.Sprintf("vm%d", rapid.IntRange(0, 12).Draw(t, "vm"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				delete(tab.Entries, id)
			default:
				of := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}}).Draw(t, "uses")
				if old := tab.Entries[id]; old != nil {
					of = nil
					for _, u := range old.Uses {
						of = append(of, u.Of)
					}
				}
				var uses []Use
				for _, name := range of {
					uses = append(uses, Use{name, limits[name]})
				}
				tab.put(id, entry{Customer: fmt.Sprint(id[len(id)-1] % 3), Uses: uses, Since: now, Until: now.Add(20 * time.Second)})
			}
			before := tab.taken()
			tab.grant(now, tab.all())
			check(t, step, tab, limits, before)
		}
	})
}

func check(t *rapid.T, step int, tab *table, limits, before map[string]int) {
	taken := tab.taken()
	for of, n := range taken {
		if n > limits[of] {
			t.Fatalf("step %d: %d of %d run on %s", step, n, limits[of], of)
		}
		if n < before[of] {
			t.Fatalf("step %d: %s lost a holder", step, of)
		}
	}
	for id, e := range tab.Entries {
		full := slices.ContainsFunc(e.Uses, func(u Use) bool { return taken[u.Of] >= u.Limit })
		if !e.Held && !full {
			t.Fatalf("step %d: %s waits although it could go", step, id)
		}
	}
}

// BenchmarkTurns is one look at a table in which so many wait, as it is done when a task ends.
func BenchmarkTurns(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			tab := newTable()
			for i := range n {
				tab.wait(fmt.Sprintf("vm-%d", i), fmt.Sprint("customer-", i%100), i, []Use{{fmt.Sprintf("node pve%d", i%10), 4}, {"storage shared1", 2}})
			}
			for b.Loop() {
				tab.grant(noon, tab.all())
				tab.reasons()
			}
		})
	}
}

// TestATableThatWasLostGivesNothingAtFirst: those who held a lease in the lost one have to say so before
// anybody gets another.
func TestATableThatWasLostGivesNothingAtFirst(t *testing.T) {
	for _, lost := range []bool{true, false} {
		tab := newTable()
		tab.begin(noon, lost)
		tab.wait("a", "", 0, use("s", 1))
		tab.grant(noon, tab.all())
		if held := tab.Entries["a"].Held; held == lost {
			t.Errorf("lost %t: a lease is given at once: %t", lost, held)
		}
		tab.begin(noon.Add(2*renewEvery), true) // it is no new one any more
		tab.grant(noon.Add(2*renewEvery), tab.all())
		if !tab.Entries["a"].Held {
			t.Errorf("lost %t: no lease is given later", lost)
		}
	}
}

// TestALeaseIsOfWhatItIsOf: one that holds and asks for something else waits for that.
func TestALeaseIsOfWhatItIsOf(t *testing.T) {
	tab := newTable()
	tab.put("runs", entry{Uses: use("node b", 1), Since: noon, Until: noon.Add(time.Hour), Held: true})
	tab.put("moves", entry{Uses: use("node a", 1), Since: noon, Until: noon.Add(time.Hour), Held: true})
	tab.wait("moves", "", 1, use("node a", 1))
	if !tab.Entries["moves"].Held {
		t.Error("asking again is not the same lease")
	}
	tab.wait("moves", "", 2, use("node b", 1))
	tab.grant(noon, tab.all())
	if tab.Entries["moves"].Held {
		t.Error("the lease of one resource was taken for that of another")
	}
}
