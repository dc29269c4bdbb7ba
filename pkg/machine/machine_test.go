package machine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestProve(t *testing.T) {
	known, unknown, carded := ours(), ours(), ours()
	carded.Mac = "BC:24:11:00:00:01"
	unknown.Vmgenid = ""
	mark := Mark(known)
	for _, tt := range []struct {
		name        string
		vm          *vmlinev1.VM
		description string
		tags        string
		genid       string
		lock        string
		card        string
		// want is part of why it is not ours; empty for ours.
		want string
		made bool
	}{
		{name: "all marks", vm: known, description: mark, tags: "vmline", genid: genID},
		{name: "mark among a person's notes", vm: known, description: "keep!\n  " + mark + " \nasked by Ann", tags: "web;vmline", genid: genID},
		{name: "only the mark before the first look", vm: unknown, description: mark},
		{name: "another generation before the first look", vm: unknown, description: mark, genid: "other"},
		{name: "no mark", vm: known, tags: "vmline", genid: genID, want: "description"},
		{name: "no mark before the first look", vm: unknown, tags: "vmline", want: "description"},
		{name: "a mark that goes on", vm: known, description: mark + "x", tags: "vmline", genid: genID, want: "description"},
		{name: "the same ref of an earlier VM", vm: known, description: "vmline ref=w1-7 uid=u0", tags: "vmline", genid: genID, want: "description"},
		{name: "another ref", vm: known, description: "vmline ref=w1-70 uid=u1", tags: "vmline", genid: genID, want: "description"},
		{name: "a copy of it", vm: known, description: mark, tags: "vmline", genid: "other", want: "vmgenid"},
		{name: "rolled back, or restored from a backup", vm: carded, description: mark, tags: "vmline", genid: "other", card: "virtio=bc:24:11:00:00:01,bridge=vmbr9"},
		{name: "a copy under its VMID", vm: carded, description: mark, tags: "vmline", genid: "other", card: "virtio=BC:24:11:00:00:02,bridge=vmbr0", want: "vmgenid"},
		{name: "a copy without a card", vm: carded, description: mark, tags: "vmline", genid: "other", want: "vmgenid"},
		{name: "a card that is not known yet", vm: known, description: mark, tags: "vmline", genid: "other", card: "virtio=BC:24:11:00:00:01", want: "vmgenid"},
		{name: "rolled back without the tag", vm: carded, description: mark, genid: "other", card: "virtio=BC:24:11:00:00:01", want: "tag"},
		{name: "no generation id", vm: known, description: mark, tags: "vmline", want: "vmgenid"},
		{name: "tag taken away", vm: known, description: mark, genid: genID, want: "tag"},
		{name: "a longer tag", vm: known, description: mark, tags: "vmline2", genid: genID, want: "tag"},
		{name: "a clone that begins", vm: unknown, description: " qmclone temporary file", lock: "clone", made: true},
		{name: "that text without the lock", vm: unknown, description: " qmclone temporary file", want: "description"},
		{name: "somebody else's clone", vm: unknown, description: "vmline ref=w1-8 uid=u2", lock: "clone", want: "description"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := pve.VMConfig{Lock: tt.lock, Values: map[string]string{"name": "web", "description": tt.description, "tags": tt.tags, "vmgenid": tt.genid, "net0": tt.card}}
			err := Prove(tt.vm, "pve2", cfg)
			var foreign *NotOurs
			switch {
			case tt.made:
				if !errors.Is(err, ErrBeingMade) {
					t.Fatalf("got %v, want %v", err, ErrBeingMade)
				}
			case tt.want == "":
				if err != nil {
					t.Fatal(err)
				}
			case !errors.As(err, &foreign) || !strings.Contains(foreign.Why, tt.want):
				t.Fatalf("got %v, want that it is not ours because of its %s", err, tt.want)
			case foreign.VMID != 101 || foreign.Node != "pve2" || foreign.Name != "web":
				t.Fatalf("the error names %d (%s) on %s", foreign.VMID, foreign.Name, foreign.Node)
			}
		})
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stage func(*testing.T, *pvesim.Cluster)
		node  string
		want  func(error) bool
	}{
		{"where it was", func(t *testing.T, sim *pvesim.Cluster) { add(t, sim, "pve1", nil) }, "pve1", nil},
		{"moved", func(t *testing.T, sim *pvesim.Cluster) { add(t, sim, "pve3", nil) }, "pve3", nil},
		{"moved, and its old node is down", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve3", nil)
			sim.SetNodeOnline("pve1", false)
		}, "pve3", nil},
		{"foreign", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve1", map[string]string{"description": "a person's"})
		}, "", isForeign},
		{"foreign on another node", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve2", map[string]string{"description": "a person's"})
		}, "", isForeign},
		{"absent", func(*testing.T, *pvesim.Cluster) {}, "", isAbsent},
		{"its node is down", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve1", nil)
			sim.SetNodeOnline("pve1", false)
		}, "", isUnseen},
		{"the API is down", func(_ *testing.T, sim *pvesim.Cluster) { sim.SetDown(true) }, "", isUnseen},
		{"no right to look", func(_ *testing.T, sim *pvesim.Cluster) {
			sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/nodes/*/qemu/*/config", Code: 403, Text: "Permission check failed (/vms/101, VM.Audit)"})
		}, "", isUnseen},
		{"gone, but the question whether the VMID is free fails", func(_ *testing.T, sim *pvesim.Cluster) {
			sim.AddFault(pvesim.Fault{Kind: pvesim.DropBefore, Path: "/cluster/nextid"})
		}, "", isUnseen},
		{"moved, and the list cannot be read", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve2", nil)
			sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/cluster/resources", Code: 500, Text: "no quorum"})
		}, "", isUnseen},
		{"moved while it was looked for", func(t *testing.T, sim *pvesim.Cluster) {
			add(t, sim, "pve1", nil)
			// The node says that it is not there, the cluster that it is there.
			sim.AddFault(pvesim.Fault{Kind: pvesim.Refuse, Path: "/nodes/*/qemu/*/config", Times: 1, Text: "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist"})
		}, "", isUnseen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim, c := world(t)
			tt.stage(t, sim)
			found, err := Find(t.Context(), c, ours())
			if tt.want == nil {
				if err != nil || found.Node != tt.node || found.Config.Name() != "web" {
					t.Fatalf("found it on %q with %v, want it on %s", found.Node, err, tt.node)
				}
				return
			}
			if !tt.want(err) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestProven(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }
	for _, tt := range []struct {
		name string
		vm   *vmlinev1.VM
		want bool
	}{
		{"never", &vmlinev1.VM{}, false},
		{"a moment ago", &vmlinev1.VM{ProvenAt: ago(ProofAge)}, true},
		{"too long ago", &vmlinev1.VM{ProvenAt: ago(ProofAge + 1)}, false},
		{"by a clock that is a little ahead", &vmlinev1.VM{ProvenAt: ago(-time.Second)}, true},
		{"by a clock that is wrong", &vmlinev1.VM{ProvenAt: ago(-time.Hour)}, false},
		{"before something failed", &vmlinev1.VM{ProvenAt: ago(0), Retry: &vmlinev1.Retry{Attempts: 1}}, false},
	} {
		if got := Proven(tt.vm, now); got != tt.want {
			t.Errorf("proven %s: %t", tt.name, got)
		}
	}
}

