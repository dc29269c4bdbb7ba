package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

const (
	// driftsATick is how many machines one tick compares: each costs a cluster one to four reads.
	driftsATick = 200
	// driftsAtOnce bounds how many of them are under way together.
	driftsAtOnce = 4
)

// ourDrift are the kinds of drift that this service reports. Others' stay as they are.
var ourDrift = []vmlinev1.Drift_Kind{vmlinev1.Drift_KIND_HARDWARE, vmlinev1.Drift_KIND_FIREWALL}

// rounds goes through all machines over several ticks.
type rounds struct {
	mu   sync.Mutex
	last string // the ref that was compared last
}

// take returns the next refs after those taken before, beginning anew after the last.
func (r *rounds) take(all []string, n int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(all)
	at, found := slices.BinarySearch(all, r.last)
	if found {
		at++
	}
	next := slices.Concat(all[at:], all[:at])
	if next = next[:min(n, len(next))]; len(next) > 0 {
		r.last = next[len(next)-1]
	}
	return next
}

// drift compares machines that are ready with their packages and records where they differ.
func (p *provisioner) drift(ctx context.Context) error {
	ready := map[string]bus.Entry{}
	err := p.Bus.Each(ctx, func(e bus.Entry) error {
		if atRest(e.VM) {
			ready[e.VM.GetRef()] = e
		} else {
			delete(ready, e.VM.GetRef())
		}
		return nil
	})
	if err != nil {
		return err
	}
	refs := make([]string, 0, len(ready))
	for ref := range ready {
		refs = append(refs, ref)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(driftsAtOnce)
	for _, ref := range p.rounds.take(refs, driftsATick) {
		g.Go(func() error { return p.driftOf(ctx, ready[ref]) })
	}
	return g.Wait()
}

// atRest says that a VM is ready and that no operation works on it.
func atRest(vm *vmlinev1.VM) bool {
	state := vm.GetOperation().GetState()
	return vm.GetStatus() == vmlinev1.Status_STATUS_READY && vm.GetVmid() != 0 &&
		state != vmlinev1.Operation_STATE_RUNNING && state != vmlinev1.Operation_STATE_PARKED
}

// driftOf compares one machine. One that cannot be seen now, or is locked, is looked at in the next round;
// whether it is missing or foreign is for lifecycle to say.
func (p *provisioner) driftOf(ctx context.Context, e bus.Entry) error {
	c, ok := p.Clusters[e.VM.GetCluster()]
	if !ok {
		return nil
	}
	vm := proto.CloneOf(e.VM)
	cfg, err := c.VMConfig(ctx, vm.GetNode(), int(vm.GetVmid()))
	if err != nil || cfg.Lock != "" || machine.Prove(vm, vm.GetNode(), cfg) != nil {
		return ctx.Err()
	}
	ways := map[vmlinev1.Drift_Kind]string{vmlinev1.Drift_KIND_HARDWARE: plan.HardwareDrift(cfg, vm)}
	if vm.GetPackage().GetFirewall().GetEnabled() {
		have, err := firewalled{Client: c, node: vm.GetNode(), vmid: int(vm.GetVmid())}.read(ctx, vm.GetPackage(), nil)
		if err != nil {
			return ctx.Err()
		}
		ways[vmlinev1.Drift_KIND_FIREWALL] = plan.FirewallDrift(have, vm)
	}
	vm.Drift = mergeDrift(vm.GetDrift(), ways, timestamppb.New(p.Bus.Now()))
	warned := len(vm.GetWarnings())
	if nic, err := cfg.Net("net0"); err == nil && nic.MAC != "" && vm.GetMac() != "" && nic.MAC != vm.GetMac() {
		vm.Warnings = append(vm.Warnings, fmt.Sprintf("somebody has given the network card another MAC: %s instead of %s", nic.MAC, vm.GetMac()))
	}
	recognized(vm, machine.Found{Node: vm.GetNode(), Config: cfg})
	if proto.Equal(vm, e.VM) {
		return nil
	}
	p.Logger.Info("a machine differs from what was known of it", "ref", vm.GetRef(), "vmid", vm.GetVmid(), "drift", describeDrift(vm.GetDrift()), "warnings", vm.GetWarnings()[warned:])
	vm.Event = vmlinev1.Event_EVENT_OBSERVED
	if _, err := p.Bus.Append(ctx, vm, e.Seq); err != nil && !errors.Is(err, bus.ErrSuperseded) {
		return err
	}
	return nil
}

// mergeDrift replaces our kinds. A way that goes on keeps the time since when.
func mergeDrift(have []*vmlinev1.Drift, ways map[vmlinev1.Drift_Kind]string, now *timestamppb.Timestamp) []*vmlinev1.Drift {
	var merged []*vmlinev1.Drift
	since := map[vmlinev1.Drift_Kind]*timestamppb.Timestamp{}
	for _, d := range have {
		if slices.Contains(ourDrift, d.GetKind()) {
			since[d.GetKind()] = d.GetSince()
			continue
		}
		merged = append(merged, d)
	}
	for _, kind := range ourDrift {
		if ways[kind] == "" {
			continue
		}
		d := &vmlinev1.Drift{Kind: kind, Detail: ways[kind], Since: now}
		if since[kind] != nil {
			d.Since = since[kind]
		}
		merged = append(merged, d)
	}
	return merged
}

func describeDrift(drift []*vmlinev1.Drift) string {
	var details []string
	for _, d := range drift {
		details = append(details, d.GetDetail())
	}
	return strings.Join(details, "; ")
}
