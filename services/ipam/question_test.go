package ipam

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// TestHistoryTellsWhoHadAnAddress: also after the end of the VMs, and of the pool.
func TestHistoryTellsWhoHadAnAddress(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	w.pools = []*vmlinev1.Pool{v4Pool("one", "203.0.113.5/32"), v4Pool("six", "2001:db8::5/128")}
	s := w.instance(t, nil)
	first := s.mustGive(t, order("first", 1, 1))
	s.mustGive(t, changing(first, count(0))) // it leaves
	s.mustGive(t, first)                     // and stays
	back := s.mustGive(t, changing(first, count(0)))
	back.Package = first.GetPackage()
	s.mustGive(t, back) // taken back: written anew, but never given up
	if err := s.end(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := s.mustGive(t, order("second", 1, 0))
	w.pools = nil
	s = w.instance(t, nil)
	for _, tt := range []struct{ address, want string }{
		{"203.0.113.5", "one first/uid-first ended, one second/uid-second"},
		{"2001:DB8:0::5", "six first/uid-first ended"},
		{"203.0.113.6", ""},
	} {
		reply, err := s.history(t.Context(), &vmlinev1.AddressHistoryRequest{Address: tt.address})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range reply.GetHoldings() {
			text := fmt.Sprintf("%s %s/%s", h.GetPool(), h.GetRef(), h.GetUid())
			if h.GetTo() != nil {
				text += " ended"
				if h.GetTo().AsTime().Before(h.GetFrom().AsTime()) {
					t.Errorf("it ended at %v, before it began at %v", h.GetTo().AsTime(), h.GetFrom().AsTime())
				}
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.address, got, tt.want)
		}
	}
	if _, err := s.history(t.Context(), &vmlinev1.AddressHistoryRequest{Address: "203.0.113.0/24"}); err == nil {
		t.Error("a network has a history")
	}
	if err := s.end(t.Context(), second); err != nil {
		t.Fatal(err)
	}
}

func TestPoolsAndWhatTheyHold(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	far := v4Pool("far", "198.51.100.0/24")
	far.Cluster, far.Exclude = "c2", []string{"198.51.100.128/25"}
	w.pools = append(w.pools, far)
	s := w.instance(t, nil)
	for i := range 12 {
		s.mustGive(t, order(fmt.Sprint("vm-", i), 1, 0))
	}
	reply, err := s.use(t.Context(), &vmlinev1.PoolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range reply.GetPools() {
		got = append(got, fmt.Sprintf("%s %d=%d+%d %v", p.GetPool().GetName(), p.GetTotal(), p.GetUsed(), p.GetFree(), p.GetPool().GetExclude()))
	}
	if want := []string{"v4 254=12+242 []", "far 127=0+127 [198.51.100.128/25]"}; !slices.Equal(got, want) || len(reply.GetHeld()) != 0 {
		t.Errorf("pools %q, want %q", got, want)
	}
	var refs []string
	req := &vmlinev1.PoolsRequest{Cluster: "c1", Pool: "v4", Limit: 5}
	for pages := 1; ; pages++ {
		reply, err := s.use(t.Context(), req)
		if err != nil || len(reply.GetPools()) != 1 {
			t.Fatalf("%v, %v", reply, err)
		}
		for _, h := range reply.GetHeld() {
			refs = append(refs, h.GetAddress()+"="+h.GetRef())
		}
		if req.After = reply.GetNext(); req.GetAfter() == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if len(refs) != 12 || refs[0] != "203.0.113.1=vm-0" || refs[9] != "203.0.113.10=vm-9" {
		t.Errorf("held %v", refs)
	}
	for _, bad := range []*vmlinev1.PoolsRequest{{Pool: "a.>"}, {Pool: "v4", After: "x"}} {
		if _, err := s.use(t.Context(), bad); err == nil {
			t.Errorf("%v is answered", bad)
		}
	}
}

func TestPlanChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v6 := v4Pool("v6", "2001:db8::/64")
		w.pools = []*vmlinev1.Pool{v4Pool("v4", "203.0.113.0/28"), v6}
		s := w.instance(t, nil)
		s.mustGive(t, order("neighbour", 3, 0))
		vm := s.mustGive(t, order("vm", 2, 0))
		for _, tt := range []struct {
			name string
			vm   *vmlinev1.VM
			want string
		}{
			{"order", order("new", 2, 1), "set_ip: gives 203.0.113.6 of pool v4, or the next that is free; " +
				"gives 203.0.113.7 of pool v4, or the next that is free; gives 2001:db8::1 of pool v6, or the next that is free"},
			{"nothing", changing(vm, count(2)), "set_ip:  | ip_released: "},
			{"more and less", changing(vm, func(n *vmlinev1.Network) { n.Ipv4Count, n.Ipv6Count = 1, 1 }),
				"set_ip: gives 2001:db8::1 of pool v6, or the next that is free; takes away 203.0.113.5 of pool v4 | ip_released: releases 203.0.113.5 of pool v4"},
			{"chosen", changing(vm, count(2, "203.0.113.14")),
				"set_ip: gives 203.0.113.14 of pool v4, as chosen; takes away 203.0.113.5 of pool v4 | ip_released: releases 203.0.113.5 of pool v4"},
			{"taken", changing(vm, count(2, "203.0.113.1")), "set_ip:  ! The chosen address 203.0.113.1 of pool v4 belongs to VM neighbour"},
			{"exhausted", order("new", 10, 0), "set_ip:  ! The order needs 1 more IPv4 address(es) for cluster c1, bridge vmbr0, but there are none: pool v4 (203.0.113.0/28) has 9 of 14 free"},
			{"end", ends(vm), "terminated: releases 203.0.113.4 of pool v4; releases 203.0.113.5 of pool v4"},
			{"adopt", adopted("new"), "set_ip: claims the addresses that the machine has"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				before := s.heldBy(t, "")
				reply, err := s.plan(t.Context(), &vmlinev1.PlanRequest{Vm: tt.vm})
				if err != nil {
					t.Fatal(err)
				}
				var steps []string
				for _, step := range reply.GetSteps() {
					steps = append(steps, chain.Name(step.GetStep())+": "+strings.Join(step.GetNotes(), "; "))
				}
				got := strings.Join(steps, " | ")
				if p := reply.GetProblem(); p != nil {
					got += " ! " + p.GetCause()
				}
				if got != tt.want {
					t.Errorf("plan %q\nwant %q", got, tt.want)
				}
				s.verify(t)
				if after := s.heldBy(t, ""); !slices.Equal(after, before) {
					t.Errorf("held %v, before %v", after, before)
				}
			})
		}
	})
}

