package plan

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func guarded(rules ...*vmlinev1.FirewallRule) *vmlinev1.VM {
	vm := order(func(p *vmlinev1.Package) {
		p.Firewall = &vmlinev1.Firewall{Enabled: true, IpFilter: true, PolicyIn: "DROP", Rules: rules}
	})
	vm.Addresses = []*vmlinev1.Address{{Address: "192.0.2.10"}, {Address: "192.0.2.11", Leaving: true}, {Address: "2001:db8::a"}}
	return vm
}

// TestMakeFirewall: only what is missing is added, and only what is ours is taken away.
func TestMakeFirewall(t *testing.T) {
	ssh := &vmlinev1.FirewallRule{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "22"}
	vm := guarded(ssh, &vmlinev1.FirewallRule{Direction: "out", Action: "DROP"})
	p := MakeFirewall(Firewall{}, vm, nil)
	if len(p.Options) != 10 || p.Options["policy_in"] != "DROP" || !p.MakeSet || !slices.Equal(p.Add, []string{"192.0.2.10", "2001:db8::a"}) || len(p.Rules) != 2 || p.DropSet || len(p.Remove) > 0 {
		t.Errorf("on nothing: %+v", p)
	}
	have := Firewall{Options: p.Options, HasSet: true, Set: []string{"192.0.2.10", "192.0.2.11", "198.51.100.0/24"}, Rules: Rules(vm.Package.Firewall)[:1]}
	p = MakeFirewall(have, vm, nil)
	if len(p.Options) > 0 || p.MakeSet || !slices.Equal(p.Add, []string{"2001:db8::a"}) || !slices.Equal(p.Remove, []string{"192.0.2.11"}) || len(p.Rules) != 1 || p.Rules[0].Type != "out" {
		t.Errorf("on a part: %+v", p)
	}
	if got := FirewallDrift(have, vm); got != "2001:db8::a is not among the addresses that the machine may use; the rule is gone: out DROP" {
		t.Errorf("the drift is %q", got)
	}
}

// TestFirewallSwitchedOff: what the package before had switched on is switched off, and nothing else.
func TestFirewallSwitchedOff(t *testing.T) {
	before := guarded().Package
	off := order()
	if p := MakeFirewall(Firewall{Options: map[string]string{"enable": "1", "policy_in": "DROP"}}, off, []*vmlinev1.Package{before}); !maps.Equal(p.Options, map[string]string{"enable": "0"}) {
		t.Errorf("sets %v", p.Options)
	}
	if p := MakeFirewall(Firewall{Options: map[string]string{"enable": "1"}}, off, []*vmlinev1.Package{off.Package}); !p.Empty() {
		t.Errorf("a person's firewall is switched off: %+v", p)
	}
	unfiltered := guarded()
	unfiltered.Package.Firewall.IpFilter = false
	for _, tt := range []struct {
		entries []string
		drop    bool
	}{{[]string{"192.0.2.10", "192.0.2.11"}, true}, {nil, true}, {[]string{"192.0.2.10", "203.0.113.9"}, false}} {
		for name, vm := range map[string]*vmlinev1.VM{"no filter": unfiltered, "no firewall": off} {
			vm.Addresses = guarded().Addresses
			if p := MakeFirewall(Firewall{HasSet: true, Set: tt.entries}, vm, []*vmlinev1.Package{before}); p.DropSet != tt.drop {
				t.Errorf("%s, %q: the set is dropped: %v", name, tt.entries, p.DropSet)
			}
		}
	}
}

// TestAFirewallIsMadeOnce applies a plan as Proxmox would: a second one is empty, others' rules and entries
// are there still, and the package's rules stand in its order.
func TestAFirewallIsMadeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.Custom(func(t *rapid.T) *vmlinev1.FirewallRule {
			return &vmlinev1.FirewallRule{
				Direction: rapid.SampledFrom([]string{"in", "out"}).Draw(t, "direction"), Action: rapid.SampledFrom([]string{"ACCEPT", "DROP"}).Draw(t, "action"),
				Protocol: "tcp", DestinationPort: rapid.SampledFrom([]string{"22", "80", "443"}).Draw(t, "port"),
			}
		})
		id := func(r *vmlinev1.FirewallRule) string {
			return r.GetDirection() + r.GetAction() + r.GetDestinationPort()
		}
		vm := guarded(rapid.SliceOfNDistinct(rule, 0, 5, id).Draw(t, "rules")...)
		have := Firewall{
			Options: map[string]string{"enable": rapid.SampledFrom([]string{"", "0", "1"}).Draw(t, "enable"), "digest": "x"},
			HasSet:  rapid.Bool().Draw(t, "set"),
		}
		if have.HasSet {
			have.Set = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"192.0.2.10", "192.0.2.11", "203.0.113.0/24"}), rapid.ID).Draw(t, "entries")
		}
		others := []pve.FirewallRule{{Type: "in", Action: "REJECT", Enable: true}, {Type: "in", Action: "ACCEPT", Proto: "tcp", Dport: "22"}}
		have.Rules = slices.Clone(others)
		after := applyFirewall(have, MakeFirewall(have, vm, nil))
		if again := MakeFirewall(after, vm, nil); !again.Empty() {
			t.Fatalf("a second plan has %+v", again)
		}
		wanted := Rules(vm.Package.Firewall)
		if ours := after.Rules[:len(wanted)]; !slices.EqualFunc(ours, wanted, SameRule) {
			t.Fatalf("the rules are %v, want %v first", after.Rules, wanted)
		}
		if !slices.Equal(after.Rules[len(wanted):], others) || (slices.Contains(have.Set, "203.0.113.0/24") && !slices.Contains(after.Set, "203.0.113.0/24")) {
			t.Fatalf("others' rules or entries are gone: %+v", after)
		}
	})
}

// applyFirewall is how Proxmox carries out a plan: each new rule stands before all others.
func applyFirewall(have Firewall, p FirewallPlan) Firewall {
	out := Firewall{Options: maps.Clone(have.Options), HasSet: (have.HasSet || p.MakeSet) && !p.DropSet, Rules: slices.Clone(have.Rules)}
	maps.Copy(out.Options, p.Options)
	for _, entry := range have.Set {
		if !slices.Contains(p.Remove, entry) && !p.DropSet {
			out.Set = append(out.Set, entry)
		}
	}
	out.Set = append(out.Set, p.Add...)
	for _, rule := range slices.Backward(p.Rules) {
		out.Rules = slices.Insert(out.Rules, 0, rule)
	}
	return out
}
