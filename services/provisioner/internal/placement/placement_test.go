package placement

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const gib = 1 << 30

// three is a cluster: n1 and n2 half full, n3 nearly empty but without the storage san; big is on none.
func three() pve.Resources {
	return pve.Resources{
		Nodes: []pve.Node{
			{Name: "n1", Online: true, MaxMem: 64 * gib, Mem: 32 * gib},
			{Name: "n2", Online: true, MaxMem: 64 * gib, Mem: 30 * gib},
			{Name: "n3", Online: true, MaxMem: 64 * gib, Mem: 1 * gib},
			{Name: "off", MaxMem: 640 * gib},
		},
		Storages: []pve.Storage{
			{Name: "san", Node: "n1", Shared: true, Active: true}, {Name: "san", Node: "n2", Shared: true, Active: true},
			{Name: "san", Node: "off", Shared: true, Active: true},
			{Name: "ceph", Node: "n1", Shared: true, Active: true}, {Name: "ceph", Node: "n2", Shared: true}, {Name: "ceph", Node: "n3", Shared: true, Active: true},
			{Name: "local", Node: "n1", Active: true}, {Name: "local", Node: "n2", Active: true}, {Name: "local", Node: "n3", Active: true},
		},
		VMs: []pve.VM{
			{VMID: 9002, Name: "debian", Template: true, Node: "n2"}, {VMID: 9001, Name: "debian", Template: true, Node: "n1"},
			{VMID: 100, Name: "ubuntu", Node: "n1"}, {VMID: 9003, Name: "9001", Template: true, Node: "n3"},
			{VMID: 9004, Name: "fedora", Template: true, Node: "off"}, {VMID: 9005, Name: "fedora", Template: true, Node: "n3"},
			{VMID: 9006, Name: "suse", Template: true, Node: "off"},
		},
	}
}

func TestTemplate(t *testing.T) {
	for _, tt := range []struct {
		want, near string
		vmid       int
	}{
		{"debian", "", 9001}, {"9002", "", 9002}, {"9001", "", 9001}, {"9003", "", 9003}, {"ubuntu", "", 0}, {"100", "", 0}, {"", "", 0}, {"Debian", "", 0},
		{"debian", "n2", 9002}, {"debian", "n3", 9001}, {"9002", "n1", 9002}, {"fedora", "", 9005}, {"fedora", "off", 9005}, {"suse", "", 9006},
	} {
		got, err := Template(three(), tt.want, tt.near)
		var no *Impossible
		if tt.vmid == 0 && (!errors.As(err, &no) || no.Next == "") {
			t.Errorf("%q: got %d, %v", tt.want, got.VMID, err)
		}
		if tt.vmid != 0 && (err != nil || got.VMID != tt.vmid) {
			t.Errorf("%q: got %d, %v; want %d", tt.want, got.VMID, err, tt.vmid)
		}
	}
}