// ends is the VM when its addresses are to be released.
func ends(vm *vmlinev1.VM) *vmlinev1.VM {
	vm = clone(vm)
	route, _ := chain.RouteOf(vmlinev1.Operation_KIND_TERMINATE)
	vm.Operation = &vmlinev1.Operation{Kind: vmlinev1.Operation_KIND_TERMINATE, State: vmlinev1.Operation_STATE_RUNNING, Route: route.Statuses}
	return vm
}

func TestQuestionsAreAnsweredOnTheBus(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	cfg := Config{Bus: w.bus(t, nil), Redis: w.client(t), Pools: w.pools, Logger: slog.New(slog.DiscardHandler)}
	go func() { ended <- Run(ctx, cfg) }()
	b := w.bus(t, nil)
	reply := &vmlinev1.PoolsReply{}
	for { // until it listens
		err := b.Ask(ctx, chain.IPAM, bus.QuestionPools, &vmlinev1.PoolsRequest{}, reply)
		if err == nil {
			break
		}
		if err := bus.Pause(ctx, 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if len(reply.GetPools()) != 1 || reply.GetPools()[0].GetTotal() != 254 {
		t.Errorf("pools %v", reply)
	}
	history := &vmlinev1.AddressHistoryReply{}
	if err := b.Ask(ctx, chain.IPAM, bus.QuestionHistory, &vmlinev1.AddressHistoryRequest{Address: "x"}, history); err == nil || !strings.Contains(err.Error(), "not an IPv4") {
		t.Errorf("a bad address: %v", err)
	}
	plan := &vmlinev1.PlanReply{}
	if err := b.Ask(ctx, chain.IPAM, bus.QuestionPlan, &vmlinev1.PlanRequest{Vm: order("vm", 1, 0)}, plan); err != nil || len(plan.GetSteps()) != 1 {
		t.Errorf("plan %v, %v", plan, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
