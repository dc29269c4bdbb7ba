package lifecycle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestAStartRestsOnAYoungProof: what the step before has proven a moment ago is not asked again; what was
// proven longer ago is, and a machine that has become somebody else's meanwhile is not started.
func TestAStartRestsOnAYoungProof(t *testing.T) {
	t.Parallel()
	now := time.Now() // stands still, so that a proof does not grow old meanwhile
	w := newWorld(t, rig.Options{Now: func() time.Time { return now }})
	const starts = "POST /status/start"
	for i, tt := range []struct {
		name    string
		proven  time.Duration // ago; 0 means never
		foreign bool
		calls   []string
		looks   bool
	}{
		{"proven a moment ago", time.Second, false, []string{starts}, false},
		{"proven a minute ago", time.Minute, false, []string{starts}, true},
		{"never proven", 0, false, []string{starts}, true},
		{"proven a minute ago and somebody else's now", time.Minute, true, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ref, vmid := fmt.Sprintf("proof-%d", 7300+i), 500+i
			w.place(t, ref, vmid, func(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
				off(vm, spec)
				building(vm)
				if tt.proven != 0 {
					vm.ProvenAt = timestamppb.New(now.Add(-tt.proven))
				}
				if tt.foreign {
					spec.Config["description"] = "shop"
				}
			})
			vm := w.For(t).Await(ref, ended("earlier"))
			if calls := w.changes(vmid); !slices.Equal(calls, tt.calls) {
				t.Errorf("the calls are %q, want %q", calls, tt.calls)
			}
			looked := slices.ContainsFunc(w.Sim.Calls(), func(c pvesim.Call) bool {
				return c.Path == fmt.Sprintf("/nodes/pve1/qemu/%d/config", vmid)
			})
			if looked != tt.looks {
				t.Errorf("the proof was made anew: %t, want %t", looked, tt.looks)
			}
			if parked := vm.GetOperation().GetState() == vmlinev1.Operation_STATE_PARKED; parked != tt.foreign {
				t.Errorf("it ended as %v", vm)
			}
		})
	}
}

// building has a VM be in the middle of its creation, right before its start.
func building(vm *vmlinev1.VM) {
	const set = vmlinev1.Status_STATUS_SET_CLOUDINIT
	now := timestamppb.Now()
	vm.Status, vm.WantedPower = set, running
	vm.Operation.State = vmlinev1.Operation_STATE_RUNNING
	vm.Operation.Route = []vmlinev1.Status{vmlinev1.Status_STATUS_CREATION, set, vmlinev1.Status_STATUS_STARTING, ready}
	vm.Operation.Reached = []*vmlinev1.Reached{{Status: vmlinev1.Status_STATUS_CREATION, At: now}, {Status: set, At: now}}
}
