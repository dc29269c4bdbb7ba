package pvesim

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"POST /nodes/*/qemu/*/clone: 596 committed, times 2":             {Kind: RefuseAfter, Method: "POST", Path: "/nodes/*/qemu/*/clone", Code: 596, Times: 2},
		"/nodes/pve2/**: node down":                                      {Kind: NodeDown, Path: "/nodes/pve2/**"},
		`PUT /nodes/*/qemu/101/config: 500 "a, b", skip 3, times 1`:      {Kind: Refuse, Method: "PUT", Path: "/nodes/*/qemu/101/config", Code: 500, Text: "a, b", Skip: 3, Times: 1},
		"GET /version: slow 5s":                                          {Kind: Slow, Method: "GET", Path: "/version", Delay: 5 * time.Second},
		"DELETE : drop committed":                                        {Kind: DropAfter, Method: "DELETE"},
		": drop, skip 1":                                                 {Kind: DropBefore, Skip: 1},
		"POST /nodes/*/qemu/*/status/start: lock timeout":                {Kind: LockTimeout, Method: "POST", Path: "/nodes/*/qemu/*/status/start"},
		"POST /nodes/*/qemu/*/clone: task error clone failed: no memory": {Kind: TaskError, Method: "POST", Path: "/nodes/*/qemu/*/clone", Text: "clone failed: no memory"},
		"POST /nodes/*/qemu/*/clone: task warnings 2":                    {Kind: TaskWarnings, Method: "POST", Path: "/nodes/*/qemu/*/clone", Warnings: 2},
		"POST /nodes/*/qemu/*/clone: storage full shared1":               {Kind: StorageFull, Method: "POST", Path: "/nodes/*/qemu/*/clone", Storage: "shared1"},
		"/nodes/*/storage/*/content/**: 599":                             {Kind: Refuse, Path: "/nodes/*/storage/*/content/**", Code: 599},
	} {
		got, err := ParseFault(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParseFaultSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"POST /version":                       "after the path comes a colon",
		"post /version: drop":                 `"post" is no method`,
		"GET version: drop":                   `path "version" does not start with a slash`,
		"GET /version x: drop":                `"x" after the path`,
		"POST /version: drop":                 "no call POST /version is simulated",
		"/nodes/*/qemu/*/klone: drop":         "no call /nodes/*/qemu/*/klone is simulated",
		"GET /version: 200":                   `"200" is nothing that can happen`,
		"GET /version: explode":               `"explode" is nothing that can happen`,
		"GET /version: dropped":               `"dropped" is nothing that can happen`,
		"GET /version: drop at once":          `drop: "at once" is too much`,
		"GET /version: slow":                  `slow: "" is no duration`,
		"GET /version: slow -1s":              `slow: "-1s" is no duration`,
		"GET /version: task error":            "task error: the text is missing",
		"GET /version: task warnings x":       `task warnings: "x" is no number`,
		"GET /version: storage full a b":      "storage full: storage ID 'a b' contains illegal characters",
		"GET /version: drop, times":           `times: "" is no number`,
		"GET /version: drop, skip 0":          `skip: "0" is no number`,
		"GET /version: drop, often":           `"often" is no option`,
		`GET /version: 500 "no end`:           `the quote at "\"no end" has no end`,
		`GET /version: 500 "one" two`:         `"one" two is not one text`,
		"GET /version: 500 text, with commas": `"with commas" is no option`,
	} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fault ") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestFaultsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Fault{
			Kind: FaultKind(rapid.IntRange(int(Slow), int(NodeDown)).Draw(t, "kind")), Method: rapid.SampledFrom([]string{"", "POST"}).Draw(t, "method"),
			Path: rapid.SampledFrom([]string{"", "/nodes/**", "/nodes/*/qemu/*/clone"}).Draw(t, "path"), Times: rapid.IntRange(0, 9).Draw(t, "times"), Skip: rapid.IntRange(0, 9).Draw(t, "skip"),
		}
		text := rapid.StringN(1, 20, -1).Draw(t, "text")
		switch f.Kind {
		case Refuse, RefuseAfter:
			f.Code, f.Text = rapid.IntRange(400, 599).Draw(t, "code"), text
		case TaskError, NodeDown:
			f.Text = text
		case Slow:
			f.Delay = time.Duration(rapid.IntRange(1, 1e12).Draw(t, "delay"))
		case TaskWarnings:
			f.Warnings = rapid.IntRange(1, 99).Draw(t, "warnings")
		case StorageFull:
			f.Storage = rapid.SampledFrom([]string{"", "local-lvm"}).Draw(t, "storage")
		}
		got, err := ParseFault(f.String())
		if err != nil || got != f {
			t.Fatalf("%s: %+v, %v, want %+v", f, got, err, f)
		}
	})
}

func FuzzParseFault(f *testing.F) {
	for _, text := range strings.Split(FaultSyntax, "\n") {
		f.Add(strings.TrimSpace(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := ParseFault(text)
		if err != nil {
			return
		}
		if again, err := ParseFault(fault.String()); err != nil || again.String() != fault.String() {
			t.Errorf("%q is read as %s, and that as %v, %v", text, fault, again, err)
		}
	})
}

// TestTheExamplesOfTheSyntaxAreRight reads the last lines of the explanation.
func TestTheExamplesOfTheSyntaxAreRight(t *testing.T) {
	_, examples, ok := strings.Cut(FaultSyntax, "For example:\n\n")
	if !ok {
		t.Fatal("no examples")
	}
	for line := range strings.Lines(examples) {
		if _, err := ParseFault(strings.TrimSpace(line)); err != nil {
			t.Error(err)
		}
	}
}

func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		cfg := Default()
		found, err := ProfileNamed(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		found.Apply(&cfg)
		c := New(cfg)
		if want := max(p.Nodes, 3); len(c.nodes) != want || len(c.VMs()) != p.Machines+1 {
			t.Errorf("%s: %d nodes, %d VMs", p.Name, len(c.nodes), len(c.VMs()))
		}
		c.Close()
	}
	if _, err := ProfileNamed("huge"); err == nil || !strings.Contains(err.Error(), "instant, quick, real, large") {
		t.Error(err)
	}
}
