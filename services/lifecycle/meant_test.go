package lifecycle_test

import (
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestACommandThatWasOvertaken: whoever sent it saw an older operation. A suspension is meant whatever came
// between, a reset is not, and neither reaches a VM that the sender never saw.
func TestACommandThatWasOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rig.Options{})
	for i, tt := range []struct {
		name  string
		kind  vmlinev1.Operation_Kind
		after string
		uid   string // of the VM as it is now; empty is the one that the sender saw
		taken bool
	}{
		{name: "suspend after a stop came first", kind: vmlinev1.Operation_KIND_SUSPEND, after: "earlier", taken: true},
		{name: "suspend of a later VM", kind: vmlinev1.Operation_KIND_SUSPEND, after: "earlier", uid: "later"},
		{name: "terminate of a later VM", kind: vmlinev1.Operation_KIND_TERMINATE, after: "earlier", uid: "later"},
		{name: "suspend after what never was", kind: vmlinev1.Operation_KIND_SUSPEND, after: "never"},
		{name: "reset after a stop came first", kind: vmlinev1.Operation_KIND_RESET, after: "earlier"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref := string(rune('a'+i)) + "-7601"
			w.place(t, ref, 600+i, nil)
			stop := w.Send(ref, vmlinev1.Operation_KIND_STOP, nil)
			last := w.Await(ref, ended(stop))
			if tt.uid != "" {
				entry, err := w.Bus.Last(t.Context(), ref)
				must(t, err)
				last.Uid = tt.uid
				_, err = w.Bus.Append(t.Context(), last, entry.Seq)
				must(t, err)
			}
			cmd, err := rig.Command(ref, tt.kind, nil, tt.after)
			must(t, err)
			must(t, w.Bus.SendCommand(t.Context(), cmd))
			if tt.taken {
				w.Await(ref, ended(cmd.GetId()))
				return
			}
			refusal := w.AwaitRefusal(cmd.GetId())
			if refusal.GetProblem().GetCause() != "another command came first: operation "+stop+" (stop)" {
				t.Errorf("it is refused because %q", refusal.GetProblem().GetCause())
			}
		})
	}
}