func isForeign(err error) bool {
	var foreign *NotOurs
	return errors.As(err, &foreign)
}

func isAbsent(err error) bool { return errors.Is(err, ErrAbsent) }

// isUnseen says that an error proves nothing about the VM.
func isUnseen(err error) bool {
	return err != nil && !isAbsent(err) && !isForeign(err) && !errors.Is(err, ErrBeingMade)
}

// TestCannotSeeIsNotGone answers each of Find's calls with each thing that is no answer.
func TestCannotSeeIsNotGone(t *testing.T) {
	paths := []string{"/nodes/*/qemu/*/config", "/cluster/nextid", "/cluster/resources", ""}
	for _, path := range paths {
		for _, fault := range []pvesim.Fault{
			{Kind: pvesim.DropBefore}, {Kind: pvesim.NodeDown, Text: "No route to host"},
			{Kind: pvesim.Refuse, Code: 596, Text: "Connection timed out"}, {Kind: pvesim.Refuse, Code: 404, Text: "Not Found"},
			{Kind: pvesim.Refuse, Code: 403, Text: "Permission check failed"}, {Kind: pvesim.Refuse, Code: 401, Text: "No ticket"},
			{Kind: pvesim.Refuse, Code: 500, Text: "no such file or directory"},
			{Kind: pvesim.Refuse, Code: 500, Text: "hostname lookup 'pve1' failed - Name or service not known"},
			{Kind: pvesim.Refuse, Code: 503, Text: "Service Unavailable"},
		} {
			fault.Path = path
			for _, there := range []bool{true, false} {
				sim, c := world(t)
				if there {
					add(t, sim, "pve2", nil)
				}
				sim.AddFault(fault)
				found, err := Find(t.Context(), c, ours())
				switch {
				case there && isAbsent(err):
					t.Errorf("%q answers %d %s: the VM on pve2 is taken for absent", path, fault.Code, fault.Text)
				case !there && err == nil:
					t.Errorf("%q answers %d %s: found on %s what is not there", path, fault.Code, fault.Text, found.Node)
				}
			}
		}
	}
}

func TestFindEndsWithItsContext(t *testing.T) {
	_, c := world(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Find(ctx, c, ours()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}
