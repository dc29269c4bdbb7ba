package overtake

import (
	"strings"
	"testing"
)

// TestEveryWay plays two works of three calls each. All ways with up to three switches are there, each once.
func TestEveryWay(t *testing.T) {
	slow, fast := &Work{}, &Work{}
	ways := map[string]int{}
	EveryWay(t, slow, fast, func(string) Scene {
		var way []string
		work := func(w *Work, name string) func() error {
			return func() error {
				for range 3 {
					if err := w.Call(name, func() error { way = append(way, name); return nil }); err != nil {
						return err
					}
				}
				return nil
			}
		}
		return Scene{Slow: work(slow, "s"), Fast: work(fast, "f"), Check: func(*testing.T, error, error) { ways[strings.Join(way, "")]++ }}
	})
	want := []string{"fffsss", "ffsfss", "ffssfs", "ffsssf", "fsffss", "fssffs", "fsssff", "sfffss", "sffsfs", "sffssf", "sfsffs", "sfssff", "ssfffs", "ssffsf", "ssfsff", "sssfff"}
	if stride > 1 {
		want = want[:1]
	}
	for _, way := range want {
		if ways[way] == 0 {
			t.Errorf("%s was not played", way)
		}
	}
	if n := len(ways); stride == 1 && n != len(want) {
		t.Errorf("%d ways were played, want %d: %v", n, len(want), ways)
	}
}
