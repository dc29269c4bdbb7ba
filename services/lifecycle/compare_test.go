package lifecycle

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var (
	early = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	later = early.Add(time.Minute)
)

// resting is a machine that is as its state says: ready and running on pve1.
func resting(change func(*vmlinev1.VM)) *vmlinev1.VM {
	vm := &vmlinev1.VM{
		Ref: "w1-7", Vmid: 101, Node: "pve1", Status: vmlinev1.Status_STATUS_READY, RemoteStatus: running, WantedPower: running,
		Operation: &vmlinev1.Operation{State: vmlinev1.Operation_STATE_SUCCEEDED},
	}
	if change != nil {
		change(vm)
	}
	return vm
}

// line is what the list says of that machine.
func line(change func(*pve.VM)) *pve.VM {
	seen := &pve.VM{VMID: 101, Node: "pve1", Status: "running", Tags: []string{"vmline"}}
	if change != nil {
		change(seen)
	}
	return seen
}

func drifting(kinds ...vmlinev1.Drift_Kind) func(*vmlinev1.VM) {
	return func(vm *vmlinev1.VM) {
		for _, kind := range kinds {
			vm.Drift = append(vm.Drift, &vmlinev1.Drift{Kind: kind, Detail: "as before", Since: timestamppb.New(early)})
		}
	}
}

const (
	driftMissing  = vmlinev1.Drift_KIND_MISSING
	driftForeign  = vmlinev1.Drift_KIND_FOREIGN
	driftPower    = vmlinev1.Drift_KIND_POWER
	driftHardware = vmlinev1.Drift_KIND_HARDWARE
)

func TestJudge(t *testing.T) {
	removed := func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_REMOVED }
	for _, tt := range []struct {
		name string
		vm   func(*vmlinev1.VM)
		seen *pve.VM
		want finding
	}{
		{"as it should be", nil, line(nil), ours},
		{"locked", nil, line(func(v *pve.VM) { v.Lock = "backup" }), ours},
		{"stopped", nil, line(func(v *pve.VM) { v.Status = "stopped" }), perhapsForeign},
		{"stopped, as known", func(vm *vmlinev1.VM) { vm.RemoteStatus = stopped }, line(func(v *pve.VM) { v.Status = "stopped" }), ours},
		{"found again", drifting(driftMissing), line(nil), ours},
		{"not in the list", nil, nil, perhapsMissing},
		{"not in the list, confirmed before", drifting(driftMissing), nil, missing},
		{"not in the list, foreign before", drifting(driftForeign), nil, perhapsMissing},
		{"its node is down", nil, line(func(v *pve.VM) { v.Status = "unknown" }), unclear},
		{"status unknown on another node without a tag", nil, line(func(v *pve.VM) { v.Status, v.Node, v.Tags = "unknown", "pve2", nil }), unclear},
		{"no tag", nil, line(func(v *pve.VM) { v.Tags = nil }), perhapsForeign},
		{"a longer tag", nil, line(func(v *pve.VM) { v.Tags = []string{"vmline2"} }), perhapsForeign},
		{"a template", nil, line(func(v *pve.VM) { v.Template = true }), perhapsForeign},
		{"moved", nil, line(func(v *pve.VM) { v.Node = "pve2" }), perhapsForeign},
		{"still foreign", drifting(driftForeign), line(func(v *pve.VM) { v.Tags = nil }), foreign},
		{"foreign before, tagged now", drifting(driftForeign), line(nil), perhapsForeign},
		{"removed", removed, nil, absent},
		{"removed, and something stands there", removed, line(nil), foreign},
		{"removed, and something new stands there", removed, line(func(v *pve.VM) { v.Status = "unknown" }), unclear},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := judge(resting(tt.vm), tt.seen); got != tt.want {
				t.Errorf("judged as %d, want %d", got, tt.want)
			}
		})
	}
}

