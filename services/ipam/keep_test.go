package ipam

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAddressesClaimedTooLate: a worker of set_ip comes late. What it claims is given back, unless a step to
// set_ip is ahead that takes it up; what the machine may still use stays held.
func TestAddressesClaimedTooLate(t *testing.T) {
	type op = vmlinev1.Operation
	route := []vmlinev1.Status{vmlinev1.Status_STATUS_PLANNED, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_READY}
	change := func(kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, reached int) *op {
		o := &op{Kind: kind, Goal: vmlinev1.Operation_KIND_CHANGE_PACKAGE, State: state, Route: route}
		for _, s := range route[:reached] {
			o.Reached = append(o.Reached, &vmlinev1.Reached{Status: s})
		}
		return o
	}
	const running, parked, refused = vmlinev1.Operation_STATE_RUNNING, vmlinev1.Operation_STATE_PARKED, vmlinev1.Operation_STATE_REFUSED
	for _, tt := range []struct {
		name string
		op   *op
		// uid of the VM that the log has now.
		uid string
		// kept is how many of two addresses that the machine has, and of one that is claimed late, stay.
		kept int
		late bool
	}{
		{name: "terminate", op: &op{Kind: vmlinev1.Operation_KIND_TERMINATE}, uid: "uid-vm", kept: 2, late: true},
		{name: "a retry of it", op: &op{Kind: vmlinev1.Operation_KIND_RETRY, Goal: vmlinev1.Operation_KIND_TERMINATE}, uid: "uid-vm", kept: 2, late: true},
		{name: "a cancel of the order", op: &op{Kind: vmlinev1.Operation_KIND_CANCEL, Goal: vmlinev1.Operation_KIND_TERMINATE}, uid: "uid-vm", kept: 2, late: true},
		{name: "the next VM of the ref", op: &op{Kind: vmlinev1.Operation_KIND_CREATE}, uid: "next", kept: 0, late: true},
		{name: "a change", op: change(vmlinev1.Operation_KIND_CHANGE_PACKAGE, running, 1), uid: "uid-vm", kept: 3},
		{name: "a parked change", op: change(vmlinev1.Operation_KIND_CHANGE_PACKAGE, parked, 1), uid: "uid-vm", kept: 3},
		{name: "a cancel of a change", op: change(vmlinev1.Operation_KIND_CANCEL, running, 1), uid: "uid-vm", kept: 3},
		{name: "a change that has its addresses", op: change(vmlinev1.Operation_KIND_CHANGE_PACKAGE, running, 2), uid: "uid-vm", kept: 2, late: true},
		{name: "a cancel that has ended", op: change(vmlinev1.Operation_KIND_CANCEL, vmlinev1.Operation_STATE_SUCCEEDED, 3), uid: "uid-vm", kept: 2, late: true},
		{name: "a change that was refused", op: change(vmlinev1.Operation_KIND_CHANGE_PACKAGE, refused, 1), uid: "uid-vm", kept: 2, late: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, startMiniredis(t))
			s := w.instance(t, nil)
			vm := s.mustGive(t, order("vm", 2, 0))
			newest := proto.CloneOf(vm)
			newest.Uid, newest.Operation = tt.uid, tt.op
			if _, err := s.bus.Append(t.Context(), newest, 0); err != nil {
				t.Fatal(err)
			}
			_, err := s.give(t.Context(), changing(vm, count(3)))
			if errors.Is(err, bus.ErrSuperseded) != tt.late {
				t.Errorf("got %v", err)
			}
			held := s.heldBy(t, ownerOf(vm))
			if len(held) != tt.kept || tt.kept > 0 && !slices.Equal(held[:2], keysOf(vm)) {
				t.Errorf("holds %v, the machine has %v", held, addresses(vm))
			}
			s.verify(t)
		})
	}
}
