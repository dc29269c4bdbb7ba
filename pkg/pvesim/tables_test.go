package pvesim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// apiNode is a node of the API description that Proxmox VE publishes.
type apiNode struct {
	Path     string
	Children []apiNode
	Info     map[string]struct {
		Parameters struct{ Properties map[string]apiParam }
	}
}

type apiParam struct {
	Type      string
	Requires  string
	Optional  json.Number
	Enum      []string
	Minimum   json.Number
	Maximum   json.Number
	MinLength int
	MaxLength int
}

func loadDescription(t *testing.T) map[string]map[string]apiParam {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sharedDir(t), "apidoc.json"))
	if err != nil {
		t.Skip("the API description of Proxmox VE is not here")
	}
	var roots []apiNode
	if err := json.Unmarshal(b, &roots); err != nil {
		t.Fatal(err)
	}
	methods := map[string]map[string]apiParam{}
	var walk func([]apiNode)
	walk = func(nodes []apiNode) {
		for _, n := range nodes {
			for method, info := range n.Info {
				methods[method+" "+n.Path] = info.Parameters.Properties
			}
			walk(n.Children)
		}
	}
	walk(roots)
	return methods
}

var numbered = regexp.MustCompile(`^([a-z]+)\d+$`)

// describe puts what is compared of a parameter into words.
func describe(typ string, required bool, enum []string, low, high string, minLen, maxLen int, requires string) string {
	return fmt.Sprintf("%s required=%v enum=%v %s..%s <%d..%d requires=%s", typ, required, enum, low, high, minLen, maxLen, requires)
}

// asksFor are requirements of firewall rules that the description has in words only.
var asksFor = map[string]string{"dport": "proto", "sport": "proto", "icmp-type": "proto"}

// undescribed are methods of the real API that its description does not list.
var undescribed = []string{"GET /"}

// TestTablesAgreeWithTheAPIDescription holds the tables against the description: each method and
// parameter exists there, with the same type, limits and values, and no parameter is left out.
func TestTablesAgreeWithTheAPIDescription(t *testing.T) {
	methods := loadDescription(t)
	var missing []string
	for _, r := range routeTable {
		theirs, ok := methods[r.method+" "+r.path]
		if !ok {
			if contains(undescribed, r.method+" "+r.path) {
				continue
			}
			t.Errorf("%s %s is not in the description", r.method, r.path)
			continue
		}
		for name, f := range r.schema {
			p, ok := theirs[name]
			if base := numbered.FindStringSubmatch(name); !ok && base != nil {
				p, ok = theirs[base[1]+"[n]"]
			}
			if !ok {
				t.Errorf("%s %s: parameter %s is not in the description", r.method, r.path, name)
				continue
			}
			ours := describe(f.kind, f.required, f.enum, f.min, f.max, f.minLen, f.maxLen, f.requires)
			if asked, ok := asksFor[name]; ok && strings.Contains(r.path, "/firewall/") {
				p.Requires = asked
			}
			want := describe(p.Type, p.Optional != "1", p.Enum, p.Minimum.String(), p.Maximum.String(), p.MinLength, p.MaxLength, p.Requires)
			if ours != want {
				t.Errorf("%s %s: parameter %s is %s, described as %s", r.method, r.path, name, ours, want)
			}
		}
		for name := range theirs {
			plain := strings.Replace(name, "[n]", "0", 1)
			if _, ok := r.schema[plain]; !ok && !strings.Contains(r.path, "{"+name+"}") {
				missing = append(missing, r.method+" "+r.path+" "+name)
			}
		}
	}
	sort.Strings(missing)
	for _, m := range missing {
		t.Errorf("%s is left out", m)
	}
	t.Logf("%d methods of %d are simulated, each with all its parameters", len(routeTable), len(methods))
}
