package provisioner

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestWayTo: a machine moves live if it runs, with its local disks where there is room for them, and an
// impossible move is refused in words.
func TestWayTo(t *testing.T) {
	images := []string{"images"}
	all := pve.Resources{
		Nodes: []pve.Node{{Name: "pve1", Online: true}, {Name: "pve2", Online: true}, {Name: "pve3"}, {Name: "pve4", Online: true}},
		Storages: []pve.Storage{
			{Name: "ceph", Node: "pve1", Shared: true, Content: images}, {Name: "ceph", Node: "pve2", Shared: true, Content: images},
			{Name: "local", Node: "pve1", Content: images}, {Name: "local", Node: "pve2", Content: images, Avail: 1},
			{Name: "fast", Node: "pve1", Content: images}, {Name: "slow", Node: "pve2", Content: images, Avail: 9},
			{Name: "iso", Node: "pve4", Content: []string{"iso"}, Avail: 99},
		},
	}
	for _, tt := range []struct {
		name  string
		to    string
		runs  bool
		disks map[string]string
		pkg   *vmlinev1.Package
		want  pve.MigrateOptions
		no    string
	}{
		{name: "shared", to: "pve2", disks: map[string]string{"scsi0": "ceph:vm-1-disk-0"}},
		{name: "shared and running", to: "pve2", runs: true, disks: map[string]string{"scsi0": "ceph:vm-1-disk-0"}, want: pve.MigrateOptions{Online: true}},
		{name: "local", to: "pve2", disks: map[string]string{"scsi0": "local:vm-1-disk-0"}},
		{name: "local and running", to: "pve2", runs: true, disks: map[string]string{"scsi0": "local:vm-1-disk-0"}, want: pve.MigrateOptions{Online: true, WithLocalDisks: true}},
		{name: "a storage that is not there", to: "pve2", runs: true, disks: map[string]string{"scsi0": "local:vm-1-disk-0", "scsi1": "fast:vm-1-disk-1"}, want: pve.MigrateOptions{Online: true, WithLocalDisks: true, TargetStorage: "fast:slow"}},
		{name: "a copied image on shared storage", to: "pve2", disks: map[string]string{"scsi0": "ceph:base-9-disk-0/vm-1-disk-0"}},
		{name: "a linked clone on local storage", to: "pve2", disks: map[string]string{"scsi0": "local:9/base-9-disk-0.raw/1/vm-1-disk-0.qcow2"}, no: "linked clone"},
		{name: "no room for disks", to: "pve4", disks: map[string]string{"scsi0": "local:vm-1-disk-0"}, no: "no storage"},
		{name: "no such node", to: "pve9", no: "no node"},
		{name: "a node that is down", to: "pve3", no: "not online"},
		{name: "tied to another node", to: "pve2", pkg: &vmlinev1.Package{Node: "pve1"}, no: "ties"},
		{name: "tied to this node", to: "pve2", pkg: &vmlinev1.Package{Node: "pve2"}},
		{name: "not one of its nodes", to: "pve2", pkg: &vmlinev1.Package{Nodes: []string{"pve1", "pve4"}}, no: "pve1, pve4"},
		{name: "one of its nodes", to: "pve2", pkg: &vmlinev1.Package{Nodes: []string{"pve1", "pve2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			vm := &vmlinev1.VM{Node: "pve1", Package: tt.pkg, Operation: &vmlinev1.Operation{
				Kind: vmlinev1.Operation_KIND_MIGRATE, Params: &vmlinev1.Params{Node: tt.to},
			}}
			got, err := wayTo(all, vm, pve.VMConfig{Values: tt.disks}, tt.runs)
			var refused *bus.Refused
			if tt.no != "" {
				if !errors.As(err, &refused) || refused.Next == "" || !strings.Contains(refused.Cause, tt.no) {
					t.Errorf("got %v, want a refusal with %q", err, tt.no)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v with %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// TestRounds: every machine has its turn, also while others come and go.
func TestRounds(t *testing.T) {
	var r rounds
	var got []string
	for _, all := range [][]string{{"a", "b", "c"}, {"a", "b", "c"}, {"b", "c", "d"}, {"d"}, nil, {"a", "z"}} {
		got = append(got, strings.Join(r.take(all, 2), ""))
	}
	if want := "ab,ca,bc,d,,za"; strings.Join(got, ",") != want {
		t.Errorf("the rounds are %q, want %q", strings.Join(got, ","), want)
	}
}
