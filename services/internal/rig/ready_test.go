package rig

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const (
	remoteRunning = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	remoteStopped = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
)

// retrying says that the step fails with a text that contains cause and is tried again.
func retrying(cause string) func(*vmlinev1.VM) bool {
	return func(vm *vmlinev1.VM) bool {
		return vm.GetRetry().GetAttempts() > 0 && strings.Contains(vm.GetProblem().GetCause(), cause)
	}
}

// agentOf is the small package of a template whose readiness the guest agent tells.
func agentOf(template string) *vmlinev1.Package {
	return with(func(p *vmlinev1.Package) { p.Template, p.Readiness = template, vmlinev1.Readiness_READINESS_AGENT })
}

// TestReadyByTheAgent has a row for each thing that keeps a machine from being ready. What somebody mends
// goes on by itself, or with a corrected order.
func TestReadyByTheAgent(t *testing.T) {
	clock := pvesim.NewClock(time.Now())
	cfg := pvesim.Default()
	cfg.Now, cfg.After = clock.Now, clock.After
	cfg.Templates = append(cfg.Templates,
		pvesim.Template{VMID: 9101, Node: "pve1", Name: "late", Storage: "shared1", Guest: pvesim.Guest{AgentAfter: time.Hour}},
		pvesim.Template{VMID: 9102, Node: "pve1", Name: "mute", Storage: "shared1", Config: map[string]string{"agent": ""}})
	r := New(t, Options{Sim: &cfg})
	r.Start(chain.IPAM, Edge{})
	r.Start(chain.Provisioner, Edge{})
	fall := &faller{sim: r.Sim, names: map[string]bool{"falls": true}}
	r.Start(chain.Lifecycle, Edge{Proxmox: fall.over})
	for i, tt := range []struct {
		name string
		pkg  *vmlinev1.Package
		// stuck is how the VM is shown then.
		stuck  func(*vmlinev1.VM) bool
		remote vmlinev1.RemoteStatus
		kept   string
		next   string
		mend   func(r *Rig, vm *vmlinev1.VM)
		starts int
	}{
		{
			name: "the agent answers late", pkg: agentOf("late"),
			stuck: retrying("guest agent is not running"), remote: remoteRunning,
			kept: "Nothing is lost; the step is tried again by itself.", next: "Nothing to do yet.",
			mend: func(*Rig, *vmlinev1.VM) { clock.Advance(time.Hour) }, starts: 1,
		},
		{
			name: "no agent is configured", pkg: agentOf("mute"),
			stuck: func(vm *vmlinev1.VM) bool {
				return Parked(vm) && strings.Contains(vm.GetProblem().GetCause(), "No QEMU guest agent configured")
			},
			remote: remoteRunning, kept: "The machine runs.", next: pve.Refused.Advice(),
			mend: func(r *Rig, vm *vmlinev1.VM) {
				r.Order(vm.GetRef(), with(func(p *vmlinev1.Package) { p.Template = "mute" }))
			},
			starts: 1, // it runs already
		},
		{
			name: "it stops right after its start", pkg: func() *vmlinev1.Package { p := agentOf("tmpl"); p.Name = "falls"; return p }(),
			stuck: retrying("does not run after its start"), remote: remoteStopped,
			kept: "Nothing is lost; the step is tried again by itself.", next: "Nothing to do yet.",
			mend: func(r *Rig, vm *vmlinev1.VM) { r.Sim.SetRunning(int(vm.GetVmid()), true) }, starts: 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			ref := "agent-" + string(rune('a'+i))
			r.Order(ref, tt.pkg)
			vm := r.Await(ref, tt.stuck)
			p := vm.GetProblem()
			if vm.GetStatus() != vmlinev1.Status_STATUS_STARTING || p.GetStep() != readyStatus || vm.GetRemoteStatus() != tt.remote {
				t.Errorf("it is shown as %v on the way to %v, Proxmox: %v", vm.GetStatus(), p.GetStep(), vm.GetRemoteStatus())
			}
			if p.GetKept() != tt.kept || p.GetNext() != tt.next {
				t.Errorf("a person reads %q, %q, %q", p.GetCause(), p.GetKept(), p.GetNext())
			}
			tt.mend(r, vm)
			done := r.Await(ref, Ended(create))
			if done.GetVmid() != vm.GetVmid() || done.GetRemoteStatus() != remoteRunning || done.GetProblem() != nil || done.GetRetry() != nil {
				t.Errorf("it is ready as %v", done)
			}
			if n := r.count(fmt.Sprintf("POST /qemu/%d/status/start", vm.GetVmid())); n != tt.starts {
				t.Errorf("it was started %d times, want %d", n, tt.starts)
			}
			r.CheckLog(ref)
		})
	}
	r.CheckWorld()
}