func TestObserved(t *testing.T) {
	suspended := func(vm *vmlinev1.VM) { vm.Status, vm.RemoteStatus = vmlinev1.Status_STATUS_SUSPENDED, stopped }
	off := line(func(v *pve.VM) { v.Status = "stopped" })
	for _, tt := range []struct {
		name string
		vm   func(*vmlinev1.VM)
		seen *pve.VM
		what finding
		// node, power, lock and drift are what is known then.
		node  string
		power vmlinev1.RemoteStatus
		lock  string
		drift []vmlinev1.Drift_Kind
		// news is whether it is written down, revived whether the machine is stopped again.
		news, revived bool
	}{
		{name: "nothing new", seen: line(nil), what: ours, node: "pve1", power: running},
		{name: "locked", seen: line(func(v *pve.VM) { v.Lock = "backup" }), what: ours, node: "pve1", power: running, lock: "backup", news: true},
		{name: "moved by high availability", seen: line(func(v *pve.VM) { v.Node = "pve3" }), what: ours, node: "pve3", power: running, news: true},
		{name: "shut down by its customer", seen: off, what: ours, node: "pve1", power: stopped, drift: []vmlinev1.Drift_Kind{driftPower}, news: true},
		{name: "still shut down", vm: func(vm *vmlinev1.VM) {
			vm.RemoteStatus = stopped
			vm.Drift = []*vmlinev1.Drift{{Kind: driftPower, Detail: powerDetail[stopped], Since: timestamppb.New(early)}}
		}, seen: off, what: ours, node: "pve1", power: stopped, drift: []vmlinev1.Drift_Kind{driftPower}},
		{name: "stopped as ordered", vm: func(vm *vmlinev1.VM) { vm.WantedPower = stopped }, seen: off, what: ours, node: "pve1", power: stopped, news: true},
		{name: "runs although stopped", vm: func(vm *vmlinev1.VM) { vm.WantedPower, vm.RemoteStatus = stopped, stopped }, seen: line(nil), what: ours, node: "pve1", power: running, drift: []vmlinev1.Drift_Kind{driftPower}, news: true},
		{name: "nobody said what it should do", vm: func(vm *vmlinev1.VM) { vm.WantedPower = 0 }, seen: off, what: ours, node: "pve1", power: stopped, news: true},
		{name: "suspended", vm: suspended, seen: off, what: ours, node: "pve1", power: stopped},
		{name: "suspended and started", vm: suspended, seen: line(nil), what: ours, node: "pve1", power: running, drift: []vmlinev1.Drift_Kind{driftPower}, news: true, revived: true},
		{name: "suspended and started, a person is asked", vm: func(vm *vmlinev1.VM) {
			suspended(vm)
			vm.Operation.State = vmlinev1.Operation_STATE_PARKED
		}, seen: line(nil), what: ours, node: "pve1", power: running, drift: []vmlinev1.Drift_Kind{driftPower}, news: true},
		{name: "a broken chain has no power that it should have", vm: func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_SET_NETWORK }, seen: off, what: ours, node: "pve1", power: stopped, news: true},
		{name: "missing", what: missing, node: "pve1", drift: []vmlinev1.Drift_Kind{driftMissing}, news: true},
		{name: "foreign", seen: line(func(v *pve.VM) { v.Node, v.Status = "pve2", "stopped" }), what: foreign, node: "pve1", power: running, drift: []vmlinev1.Drift_Kind{driftForeign}, news: true},
		{name: "back again", vm: func(vm *vmlinev1.VM) { drifting(driftMissing)(vm); vm.RemoteStatus = 0 }, seen: line(nil), what: ours, node: "pve1", power: running, news: true},
		{name: "what others have found stays", vm: drifting(driftHardware, driftForeign), seen: line(nil), what: ours, node: "pve1", power: running, drift: []vmlinev1.Drift_Kind{driftHardware}, news: true},
		{name: "removed and gone", vm: func(vm *vmlinev1.VM) { vm.Status, vm.RemoteStatus = vmlinev1.Status_STATUS_REMOVED, 0 }, what: absent, node: "pve1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := resting(tt.vm)
			got := observed(before, tt.seen, tt.what, "why", later)
			if got.GetNode() != tt.node || got.GetRemoteStatus() != tt.power || got.GetRemoteLock() != tt.lock {
				t.Errorf("known as %s, %s, %q", got.GetNode(), got.GetRemoteStatus(), got.GetRemoteLock())
			}
			if len(got.GetDrift()) != len(tt.drift) {
				t.Fatalf("drift %v, want %v", got.GetDrift(), tt.drift)
			}
			for i, d := range got.GetDrift() {
				if d.GetKind() != tt.drift[i] || d.GetDetail() == "" || d.GetSince() == nil {
					t.Errorf("drift %v, want %v", d, tt.drift[i])
				}
			}
			if news(before, got) != tt.news || revived(got) != tt.revived {
				t.Errorf("news %t, revived %t", news(before, got), revived(got))
			}
		})
	}
}

// TestDriftKeepsItsAge: however often it is seen, since is when it was seen first.
func TestDriftKeepsItsAge(t *testing.T) {
	vm := resting(nil)
	first := observed(vm, nil, missing, "", early)
	second := observed(first, nil, missing, "", later)
	if news(first, second) || !second.GetDrift()[0].GetSince().AsTime().Equal(early) {
		t.Errorf("seen again it is %v, was %v", second.GetDrift(), first.GetDrift())
	}
	third := observed(second, line(nil), foreign, "why", later)
	if !news(second, third) || !third.GetDrift()[0].GetSince().AsTime().Equal(later) {
		t.Errorf("another drift has the age of the one before: %v", third.GetDrift())
	}
}

func TestObservable(t *testing.T) {
	for _, tt := range []struct {
		name string
		vm   func(*vmlinev1.VM)
		want bool
	}{
		{"ready", nil, true},
		{"suspended", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_SUSPENDED }, true},
		{"an operation runs", func(vm *vmlinev1.VM) { vm.Operation.State = vmlinev1.Operation_STATE_RUNNING }, false},
		{"a person is asked", func(vm *vmlinev1.VM) { vm.Operation.State = vmlinev1.Operation_STATE_PARKED }, true},
		{"removed", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_REMOVED }, true},
		{"no VMID yet", func(vm *vmlinev1.VM) { vm.Vmid = 0 }, false},
		{"no clone yet", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_SET_IP }, false},
		{"being terminated", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_TERMINATE }, false},
		{"its VMID is free for others", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_VMID_RELEASED }, false},
		{"terminated", func(vm *vmlinev1.VM) { vm.Status = vmlinev1.Status_STATUS_TERMINATED }, false},
	} {
		if got := observable(resting(tt.vm)); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestRow17WithinAMinute: what was started behind our back is seen, and stopped, within a minute. Proxmox
// fills its list every 10 s, a look at it must not be younger than the lag, and a stop takes a moment.
func TestRow17WithinAMinute(t *testing.T) {
	const listed, stop = 10 * time.Second, 10 * time.Second
	for _, tick := range bus.RecurringTicks {
		if tick.Tick == bus.TickObserve && listed+max(tick.Every, defaultLag)+tick.Every+stop > time.Minute {
			t.Errorf("a look every %s and a lag of %s are too slow", tick.Every, defaultLag)
		}
	}
}
