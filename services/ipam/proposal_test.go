package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestSortOutKeepsWhatItCan holds the decision which addresses stay against what its table says.
func TestSortOutKeepsWhatItCan(t *testing.T) {
	serving, err := parsePool(v4Pool("serving", "203.0.113.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := need{family: ipv4, count: rapid.IntRange(0, 6).Draw(rt, "count"), pools: []*pool{serving}, undo: rapid.Bool().Draw(rt, "undo")}
		var has []holding
		for i := range rapid.IntRange(0, 8).Draw(rt, "has") {
			h := holding{at: choice{serving, uint64(i)}, serves: true}
			h.addr = h.at.addr()
			kind := rapid.SampledFrom([]string{"listed", "leaving", "new", "chosen", "elsewhere"}).Draw(rt, "kind")
			if kind == "listed" || kind == "leaving" {
				h.listed = serving.describe(h.at.number)
				h.listed.Leaving = kind == "leaving"
			}
			if rapid.Bool().Draw(rt, "had") {
				n.had = append(n.had, h.addr.String())
			}
			if kind == "elsewhere" {
				h = holding{addr: netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", i)), listed: &vmlinev1.Address{Pool: "gone"}}
			}
			if kind == "chosen" && len(n.chosen) < n.count {
				n.chosen = append(n.chosen, h.at)
			}
			has = append(has, h)
		}
		p := n.sortOut(has)
		checkSorted(rt, n, has, p)
	})
}

func checkSorted(rt *rapid.T, n need, has []holding, p proposal) {
	fit := 0
	for _, h := range has {
		if h.serves {
			fit++
		}
		stays, leaves := h.among(p.stay), h.among(p.leave)
		switch {
		case stays && leaves, stays && !h.serves:
			rt.Fatalf("%s stays %t and leaves %t", h.addr, stays, leaves)
		case h.listed != nil && !stays && !leaves:
			rt.Fatalf("%s was listed and is forgotten", h.addr)
		case h.listed == nil && leaves:
			rt.Fatalf("%s was never on the machine and leaves it", h.addr)
		case slices.Contains(n.chosen, h.at) && h.serves && !stays:
			rt.Fatalf("%s is chosen and does not stay", h.addr)
		}
	}
	if want := min(n.count, fit); len(p.stay) != want {
		rt.Fatalf("%d stay, want %d", len(p.stay), want)
	}
	for _, out := range has { // nobody stays in the place of one that comes before it
		for _, in := range p.stay {
			if out.serves && !out.among(p.stay) && n.rank(out) < n.rank(in) {
				rt.Fatalf("%s stays before %s", in.addr, out.addr)
			}
		}
	}
	order := func(h holding) int {
		return slices.IndexFunc(has, func(o holding) bool { return o.addr == h.addr })
	}
	listed := slices.DeleteFunc(slices.Clone(p.stay), func(h holding) bool { return h.listed == nil })
	if !slices.IsSortedFunc(listed, func(a, b holding) int { return order(a) - order(b) }) {
		rt.Fatal("the addresses that stay changed their order")
	}
	if i := slices.IndexFunc(p.stay, func(h holding) bool { return h.listed == nil }); i >= 0 && i < len(listed) {
		rt.Fatal("a new address comes before one that the machine has")
	}
}
