package bench

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/vmline/vmline/pkg/pvesim"
)

// needed has every call that a machine may cost, and why. A call without a row fails the benchmark:
// each is one that a cluster must answer for every machine, so none comes about unnoticed.
var needed = map[string]string{
	"GET /cluster/resources":                              "template, nodes, memory and VMIDs in use; orders within 2 s share one",
	"GET /cluster/ha/status/current":                      "which nodes are in maintenance; orders within 30 s share one",
	"GET /nodes/{node}/network":                           "which bridges a node has; orders within 30 s share one",
	"GET /nodes/{node}/qemu/{vmid}/config":                "proves that the machine is ours and shows what is missing, before it is changed; once more before it is destroyed",
	"POST /nodes/{node}/qemu/{vmid}/config":               "all settings at once",
	"PUT /nodes/{node}/qemu/{vmid}/config":                "all settings at once",
	"PUT /nodes/{node}/qemu/{vmid}/resize":                "the config call cannot change a disk's size",
	"POST /nodes/{node}/qemu/{vmid}/clone":                "makes the machine",
	"POST /nodes/{node}/qemu/{vmid}/status/start":         "starts it",
	"POST /nodes/{node}/qemu/{vmid}/status/stop":          "only a stopped machine can be destroyed",
	"GET /nodes/{node}/qemu/{vmid}/status/current":        "does it run?",
	"DELETE /nodes/{node}/qemu/{vmid}":                    "destroys it",
	"GET /nodes/{node}/tasks":                             "the ends of all tasks of a node in one answer",
	"GET /nodes/{node}/tasks/{upid}/status":               "the end of a task",
	"GET /nodes/{node}/tasks/{upid}/log":                  "the warnings of a task",
	"GET /nodes/{node}/storage":                           "which storages hold backups; terminations within 10 s share one",
	"GET /nodes/{node}/storage/{storage}/content":         "backups must go before the machine, after it nobody may see them",
	"GET /nodes/{node}/qemu/{vmid}/firewall/options":      "which options are missing",
	"PUT /nodes/{node}/qemu/{vmid}/firewall/options":      "sets them",
	"GET /nodes/{node}/qemu/{vmid}/firewall/rules":        "which rules are missing: a rule added twice is there twice",
	"POST /nodes/{node}/qemu/{vmid}/firewall/rules":       "one call a rule",
	"GET /nodes/{node}/qemu/{vmid}/firewall/ipset/{set}":  "which addresses are missing",
	"POST /nodes/{node}/qemu/{vmid}/firewall/ipset":       "makes the set that the IP filter reads",
	"POST /nodes/{node}/qemu/{vmid}/firewall/ipset/{set}": "one call an address",
}

// starts are the calls that start a task.
var starts = []string{
	"POST /nodes/{node}/qemu/{vmid}/clone", "POST /nodes/{node}/qemu/{vmid}/config", "PUT /nodes/{node}/qemu/{vmid}/resize",
	"POST /nodes/{node}/qemu/{vmid}/status/start", "POST /nodes/{node}/qemu/{vmid}/status/stop", "DELETE /nodes/{node}/qemu/{vmid}",
}

// variables are the parts of a path that differ between machines.
var variables = []struct {
	part *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`^/nodes/[^/]+`), "/nodes/{node}"},
	{regexp.MustCompile(`/qemu/\d+`), "/qemu/{vmid}"},
	{regexp.MustCompile(`/tasks/[^/]+`), "/tasks/{upid}"},
	{regexp.MustCompile(`/storage/[^/]+`), "/storage/{storage}"},
	{regexp.MustCompile(`/ipset/.+`), "/ipset/{set}"},
}

// shape is a call without what differs between machines.
func shape(c pvesim.Call) string {
	path := c.Path
	for _, v := range variables {
		path = v.part.ReplaceAllString(path, v.name)
	}
	return c.Method + " " + path
}

func TestShape(t *testing.T) {
	for path, want := range map[string]string{
		"/cluster/resources":                           "GET /cluster/resources",
		"/nodes/pve1/tasks":                            "GET /nodes/{node}/tasks",
		"/nodes/pve1/qemu/101/config":                  "GET /nodes/{node}/qemu/{vmid}/config",
		"/nodes/pve1/tasks/UPID:pve1:1/status":         "GET /nodes/{node}/tasks/{upid}/status",
		"/nodes/pve1/qemu/1/firewall/ipset/ipfilter-x": "GET /nodes/{node}/qemu/{vmid}/firewall/ipset/{set}",
		"/nodes/pve1/storage/local/content":            "GET /nodes/{node}/storage/{storage}/content",
	} {
		if got := shape(pvesim.Call{Method: "GET", Path: path}); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// tally counts calls by shape.
type tally map[string]int

func (t tally) add(calls []pvesim.Call) {
	for _, c := range calls {
		t[shape(c)]++
	}
}

func (t tally) total() (n int) {
	for _, count := range t {
		n += count
	}
	return n
}

// tasks is how many tasks the calls started.
func (t tally) tasks() (n int) {
	for _, call := range starts {
		n += t[call]
	}
	return n
}

// sheet is a table of calls for one machine: a row for each call, a column for each setting.
type sheet struct {
	title   string
	columns []string
	tallies []tally
	of      []int // machines
}

func (s *sheet) add(b *testing.B, column string, t tally, machines int) {
	for call := range t {
		if needed[call] == "" {
			b.Errorf("no reason is known for %s", call)
		}
	}
	s.columns, s.tallies, s.of = append(s.columns, column), append(s.tallies, t), append(s.of, machines)
}

// write shows the sheet, unless it is empty.
func (s *sheet) write(w io.Writer) {
	if len(s.columns) == 0 {
		return
	}
	rows := map[string]bool{}
	for _, t := range s.tallies {
		for call := range t {
			rows[call] = true
		}
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = out.Flush() }() // a table for people
	fmt.Fprintf(out, "\n%s: calls a machine\t%s\n", s.title, strings.Join(s.columns, "\t"))
	for _, call := range slices.Sorted(maps.Keys(rows)) {
		s.row(out, call, func(t tally) int { return t[call] }, needed[call])
	}
	s.row(out, "all", tally.total, "")
}

func (s *sheet) row(w io.Writer, name string, count func(tally) int, why string) {
	fmt.Fprint(w, name)
	for i, t := range s.tallies {
		fmt.Fprintf(w, "\t%.2f", float64(count(t))/float64(s.of[i]))
	}
	fmt.Fprintf(w, "\t%s\n", why)
}