// TestTemplateThatCannotBeSeen: a machine that is listed without a name may be the template.
func TestTemplateThatCannotBeSeen(t *testing.T) {
	for _, tt := range []struct {
		name    string
		machine pve.VM
		passing bool
	}{
		{"on a node that is down", pve.VM{VMID: 9100, Node: "off", Status: "unknown"}, true},
		{"new", pve.VM{VMID: 9100, Node: "n1", Status: "unknown"}, true},
		{"a clone that is being made", pve.VM{VMID: 101, Node: "n1", Status: "unknown", Lock: "clone"}, false},
		{"one of ours", pve.VM{VMID: 101, Node: "off", Status: "unknown", Tags: []string{"vmline"}}, false},
		{"known", pve.VM{VMID: 9100, Node: "n1", Status: "stopped", Name: "other"}, false},
	} {
		r := three()
		r.VMs = append(r.VMs, tt.machine)
		_, err := Template(r, "alpine", "")
		var no *Impossible
		if !errors.As(err, &no) || no.Passing != tt.passing || no.Next == "" || !strings.Contains(no.Reason, `"alpine"`) {
			t.Errorf("%s: %+v", tt.name, err)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name     string
		template string
		from, to []string
		node     string
		memory   uint32
		planned  map[string]int64
		want     Choice
		refused  string
		passing  bool
	}{
		{name: "local template, no node named", from: []string{"local"}, want: Choice{"n1", "n1", "n1"}},
		{name: "shared template, no node named", from: []string{"san"}, want: Choice{"n1", "n2", "n2"}},
		{name: "local template, node named", from: []string{"local"}, node: "n3", want: Choice{"n1", "n1", "n3"}},
		{name: "shared template, node named", from: []string{"ceph"}, node: "n3", want: Choice{"n1", "n3", "n3"}},

		{name: "what is on its way counts", from: []string{"san"}, planned: map[string]int64{"n2": 3 * gib}, want: Choice{"n1", "n1", "n1"}},
		{name: "a storage that is not active there", from: []string{"ceph"}, planned: map[string]int64{"n3": 60 * gib}, want: Choice{"n1", "n1", "n1"}},
		{name: "room on one node only", from: []string{"san"}, memory: 33 << 10, want: Choice{"n1", "n2", "n2"}},
		{name: "room to the last byte", from: []string{"san"}, memory: 34 << 10, want: Choice{"n1", "n2", "n2"}},
		{name: "no room anywhere", from: []string{"san"}, memory: 35 << 10, want: Choice{"n1", "n1", "n1"}},
		{name: "one of the template's volumes is local", from: []string{"local", "san"}, want: Choice{"n1", "n1", "n1"}},
		{name: "from a local to a shared storage", from: []string{"local"}, to: []string{"ceph"}, node: "n3", want: Choice{"n1", "n1", "n3"}},
		{name: "from a shared to a local storage", from: []string{"san"}, to: []string{"local"}, want: Choice{"n1", "n1", "n1"}},
		{name: "only the clone's storage must be where it lives", from: []string{"san"}, to: []string{"ceph"}, node: "n3", want: Choice{"n1", "n3", "n3"}},
		{name: "a storage that the token may not see", from: []string{"secret"}, node: "n2", want: Choice{"n1", "n1", "n2"}},

		{name: "the template's node is down", template: "off", from: []string{"san"}, refused: "off, which has template", passing: true},
		{name: "the named node is down", from: []string{"san"}, node: "off", refused: "off, which the package names, is not an online node", passing: true},
		{name: "the named node does not exist", from: []string{"san"}, node: "n9", refused: "n9, which the package names"},
		{name: "the named node lacks the storage", from: []string{"san"}, node: "n3", refused: "n3, which the package names, does not have storage san"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tpl := pve.VM{VMID: 9001, Name: "debian", Node: "n1"}
			if tt.template != "" {
				tpl.Node = tt.template
			}
			if tt.to == nil {
				tt.to = tt.from
			}
			got, err := Choose(three(), tpl, tt.from, tt.to, &vmlinev1.Package{Node: tt.node, MemoryMib: max(tt.memory, 1024)}, tt.planned)
			var no *Impossible
			if tt.refused != "" {
				if !errors.As(err, &no) || !strings.Contains(no.Reason, tt.refused) || no.Next == "" || no.Passing != tt.passing {
					t.Fatalf("got %+v, want a refusal with %q", err, tt.refused)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// TestAnyCluster looks at what must hold wherever a VM is placed.
func TestAnyCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, planned := anyCluster(t)
		storages := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b"}), 1, 2, rapid.ID).Draw(t, "storages")
		pkg := &vmlinev1.Package{MemoryMib: rapid.Uint32Range(1, 16).Draw(t, "memory") << 10, Node: rapid.SampledFrom([]string{"", "n0", "n1", "n9"}).Draw(t, "node")}
		tpl := pve.VM{VMID: 9000, Name: "tpl", Node: rapid.SampledFrom(r.Nodes).Draw(t, "template's node").Name}
		got, err := Choose(r, tpl, storages, storages, pkg, planned)
		if err != nil {
			return
		}
		need := int64(pkg.GetMemoryMib()) << 20
		shared := true
		for _, s := range storages {
			shared = shared && slices.ContainsFunc(r.Storages, func(x pve.Storage) bool { return x.Name == s && x.Shared })
		}
		for _, name := range []string{got.TemplateNode, got.CloneNode, got.Node} {
			if !slices.ContainsFunc(r.Nodes, func(n pve.Node) bool { return n.Name == name && n.Online }) {
				t.Fatalf("%+v: %s is not online", got, name)
			}
		}
		switch {
		case got.TemplateNode != tpl.Node, pkg.GetNode() != "" && got.Node != pkg.GetNode():
			t.Fatalf("%+v: the template is on %s, the package names %q", got, tpl.Node, pkg.GetNode())
		case !shared && got.CloneNode != tpl.Node:
			t.Fatalf("%+v: a clone of a local template appears elsewhere", got)
		case shared && got.CloneNode != got.Node:
			t.Fatalf("%+v: a migration although the storages are shared", got)
		}
		checkRoom(t, r, storages, planned, need, got, shared && pkg.GetNode() == "")
	})
}

// checkRoom: a node that was chosen, not only fallen back to, has storages and room; and whenever a
// node has them, one that has them is chosen.
func checkRoom(t *rapid.T, r pve.Resources, storages []string, planned map[string]int64, need int64, got Choice, chosen bool) {
	if !chosen {
		return
	}
	fits := func(n pve.Node) bool {
		for _, s := range storages {
			if !slices.ContainsFunc(r.Storages, func(x pve.Storage) bool { return x.Name == s && x.Node == n.Name && x.Active }) {
				return false
			}
		}
		return n.Online && n.MaxMem-n.Mem-planned[n.Name] >= need
	}
	i := slices.IndexFunc(r.Nodes, func(n pve.Node) bool { return n.Name == got.Node })
	if slices.ContainsFunc(r.Nodes, fits) {
		if !fits(r.Nodes[i]) {
			t.Fatalf("%+v does not fit although another node does", got)
		}
		return
	}
	if got.Node != got.TemplateNode {
		t.Fatalf("%+v: none fits, so it stays with its template", got)
	}
}

func anyCluster(t *rapid.T) (pve.Resources, map[string]int64) {
	var r pve.Resources
	planned := map[string]int64{}
	sharedA, sharedB := rapid.Bool().Draw(t, "a shared"), rapid.Bool().Draw(t, "b shared")
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		name := "n" + string(rune('0'+i))
		size := rapid.Int64Range(0, 32).Draw(t, name+" memory") * gib
		r.Nodes = append(r.Nodes, pve.Node{
			Name: name, Online: rapid.IntRange(0, 3).Draw(t, name+" online") > 0, MaxMem: size, Mem: rapid.Int64Range(0, 32).Draw(t, name+" used") * gib,
		})
		planned[name] = rapid.Int64Range(0, 8).Draw(t, name+" planned") * gib
		for _, s := range []pve.Storage{{Name: "a", Shared: sharedA}, {Name: "b", Shared: sharedB}} {
			if rapid.IntRange(0, 3).Draw(t, name+" has a storage") > 0 {
				s.Node, s.Active = name, rapid.Bool().Draw(t, name+" active")
				r.Storages = append(r.Storages, s)
			}
		}
	}
	return r, planned
}
