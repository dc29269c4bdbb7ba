package provisioner

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/overtake"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// walled is a VM whose firewall is to be set next, with its machine.
func (s *shop) walled(h *hand, ref string) (vm *vmlinev1.VM, seq uint64) {
	route := []vmlinev1.Status{vmlinev1.Status_STATUS_SET_NETWORK, vmlinev1.Status_STATUS_SET_FIREWALL, vmlinev1.Status_STATUS_READY}
	vm = &vmlinev1.VM{
		Ref: ref, Uid: "uid-" + ref, Cluster: "dc1", Vmid: 150, Node: "pve2", Status: route[0],
		Package: &vmlinev1.Package{Cluster: "dc1", Network: &vmlinev1.Network{Bridge: "vmbr0"}, Firewall: &vmlinev1.Firewall{
			Enabled: true, PolicyIn: "DROP",
			Rules: []*vmlinev1.FirewallRule{
				{Direction: "in", Action: "ACCEPT", Protocol: "tcp", DestinationPort: "22"}, {Direction: "in", Action: "ACCEPT", Protocol: "icmp"},
			},
		}},
		Operation: &vmlinev1.Operation{
			Id: "create", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING, Route: route,
			Reached: []*vmlinev1.Reached{{Status: route[0]}},
		},
	}
	s.sim.Remove(150)
	must(s.t, s.sim.AddVM(pvesim.VMSpec{VMID: 150, Node: "pve2", Name: "walled", Config: map[string]string{"description": machine.Mark(vm), "tags": machine.Tag}}))
	seq, err := h.Bus.Append(s.t.Context(), vm, 0)
	must(s.t, err)
	return vm, seq
}

// TestTwoSetAFirewall: the step is worked on twice, in every way. Each rule stands once, in the package's order.
func TestTwoSetAFirewall(t *testing.T) {
	s, late, last := newShop(t), &overtake.Work{}, &overtake.Work{}
	slow, fast, observer := s.hand(late), s.hand(last), s.hand(nil)
	overtake.EveryWay(t, late, last, func(ref string) overtake.Scene {
		vm, seq := s.walled(observer, ref)
		return overtake.Scene{
			Slow: func() error { return slow.worker.Retry(t.Context(), ref, seq) },
			Fast: func() error { return fast.worker.Retry(t.Context(), ref, seq) },
			Check: func(t *testing.T, slow, fast error) {
				must(t, errors.Join(slow, fast))
				rules, err := observer.Clusters["dc1"].FirewallRules(t.Context(), "pve2", 150)
				must(t, err)
				if !slices.EqualFunc(rules, plan.Rules(vm.GetPackage().GetFirewall()), plan.SameRule) {
					t.Errorf("the rules are %v", rules)
				}
			},
		}
	})
}

// TestARuleThatOthersHold: the list of rules is another one each time that a second rule is taken out. The step
// gives up for now and is tried again.
func TestARuleThatOthersHold(t *testing.T) {
	s := newShop(t)
	h := s.hand(nil)
	vm, seq := s.walled(h, "held")
	c := h.Clusters["dc1"]
	for range 2 {
		must(t, c.AddFirewallRule(t.Context(), "pve2", 150, plan.Rules(vm.GetPackage().GetFirewall())[0]))
	}
	s.sim.AddFault(pvesim.Fault{
		Kind: pvesim.Refuse, Method: http.MethodDelete, Path: "/nodes/*/qemu/*/firewall/rules/*", Code: http.StatusInternalServerError,
		Text: "detected modified configuration - file changed by other user? Try again.",
	})
	must(t, h.worker.Retry(t.Context(), "held", seq))
	last, err := h.Bus.Last(t.Context(), "held")
	must(t, err)
	if last.VM.GetEvent() != vmlinev1.Event_EVENT_RETRYING || !strings.Contains(last.VM.GetProblem().GetCause(), "file changed by other user") {
		t.Errorf("the VM is %v", last.VM)
	}
}

// TestOvertakenWorkTouchesNoRule: a rule stands twice, and the work was overtaken before it has added any.
func TestOvertakenWorkTouchesNoRule(t *testing.T) {
	s := newShop(t)
	h := s.hand(nil)
	vm, _ := s.walled(h, "late")
	wanted := plan.Rules(vm.GetPackage().GetFirewall())
	c := h.Clusters["dc1"]
	for range 2 {
		must(t, c.AddFirewallRule(t.Context(), "pve2", 150, wanted[0]))
	}
	have, err := c.FirewallRules(t.Context(), "pve2", 150)
	must(t, err)
	work := firewalled{Client: c, current: func(context.Context) error { return bus.ErrSuperseded }, node: "pve2", vmid: 150}
	if err := work.rules(t.Context(), have, wanted[1:], wanted); !errors.Is(err, bus.ErrSuperseded) {
		t.Errorf("it ends with %v", err)
	}
	if left, err := c.FirewallRules(t.Context(), "pve2", 150); err != nil || len(left) != 2 {
		t.Errorf("the rules are %v (%v)", left, err)
	}
}
