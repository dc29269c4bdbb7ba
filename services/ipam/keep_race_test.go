package ipam

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestATerminationBesideALateClaim lets the steps to set_ip and to terminated overtake each other in every
// way with three switches: set_ip stops before its call i, terminated comes to its own call j, set_ip
// goes on to its call k, terminated comes to its end, and then set_ip. Nothing stays held.
func TestATerminationBesideALateClaim(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	late, last := &fate{}, &fate{}
	giver, ender := w.instance(t, late), w.instance(t, last)
	observer := w.instance(t, nil)
	scenes := 0
	for i := 1; ; i++ {
		var more bool
		for j := 1; ; j++ {
			var further bool
			for k := i + 1; ; k++ {
				r := race{giver, ender, observer, late, last}
				r.run(t, fmt.Sprintf("vm-%d-%d-%d", i, j, k), i, j, k)
				scenes++
				if held := observer.heldBy(t, ""); len(held) != 0 {
					t.Fatalf("set_ip stopped before call %d, terminated before its %d, set_ip before its %d (%v, %v): %v is held", i, j, k, late.names, last.names, held)
				}
				observer.verify(t)
				more, further = len(late.names) >= i, len(last.names) >= j
				if len(late.names) < k {
					break
				}
			}
			if !further {
				break
			}
		}
		if !more {
			break
		}
	}
	if scenes < 100 {
		t.Errorf("only %d scenes were played", scenes)
	}
}

// race is one scene of it.
type race struct {
	giver, ender, observer *service
	late, last             *fate
}

func (r race) run(t *testing.T, ref string, i, j, k int) {
	t.Helper()
	vm := order(ref, 2, 0)
	newest := proto.CloneOf(vm)
	newest.Status = vmlinev1.Status_STATUS_VMID_RELEASED
	newest.Operation = &vmlinev1.Operation{Kind: vmlinev1.Operation_KIND_TERMINATE, State: vmlinev1.Operation_STATE_RUNNING}
	if _, err := r.observer.bus.Append(t.Context(), newest, 0); err != nil {
		t.Fatal(err)
	}
	var (
		stopped = make(chan struct{}) // terminated stands before its call j, or has ended
		goOn    = make(chan struct{}) // it may go on
		ended   = make(chan error, 1)
		stood   bool
	)
	r.last.rise(j, false)
	r.last.strike = func() error { stood = true; close(stopped); <-goOn; return nil }
	begin := func() error {
		go func() {
			err := r.ender.end(t.Context(), newest)
			if !stood {
				close(stopped)
			}
			ended <- err
		}()
		<-stopped
		r.late.mu.Lock()
		r.late.at = k
		r.late.mu.Unlock()
		r.late.strike = func() error { close(goOn); ended <- <-ended; return nil }
		return nil
	}
	r.late.rise(i, false)
	r.late.strike = begin
	_, err := r.giver.give(t.Context(), vm)
	if err != nil && !errors.Is(err, bus.ErrSuperseded) {
		t.Errorf("set_ip: %v", err)
	}
	if len(r.late.names) < i {
		_ = begin()
	}
	if len(r.late.names) < k {
		close(goOn)
	}
	if err := <-ended; err != nil {
		t.Errorf("terminated: %v", err)
	}
}
