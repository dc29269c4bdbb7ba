package provisioner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// ipFilterSet is the IP set that Proxmox's ipfilter option reads for net0.
const ipFilterSet = "ipfilter-net0"

// firewall sets the options, adds what is missing of the package's rules and addresses, and takes out
// the addresses that leave the VM. It removes no rule but the second of two equal ones of its own.
// Proxmox answers these calls also for a VM that does not exist, so the machine is looked at first, unless
// that was done a moment ago.
func (p *provisioner) firewall(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	before := setBefore(t.VM.GetOperation())
	if !plan.HasFirewall(t.VM.GetPackage()) && !plan.HasFirewall(before...) {
		return bus.Done, nil
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if !machine.Proven(t.VM, p.Bus.Now()) {
		if _, err := p.find(ctx, c, t); err != nil {
			return 0, machine.Explain(err, kept)
		}
	}
	target := firewalled{Client: c, current: t.Current, node: t.VM.GetNode(), vmid: int(t.VM.GetVmid()), newborn: newborn(t.VM)}
	return bus.Done, machine.Explain(target.apply(ctx, t.VM, before), kept)
}

// newborn says that the operation itself has made the machine: nobody has looked at its power yet. Its
// options and its IP set are its template's, which nobody has adapted to it. With an order that was given up
// before, the machine may be that one's.
func newborn(vm *vmlinev1.VM) bool {
	made := builds(vm.GetOperation()) && len(vm.GetOperation().GetReplaced()) == 0
	return made && vm.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED
}

// firewalled is a VM whose firewall is being set.
type firewalled struct {
	*pve.Client
	// current returns an error if the work was overtaken; it is asked right before each change.
	current func(context.Context) error
	node    string
	vmid    int
	// newborn has everything but the rules set without a look at what is there: each of these calls does
	// no harm where it finds its work done.
	newborn bool
}

// read returns the parts of the firewall that the package speaks of.
func (f firewalled) read(ctx context.Context, pkg *vmlinev1.Package, before []*vmlinev1.Package) (have plan.Firewall, err error) {
	if !f.newborn {
		have.Options, err = f.FirewallOptions(ctx, f.node, f.vmid)
	}
	if err != nil {
		return have, err
	}
	if !f.newborn && (plan.HasFilter(pkg) || plan.HasFilter(before...)) {
		have.Set, err = f.IPSet(ctx, f.node, f.vmid, ipFilterSet)
		have.HasSet = err == nil
		if err != nil && pve.KindOf(err) != pve.Missing {
			return have, err
		}
	}
	if !plan.HasFirewall(pkg) || len(pkg.GetFirewall().GetRules()) == 0 {
		return have, nil
	}
	have.Rules, err = f.FirewallRules(ctx, f.node, f.vmid)
	return have, err
}

// apply makes the firewall what the package says. The addresses come before the options, so that a
// filter never holds back an address that is the machine's own.
func (f firewalled) apply(ctx context.Context, vm *vmlinev1.VM, before []*vmlinev1.Package) error {
	have, err := f.read(ctx, vm.GetPackage(), before)
	if err != nil {
		return err
	}
	return f.write(ctx, have.Rules, plan.MakeFirewall(have, vm, before), plan.Rules(vm.GetPackage().GetFirewall()))
}

func (f firewalled) write(ctx context.Context, have []pve.FirewallRule, todo plan.FirewallPlan, wanted []pve.FirewallRule) error {
	if err := f.addresses(ctx, todo); err != nil {
		return err
	}
	if len(todo.Options) > 0 {
		if err := f.change(ctx, func() error { return f.SetFirewallOptions(ctx, f.node, f.vmid, todo.Options) }); err != nil {
			return err
		}
	}
	return f.rules(ctx, have, todo.Rules, wanted)
}

// change makes one change, if the work was not overtaken. What is there already is a success.
func (f firewalled) change(ctx context.Context, do func() error) error {
	if err := f.current(ctx); err != nil {
		return err
	}
	if err := do(); err != nil && pve.KindOf(err) != pve.Exists {
		return err
	}
	return nil
}

// addresses makes the set that the IP filter lets through.
func (f firewalled) addresses(ctx context.Context, todo plan.FirewallPlan) error {
	if todo.DropSet {
		return f.change(ctx, func() error { return f.DeleteIPSet(ctx, f.node, f.vmid, ipFilterSet) })
	}
	if todo.MakeSet {
		if err := f.change(ctx, func() error { return f.CreateIPSet(ctx, f.node, f.vmid, ipFilterSet) }); err != nil {
			return err
		}
	}
	for _, a := range todo.Add {
		if err := f.change(ctx, func() error { return f.AddIPSetEntry(ctx, f.node, f.vmid, ipFilterSet, a) }); err != nil {
			return err
		}
	}
	for _, a := range todo.Remove {
		if err := f.change(ctx, func() error { return f.DeleteIPSetEntry(ctx, f.node, f.vmid, ipFilterSet, a) }); err != nil {
			return err
		}
	}
	return nil
}

// rules adds what is missing, the last one first: Proxmox puts each new rule before all others. A
// repeated call makes a second rule, so each was looked for before, and the list is looked at again
// afterwards, because another worker may have added it in between. Work that was overtaken takes its own
// second rules away, and touches nothing where it has added none.
func (f firewalled) rules(ctx context.Context, have, missing, wanted []pve.FirewallRule) error {
	var err error
	added := 0
	for _, rule := range slices.Backward(missing) {
		if err = f.change(ctx, func() error { return f.AddFirewallRule(ctx, f.node, f.vmid, rule) }); err != nil {
			break
		}
		added++
	}
	if overtaken := errors.Is(err, bus.ErrSuperseded); err != nil && (!overtaken || added == 0) {
		return err
	}
	if _, twice := plan.Surplus(have, wanted); added > 0 || twice {
		err = errors.Join(err, f.onlyOnce(ctx, wanted))
	}
	return err
}

// How often a rule is taken away while others change the list each time, and the pause after the first time,
// which doubles.
const (
	onlyOnceTries = 6
	onlyOncePause = 20 * time.Millisecond
)

// onlyOnce removes rules of the package that are there twice. The list's digest keeps two workers
// from removing both. Where others change the list all the time, the step is tried again later.
func (f firewalled) onlyOnce(ctx context.Context, wanted []pve.FirewallRule) error {
	pause := onlyOncePause
	for conflicts := 0; ; {
		have, err := f.FirewallRules(ctx, f.node, f.vmid)
		if err != nil {
			return err
		}
		extra, twice := plan.Surplus(have, wanted)
		if !twice {
			return nil
		}
		err = f.DeleteFirewallRule(ctx, f.node, f.vmid, extra.Pos, extra.Digest)
		switch conflict := pve.KindOf(err) == pve.Conflict; {
		case err == nil:
			continue
		case !conflict:
			return err
		}
		if conflicts++; conflicts == onlyOnceTries {
			return err
		}
		if err := bus.Pause(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}
