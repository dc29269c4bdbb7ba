package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestReadyWhenCloudInitHasEnded has a row for each thing that cloud-init, or the agent that is asked for
// it, may say.
func TestReadyWhenCloudInitHasEnded(t *testing.T) {
	t.Parallel()
	clock := pvesim.NewClock(time.Now())
	cfg := pvesim.Default()
	cfg.Now, cfg.After = clock.Now, clock.After
	w := newWorld(t, rig.Options{Sim: &cfg})
	later := func(*world, int) { clock.Advance(time.Hour) }
	for i, tt := range []struct {
		name  string
		guest pvesim.Guest
		agent string
		// waits is what is shown while it waits, asks what a person is asked.
		waits, asks string
		// then lets it go on.
		then func(w *world, vmid int)
	}{
		{name: "it has ended", agent: "1"},
		{name: "it has not ended yet", agent: "1", guest: pvesim.Guest{CloudInitAfter: time.Hour}, waits: "cloud-init has not ended yet: running", then: later},
		{name: "the agent does not answer yet", agent: "1", guest: pvesim.Guest{AgentAfter: time.Hour}, waits: "guest agent is not running", then: later},
		{name: "it has failed", agent: "1", guest: pvesim.Guest{CloudInit: "error"}, asks: `cloud-init says "status: error" in the guest (exit code 1)`},
		{name: "it is switched off", agent: "1", guest: pvesim.Guest{CloudInit: "disabled"}, asks: `cloud-init says "status: disabled" in the guest (exit code 0)`},
		{name: "there is no agent", agent: "0", asks: "No QEMU guest agent configured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("ready-%d", 7100+i), 400+i
			w.place(t, ref, vmid, func(vm *vmlinev1.VM, spec *pvesim.VMSpec) {
				off(vm, spec)
				spec.Guest, spec.Config["agent"] = tt.guest, tt.agent
				vm.Package.Readiness = vmlinev1.Readiness_READINESS_CLOUD_INIT_DONE
			})
			id := w.Send(ref, vmlinev1.Operation_KIND_START, nil)
			if tt.waits != "" {
				vm := w.Await(ref, waits(tt.waits))
				if vm.GetStatus() != vmlinev1.Status_STATUS_STARTING || vm.GetRemoteStatus() != running || vm.GetProblem().GetSince() == nil {
					t.Errorf("it waits as %v", vm)
				}
				tt.then(w, vmid)
			}
			vm := w.Await(ref, ended(id))
			if tt.asks != "" {
				p := vm.GetProblem()
				if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_PARKED || !strings.Contains(p.GetCause(), tt.asks) || p.GetKept() != "The machine runs." || p.GetNext() == "" {
					t.Errorf("a person reads %v", p)
				}
				return
			}
			if vm.GetOperation().GetState() != vmlinev1.Operation_STATE_SUCCEEDED || vm.GetStatus() != ready {
				t.Errorf("it ended as %v", vm)
			}
			w.CheckLog(ref)
		})
	}
}
