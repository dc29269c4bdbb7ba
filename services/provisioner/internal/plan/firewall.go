package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Firewall is a VM's firewall as it was found.
type Firewall struct {
	Options map[string]string
	// Set are the entries of the IP set that the IP filter reads; HasSet says that there is one. Proxmox
	// filters as soon as it exists, whatever the option says.
	Set    []string
	HasSet bool
	Rules  []pve.FirewallRule
}

// FirewallPlan is what is missing. Rules are added and never removed: another may rely on them.
type FirewallPlan struct {
	Options map[string]string
	// MakeSet and DropSet are about the whole IP set. It is dropped only with entries that are all ours.
	MakeSet, DropSet bool
	// Add and Remove are addresses in the IP set. Only addresses that leave the VM are removed.
	Add, Remove []string
	// Rules in the order of the package.
	Rules []pve.FirewallRule
}

// Empty says that nothing is missing.
func (p FirewallPlan) Empty() bool {
	return len(p.Options) == 0 && !p.MakeSet && !p.DropSet && len(p.Add) == 0 && len(p.Remove) == 0 && len(p.Rules) == 0
}

// HasFirewall says that one of the packages has a firewall.
func HasFirewall(packages ...*vmlinev1.Package) bool {
	return slices.ContainsFunc(packages, func(p *vmlinev1.Package) bool { return p.GetFirewall().GetEnabled() })
}

// HasFilter says that one of the packages has an IP filter in its firewall.
func HasFilter(packages ...*vmlinev1.Package) bool {
	return slices.ContainsFunc(packages, func(p *vmlinev1.Package) bool { return HasFirewall(p) && p.GetFirewall().GetIpFilter() })
}

// MakeFirewall compares a firewall with the VM's package. A package without a firewall switches off
// what the packages before it had switched on, and touches nothing else.
func MakeFirewall(have Firewall, vm *vmlinev1.VM, before []*vmlinev1.Package) FirewallPlan {
	fw := vm.GetPackage().GetFirewall()
	p := FirewallPlan{Options: map[string]string{}}
	p.addresses(have, vm, before)
	if !fw.GetEnabled() {
		if HasFirewall(before...) && have.Options["enable"] == "1" {
			p.Options["enable"] = "0"
		}
		return p
	}
	for key, value := range wantedOptions(fw) {
		if have.Options[key] != value {
			p.Options[key] = value
		}
	}
	for _, rule := range Rules(fw) {
		if !slices.ContainsFunc(have.Rules, func(r pve.FirewallRule) bool { return SameRule(r, rule) }) {
			p.Rules = append(p.Rules, rule)
		}
	}
	return p
}

func (p *FirewallPlan) addresses(have Firewall, vm *vmlinev1.VM, before []*vmlinev1.Package) {
	var staying, all []string
	for _, a := range vm.GetAddresses() {
		if all = append(all, a.GetAddress()); !a.GetLeaving() {
			staying = append(staying, a.GetAddress())
		}
	}
	if !HasFilter(vm.GetPackage()) {
		notOurs := slices.ContainsFunc(have.Set, func(entry string) bool { return !slices.Contains(all, entry) })
		p.DropSet = have.HasSet && HasFilter(before...) && !notOurs
		return
	}
	p.MakeSet = !have.HasSet
	for _, a := range staying {
		if !slices.Contains(have.Set, a) {
			p.Add = append(p.Add, a)
		}
	}
	for _, entry := range have.Set {
		if slices.Contains(all, entry) && !slices.Contains(staying, entry) {
			p.Remove = append(p.Remove, entry)
		}
	}
}

// unsetMeans is what Proxmox does where an option is not set (PVE::Firewall).
var unsetMeans = map[string]string{
	"enable": "0", "policy_in": "DROP", "policy_out": "ACCEPT", "log_level_in": "nolog", "log_level_out": "nolog",
	"dhcp": "0", "ndp": "1", "macfilter": "1", "ipfilter": "0", "radv": "0",
}

// inForce are the options with those that are not set.
func inForce(options map[string]string) map[string]string {
	all := maps.Clone(unsetMeans)
	maps.Copy(all, options)
	return all
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

// Rules are the package's rules under Proxmox's names.
func Rules(fw *vmlinev1.Firewall) []pve.FirewallRule {
	var rules []pve.FirewallRule
	for _, r := range fw.GetRules() {
		rules = append(rules, pve.FirewallRule{
			Type: r.GetDirection(), Action: r.GetAction(), Enable: true, Macro: r.GetMacro(), Proto: r.GetProtocol(),
			Source: r.GetSource(), Sport: r.GetSourcePort(), Dest: r.GetDestination(), Dport: r.GetDestinationPort(),
			Comment: r.GetComment(),
		})
	}
	return rules
}

// SameRule compares what a package can say of a rule.
func SameRule(have, want pve.FirewallRule) bool {
	return have.Type == want.Type && have.Action == want.Action && have.Enable == want.Enable && have.Macro == want.Macro &&
		have.Proto == want.Proto && have.Source == want.Source && have.Sport == want.Sport && have.Dest == want.Dest &&
		have.Dport == want.Dport && strings.TrimSpace(have.Comment) == strings.TrimSpace(want.Comment)
}

// Surplus returns a rule of the package that another one further down equals. The lower one is the
// older: whoever added it had added, or seen, those that belong below it, so the oldest of each stand
// in the package's order.
func Surplus(have, wanted []pve.FirewallRule) (extra pve.FirewallRule, found bool) {
	for i, rule := range have {
		ours := slices.ContainsFunc(wanted, func(w pve.FirewallRule) bool { return SameRule(rule, w) })
		if ours && slices.ContainsFunc(have[i+1:], func(r pve.FirewallRule) bool { return SameRule(r, rule) }) {
			return rule, true
		}
	}
	return pve.FirewallRule{}, false
}

// describeRule is a rule in words.
func describeRule(r pve.FirewallRule) string {
	words := []string{r.Type, r.Action}
	for _, part := range []struct{ name, value string }{
		{"", r.Macro}, {"", r.Proto}, {"from", r.Source}, {"source port", r.Sport}, {"to", r.Dest}, {"port", r.Dport},
	} {
		if part.value != "" {
			words = append(words, strings.TrimSpace(part.name+" "+part.value))
		}
	}
	if r.Comment != "" {
		words = append(words, fmt.Sprintf("(%s)", r.Comment))
	}
	return strings.Join(words, " ")
}
