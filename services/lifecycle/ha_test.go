package lifecycle_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// TestPowerUnderHighAvailability: the task of an order ends at once, and what it asks for comes later. A
// command waits for that, orders it once, and ends when it is so.
func TestPowerUnderHighAvailability(t *testing.T) {
	t.Parallel()
	cfg := pvesim.Default()
	cfg.Durations = pvesim.Durations{Start: 200 * time.Millisecond, Stop: 200 * time.Millisecond}
	w := newWorld(t, rig.Options{Sim: &cfg})
	const (
		starts = "POST /status/start"
		cuts   = "POST /status/stop overrule-shutdown=1"
		asked  = "POST /status/shutdown forceStop=1 timeout=60"
	)
	for i, tt := range []struct {
		name  string
		kind  vmlinev1.Operation_Kind
		stage func(*vmlinev1.VM, *pvesim.VMSpec)
		calls []string
		power string
		says  string
	}{
		{name: "start", kind: vmlinev1.Operation_KIND_START, stage: off, calls: []string{starts}, power: "running"},
		{name: "stop", kind: vmlinev1.Operation_KIND_STOP, calls: []string{cuts}, power: "stopped"},
		{name: "shutdown", kind: vmlinev1.Operation_KIND_SHUTDOWN, calls: []string{asked}, power: "stopped"},
		{name: "suspend", kind: vmlinev1.Operation_KIND_SUSPEND, calls: []string{asked}, power: "stopped"},
		{name: "unsuspend", kind: vmlinev1.Operation_KIND_UNSUSPEND, stage: suspend, calls: []string{starts}, power: "running"},
		{name: "remove", kind: remove, stage: off, calls: []string{"DELETE destroy-unreferenced-disks=0 purge=0"}, power: "stopped", says: "used in HA resources and purge parameter not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.For(t)}
			ref, vmid := fmt.Sprintf("ha-%d", 7800+i), 900+i
			w.place(t, ref, vmid, tt.stage)
			state := map[bool]string{true: "stopped", false: "started"}[tt.stage != nil]
			w.order(t, http.MethodPost, "/cluster/ha/resources", url.Values{"sid": {fmt.Sprintf("vm:%d", vmid)}, "state": {state}})
			w.Sim.ResetCalls()
			id := w.Send(ref, tt.kind, nil)
			vm := w.Await(ref, ended(id))
			if got := w.changes(vmid); !slices.Equal(got, tt.calls) {
				t.Errorf("calls %q, want %q", got, tt.calls)
			}
			if now, _ := w.Sim.VM(vmid); now.Status != tt.power {
				t.Errorf("the machine is %s", now.Status)
			}
			if cause := vm.GetProblem().GetCause(); (tt.says == "") != (cause == "") || !strings.Contains(cause, tt.says) {
				t.Errorf("a person reads %q", cause)
			}
			want := map[string]vmlinev1.RemoteStatus{"running": running, "stopped": stopped}[tt.power]
			if vm.GetRemoteStatus() != want {
				t.Errorf("it is shown %s", vm.GetRemoteStatus())
			}
		})
	}
}
