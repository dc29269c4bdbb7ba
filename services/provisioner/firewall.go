package provisioner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// ipFilterSet is the IP set that Proxmox's ipfilter option reads for net0.
const ipFilterSet = "ipfilter-net0"

// firewall sets the options and adds what is missing of the package's rules and addresses. It removes
// no rule but the second of two equal ones of its own. Proxmox answers these calls also for a VM that does not exist, so the machine is
// looked at first. Where that look shows the whole configuration as the package says, the step to
// set_cloudinit needs no second one.
func (p *provisioner) firewall(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	fw := t.VM.GetPackage().GetFirewall()
	if !fw.GetEnabled() {
		return bus.Done, nil
	}
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	looked := p.Bus.Now()
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	t.VM.Node = found.Node
	target := firewalled{c, t, found.Node, int(t.VM.GetVmid())}
	for _, part := range []func(context.Context) error{target.options, target.addresses, target.rules} {
		if err := part(ctx); err != nil {
			return 0, machine.Explain(err, kept)
		}
	}
	todo, err := p.plan(t.VM, found, false)
	if err == nil && len(todo.Change.Set) == 0 && len(todo.Grow) == 0 && p.Bus.Now().Sub(looked) < lookAge {
		seen(t.VM, found)
		t.VM.Carried = append(t.VM.Carried, vmlinev1.Status_STATUS_SET_CLOUDINIT)
	}
	return bus.Done, nil
}

// lookAge is how old a look at a machine may be that stands for the one right before its start.
const lookAge = 5 * time.Second

// firewalled is a VM whose firewall is being set.
type firewalled struct {
	*pve.Client
	t    *bus.Trigger
	node string
	vmid int
}

func (f firewalled) options(ctx context.Context) error {
	have, err := f.FirewallOptions(ctx, f.node, f.vmid)
	if err != nil {
		return err
	}
	set := map[string]string{}
	for key, value := range wantedOptions(f.t.VM.GetPackage().GetFirewall()) {
		if have[key] != value {
			set[key] = value
		}
	}
	if len(set) == 0 {
		return nil
	}
	if err := f.t.Current(ctx); err != nil {
		return err
	}
	return f.SetFirewallOptions(ctx, f.node, f.vmid, set)
}

func wantedOptions(fw *vmlinev1.Firewall) map[string]string {
	text := func(value, fallback string) string {
		if value == "" {
			return fallback
		}
		return value
	}
	bit := map[bool]string{true: "1", false: "0"}
	return map[string]string{
		"enable":        "1",
		"policy_in":     text(fw.GetPolicyIn(), "ACCEPT"),
		"policy_out":    text(fw.GetPolicyOut(), "ACCEPT"),
		"log_level_in":  text(fw.GetLogLevelIn(), "nolog"),
		"log_level_out": text(fw.GetLogLevelOut(), "nolog"),
		"dhcp":          bit[fw.GetDhcp()],
		"ndp":           bit[fw.GetNdp()],
		"macfilter":     bit[fw.GetMacFilter()],
		"ipfilter":      bit[fw.GetIpFilter()],
		"radv":          bit[fw.GetRouterAdvertisement()],
	}
}

// addresses puts the VM's addresses into the set that the IP filter lets through.
func (f firewalled) addresses(ctx context.Context) error {
	if !f.t.VM.GetPackage().GetFirewall().GetIpFilter() {
		return nil
	}
	have, err := f.IPSet(ctx, f.node, f.vmid, ipFilterSet)
	if pve.KindOf(err) == pve.Missing {
		if err := f.t.Current(ctx); err != nil {
			return err
		}
		err = f.CreateIPSet(ctx, f.node, f.vmid, ipFilterSet)
	}
	if err != nil && pve.KindOf(err) != pve.Exists {
		return err
	}
	for _, a := range f.t.VM.GetAddresses() {
		if slices.Contains(have, a.GetAddress()) {
			continue
		}
		if err := f.t.Current(ctx); err != nil {
			return err
		}
		if err := f.AddIPSetEntry(ctx, f.node, f.vmid, ipFilterSet, a.GetAddress()); err != nil && pve.KindOf(err) != pve.Exists {
			return err
		}
	}
	return nil
}