// faller lets machines of some names stop right after their first start.
type faller struct {
	sim *pvesim.Cluster

	mu    sync.Mutex
	names map[string]bool
}

func (f *faller) over(next http.RoundTripper) http.RoundTripper {
	return tripper(func(req *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(req)
		if err == nil && strings.HasSuffix(req.URL.Path, "/status/start") {
			f.fall()
		}
		return answer, err
	})
}

func (f *faller) fall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, vm := range f.sim.VMs() {
		if f.names[vm.Name] && vm.Status == "running" {
			f.sim.SetRunning(vm.VMID, false)
			delete(f.names, vm.Name)
		}
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestReadyAfterALongPause: between the start and the look at it lifecycle was away for so long that
// Proxmox is asked again, also for a machine without an agent.
func TestReadyAfterALongPause(t *testing.T) {
	r := New(t, Options{})
	past := r.behind(time.Hour)
	r.StartAll()
	for i, tt := range []struct {
		name  string
		while func(r *Rig, vm *vmlinev1.VM)
		// stuck is how the VM is shown when it is not ready at once, and mend what lets it go on.
		stuck  func(*vmlinev1.VM) bool
		remote vmlinev1.RemoteStatus
		mend   func(r *Rig, vm *vmlinev1.VM)
		node   string
		end    vmlinev1.Operation_Kind
	}{
		{name: "it runs", while: func(*Rig, *vmlinev1.VM) {}, end: create},
		{name: "it has moved", while: func(r *Rig, vm *vmlinev1.VM) { must(r.t, r.Sim.Move(int(vm.GetVmid()), "pve3")) }, node: "pve3", end: create},
		{
			name: "it has stopped", while: func(r *Rig, vm *vmlinev1.VM) { r.Sim.SetRunning(int(vm.GetVmid()), false) },
			stuck: retrying("does not run after its start"), remote: remoteStopped,
			mend: func(r *Rig, vm *vmlinev1.VM) { r.Sim.SetRunning(int(vm.GetVmid()), true) }, end: create,
		},
		{
			name: "it is gone", while: func(r *Rig, vm *vmlinev1.VM) { r.Sim.Remove(int(vm.GetVmid())) },
			stuck: func(vm *vmlinev1.VM) bool {
				return Parked(vm) && vm.GetProblem().GetCause() == "the VM does not exist on Proxmox" && vm.GetProblem().GetKept() == "The machine is left as it is."
			}, remote: remoteRunning,
			mend: func(r *Rig, vm *vmlinev1.VM) { r.Order(vm.GetRef(), Small("web")) }, end: create,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			ref := "pause-" + string(rune('a'+i))
			r.Order(ref, Small("web"))
			r.Await(ref, Ended(create))
			last, err := r.Bus.Last(t.Context(), ref)
			must(t, err)
			vm := last.VM
			tt.while(r, vm)
			vm.Status, vm.Event = vmlinev1.Status_STATUS_STARTING, vmlinev1.Event_EVENT_REACHED
			op := vm.GetOperation()
			op.State, op.FinishedAt, op.Reached = running, nil, op.GetReached()[:len(op.GetReached())-1]
			r.Sim.ResetCalls()
			_, err = past.Append(t.Context(), vm, last.Seq)
			must(t, err)
			if tt.stuck != nil {
				stuck := r.Await(ref, tt.stuck)
				if stuck.GetRemoteStatus() != tt.remote {
					t.Errorf("Proxmox is shown as %v", stuck.GetRemoteStatus())
				}
				tt.mend(r, stuck)
			}
			done := r.Await(ref, Ended(tt.end))
			if tt.node != "" && done.GetNode() != tt.node {
				t.Errorf("it is on %s, shown on %s", tt.node, done.GetNode())
			}
			if n := r.count("GET /status/current"); n == 0 {
				t.Error("Proxmox was not asked")
			}
			r.CheckWorld()
		})
	}
}

// behind is a connection of the test's own whose clock is late by so much.
func (r *Rig) behind(late time.Duration) *bus.Bus {
	r.t.Helper()
	nc, err := bus.Dial(bus.Server{URL: r.URL(), Name: "behind"}, quiet)
	must(r.t, err)
	r.t.Cleanup(nc.Close)
	b, err := bus.New(nc, bus.Options{Logger: quiet, Now: func() time.Time { return time.Now().Add(-late) }})
	must(r.t, err)
	return b
}
