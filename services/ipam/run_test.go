package ipam

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// until waits for the VM's state to become what is asked for.
func until(t *testing.T, b *bus.Bus, ref string, want func(*vmlinev1.VM) bool) bus.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		last, err := b.Last(ctx, ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if want(last.VM) {
			return last
		}
		if err := bus.Pause(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("%s stays as it is: %v", ref, last.VM)
		}
	}
}

func TestRunCarriesVMsThroughItsSteps(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		var g errgroup.Group
		for range 2 {
			cfg := Config{Bus: w.bus(t, nil), Redis: w.client(t), Pools: w.pools, Logger: slog.New(slog.DiscardHandler)}
			g.Go(func() error { return Run(ctx, cfg) })
		}
		b := w.bus(t, nil)
		for _, vm := range []*vmlinev1.VM{order("good", 2, 0), order("bad", 0, 1)} {
			if _, err := b.Append(ctx, vm, 0); err != nil {
				t.Fatal(err)
			}
		}
		good := until(t, b, "good", func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_SET_IP })
		if len(good.VM.GetAddresses()) != 2 {
			t.Errorf("addresses %v", addresses(good.VM))
		}
		bad := until(t, b, "bad", func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetState() == vmlinev1.Operation_STATE_PARKED })
		if !strings.Contains(bad.VM.GetProblem().GetCause(), "No pool has IPv6") {
			t.Errorf("problem %v", bad.VM.GetProblem())
		}

		gone := good.VM
		route := []vmlinev1.Status{vmlinev1.Status_STATUS_VMID_RELEASED, vmlinev1.Status_STATUS_TERMINATED}
		gone.Status = route[0]
		gone.Operation = &vmlinev1.Operation{
			Id: "end", Kind: vmlinev1.Operation_KIND_TERMINATE, State: vmlinev1.Operation_STATE_RUNNING,
			Route: route, Reached: []*vmlinev1.Reached{{Status: route[0]}},
		}
		if _, err := b.Append(ctx, gone, good.Seq); err != nil {
			t.Fatal(err)
		}
		end := until(t, b, "good", func(vm *vmlinev1.VM) bool { return vm.GetStatus() == vmlinev1.Status_STATUS_TERMINATED })
		if len(end.VM.GetAddresses()) != 2 {
			t.Errorf("the history lost its addresses: %v", end.VM)
		}
		if held := w.instance(t, nil).heldBy(t, ""); len(held) != 0 {
			t.Errorf("held: %v", held)
		}
		stop()
		if err := g.Wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunRefusesBadPools(t *testing.T) {
	err := Run(t.Context(), Config{Pools: []*vmlinev1.Pool{v4Pool("v4", "203.0.113.1/24")}})
	if err == nil || !strings.Contains(err.Error(), "did you mean 203.0.113.0/24?") {
		t.Errorf("got %v", err)
	}
}

// TestRunRefusesARenamedPool: its addresses would be given a second time.
func TestRunRefusesARenamedPool(t *testing.T) {
	w := newWorld(t, startMiniredis(t))
	s := w.instance(t, nil)
	vm := s.mustGive(t, order("vm", 1, 0))
	vm.Cluster = "c1"
	if _, err := s.bus.Append(t.Context(), vm, 0); err != nil {
		t.Fatal(err)
	}
	elsewhere := v4Pool("elsewhere", "203.0.113.0/24")
	elsewhere.Cluster = "c2"
	for _, tt := range []struct {
		name  string
		pools []*vmlinev1.Pool
		want  string
	}{
		{"as it was", w.pools, ""},
		{"taken away", nil, ""},
		{"another cluster", []*vmlinev1.Pool{elsewhere}, ""},
		{"another range", []*vmlinev1.Pool{v4Pool("new", "203.0.113.128/25")}, ""},
		{"renamed", []*vmlinev1.Pool{v4Pool("new", "203.0.113.0/25")}, `VM vm has 203.0.113.1 of pool "v4", which is not configured, and pool "new" would give it again; name that pool "v4"`},
	} {
		w.pools = tt.pools
		err := w.instance(t, nil).checkNames(t.Context())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	cfg := Config{Bus: w.bus(t, nil), Redis: w.client(t), Pools: w.pools, Logger: slog.New(slog.DiscardHandler)}
	if err := Run(t.Context(), cfg); !errors.Is(err, errRenamed) {
		t.Errorf("it runs, or ends with %v", err)
	}
}