// rules adds the package's missing rules, the last one first: Proxmox puts each new rule before all
// others. A repeated call makes a second rule, so each is looked for before, and again afterwards,
// because another worker may have added it in between.
func (f firewalled) rules(ctx context.Context) error {
	var wanted []pve.FirewallRule
	for _, rule := range f.t.VM.GetPackage().GetFirewall().GetRules() {
		wanted = append(wanted, ruleFor(rule))
	}
	if len(wanted) == 0 {
		return nil
	}
	have, err := f.FirewallRules(ctx, f.node, f.vmid)
	if err != nil {
		return err
	}
	added, err := f.addRules(ctx, wanted, have)
	if err != nil && !errors.Is(err, bus.ErrSuperseded) {
		return err
	}
	if _, twice := surplus(have, wanted); added || twice {
		err = errors.Join(err, f.onlyOnce(ctx, wanted))
	}
	return err
}

// addRules says whether it added any.
func (f firewalled) addRules(ctx context.Context, wanted, have []pve.FirewallRule) (added bool, err error) {
	for _, rule := range slices.Backward(wanted) {
		if slices.ContainsFunc(have, func(r pve.FirewallRule) bool { return sameRule(r, rule) }) {
			continue
		}
		if err := f.t.Current(ctx); err != nil {
			return added, err
		}
		if err := f.AddFirewallRule(ctx, f.node, f.vmid, rule); err != nil {
			return added, err
		}
		added = true
	}
	return added, nil
}

// onlyOnce removes rules of the package that are there twice. The list's digest keeps two workers
// from removing both.
func (f firewalled) onlyOnce(ctx context.Context, wanted []pve.FirewallRule) error {
	for {
		have, err := f.FirewallRules(ctx, f.node, f.vmid)
		if err != nil {
			return err
		}
		extra, twice := surplus(have, wanted)
		if !twice {
			return nil
		}
		err = f.DeleteFirewallRule(ctx, f.node, f.vmid, extra.Pos, extra.Digest)
		if err != nil && pve.KindOf(err) != pve.Conflict {
			return err
		}
	}
}

// surplus returns a rule of the package that another one further down equals. The lower one is the
// older: whoever added it had added, or seen, those that belong below it, so the oldest of each stand
// in the package's order.
func surplus(have, wanted []pve.FirewallRule) (extra pve.FirewallRule, found bool) {
	for i, rule := range have {
		ours := slices.ContainsFunc(wanted, func(w pve.FirewallRule) bool { return sameRule(rule, w) })
		if ours && slices.ContainsFunc(have[i+1:], func(r pve.FirewallRule) bool { return sameRule(r, rule) }) {
			return rule, true
		}
	}
	return pve.FirewallRule{}, false
}

func ruleFor(r *vmlinev1.FirewallRule) pve.FirewallRule {
	return pve.FirewallRule{
		Type: r.GetDirection(), Action: r.GetAction(), Enable: true, Macro: r.GetMacro(), Proto: r.GetProtocol(),
		Source: r.GetSource(), Sport: r.GetSourcePort(), Dest: r.GetDestination(), Dport: r.GetDestinationPort(),
		Comment: r.GetComment(),
	}
}

// sameRule compares what a package can say of a rule.
func sameRule(have, want pve.FirewallRule) bool {
	return have.Type == want.Type && have.Action == want.Action && have.Enable == want.Enable && have.Macro == want.Macro &&
		have.Proto == want.Proto && have.Source == want.Source && have.Sport == want.Sport && have.Dest == want.Dest &&
		have.Dport == want.Dport && strings.TrimSpace(have.Comment) == strings.TrimSpace(want.Comment)
}
