package ipam

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestAddressesClaimedBesideATermination: a worker of set_ip comes late. What it claims for a VM that goes
// away is given back; what the machine may still use stays held until the end of the termination.
func TestAddressesClaimedBesideATermination(t *testing.T) {
	type op = vmlinev1.Operation
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
		{name: "a change", op: &op{Kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE}, uid: "uid-vm", kept: 3},
		{name: "a cancel of a change", op: &op{Kind: vmlinev1.Operation_KIND_CANCEL, Goal: vmlinev1.Operation_KIND_CHANGE_PACKAGE}, uid: "uid-vm", kept: 3},
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
