package provisioner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func newVM(n int) *vmlinev1.VM {
	return &vmlinev1.VM{Ref: fmt.Sprintf("w1-%d", n), Uid: fmt.Sprintf("u%d", n), Cluster: "dc1"}
}

func none(int) bool { return false }

// keys are the keys of the bucket.
func keys(t *testing.T, v *vmids) map[string]bool {
	t.Helper()
	held := map[string]bool{}
	must(t, v.bucket.Each(t.Context(), ">", func(i bus.Item) error {
		held[i.Key] = true
		return nil
	}))
	return held
}

func TestReserveTheLowestFree(t *testing.T) {
	b := openBus(t, nil, nil)
	v := instance(t, b)
	for _, tt := range []struct {
		name  string
		vm    *vmlinev1.VM
		first uint32
		used  func(int) bool
		want  int
	}{
		{"the first", newVM(1), 0, none, 100},
		{"the same again", newVM(1), 0, none, 100},
		{"the next", newVM(2), 0, none, 101},
		{"one in use on Proxmox is skipped", newVM(3), 0, func(id int) bool { return id == 102 }, 103},
		{"from the package's first VMID", newVM(4), 5000, none, 5000},
		{"a first VMID that Proxmox does not allow", newVM(5), 7, none, 102},
	} {
		tt.vm.Package = &vmlinev1.Package{FirstVmid: tt.first}
		got, err := v.reserve(t.Context(), tt.vm, tt.used, 0)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %d, %v; want %d", tt.name, got, err, tt.want)
		}
	}
	other := newVM(1)
	other.Cluster = "dc2"
	if got, err := v.reserve(t.Context(), other, none, 0); err != nil || got != 100 {
		t.Errorf("in another cluster: got %d, %v; want 100", got, err)
	}
	last := newVM(6)
	last.Package = &vmlinev1.Package{FirstVmid: maxVMID}
	var person *bus.NeedsPerson
	if _, err := v.reserve(t.Context(), last, func(int) bool { return true }, 0); !errors.As(err, &person) || person.Next == "" {
		t.Errorf("without a free VMID: %v", err)
	}
}

// TestManyReserveAtOnce has two instances reserve for a hundred VMs, each VM in both.
func TestManyReserveAtOnce(t *testing.T) {
	const vms = 100
	b := openBus(t, nil, nil)
	instances := []*vmids{instance(t, b), instance(t, b)}
	got := make([][2]int, vms)
	var work sync.WaitGroup
	for n := range vms {
		for i, v := range instances {
			work.Go(func() {
				vmid, err := v.reserve(t.Context(), newVM(n), none, 0)
				if err != nil {
					t.Error(err)
				}
				got[n][i] = vmid
			})
		}
	}
	work.Wait()
	owner := map[int]int{}
	for n, both := range got {
		for _, vmid := range both {
			if other, taken := owner[vmid]; taken && other != n {
				t.Errorf("VMID %d went to VM %d and to VM %d", vmid, other, n)
			}
			owner[vmid] = n
		}
	}
}

// TestReserveAfterALostAnswer cuts the answer of the create: whoever comes next finds the VMID again.
func TestReserveAfterALostAnswer(t *testing.T) {
	var lose atomic.Bool
	lost := errors.New("the answer is lost")
	b := openBus(t, nil, func(ctx context.Context, call string, do func(context.Context) error) error {
		err := do(ctx)
		if call == "kv.create" && lose.CompareAndSwap(true, false) {
			return lost
		}
		return err
	})
	v := instance(t, b)
	lose.Store(true)
	if _, err := v.reserve(t.Context(), newVM(1), none, 0); !errors.Is(err, lost) {
		t.Fatalf("got %v", err)
	}
	restarted := instance(t, b)
	for _, next := range []*vmids{v, restarted} {
		if got, err := next.reserve(t.Context(), newVM(1), none, 0); err != nil || got != 100 {
			t.Errorf("got %d, %v; want the 100 that was reserved", got, err)
		}
	}
	if held := keys(t, v); len(held) != 1 {
		t.Errorf("%v are held, want one", held)
	}
}

func TestReserveAnotherThanTheForeignOne(t *testing.T) {
	b := openBus(t, nil, nil)
	v := instance(t, b)
	first, err := v.reserve(t.Context(), newVM(1), none, 0)
	must(t, err)
	second, err := v.reserve(t.Context(), newVM(1), func(id int) bool { return id == first }, first)
	must(t, err)
	if second == first {
		t.Fatalf("got %d again", second)
	}
	// A restart in between does not lead back to the foreign one.
	again, err := instance(t, b).reserve(t.Context(), newVM(1), none, first)
	if err != nil || again != second {
		t.Fatalf("got %d, %v; want %d", again, err, second)
	}
	// Nor does a second foreign one lead back to the first.
	third, err := v.reserve(t.Context(), newVM(1), none, second)
	if err != nil || third == first || third == second {
		t.Fatalf("got %d, %v; want neither %d nor %d", third, err, first, second)
	}
}

// TestAKeyThatChangesHandsIsShown: another worker's key came and went while two orders wait for the same
// number, of which the bucket then gives it to one.
func TestAKeyThatChangesHandsIsShown(t *testing.T) {
	const key = "dc1.100"
	v := instance(t, openBus(t, nil, nil))
	v.note(key, "theirs", 1)
	first := v.await(key)
	v.forget(key)
	second := v.await(key)
	v.note(key, "u1", 3)
	for _, shown := range []<-chan struct{}{first, second} {
		select {
		case <-shown:
		default:
			t.Error("an order waits for ever")
		}
	}
}

func TestReleaseOnlyOnesOwn(t *testing.T) {
	b := openBus(t, nil, nil)
	v := instance(t, b)
	vmid, err := v.reserve(t.Context(), newVM(1), none, 0)
	must(t, err)
	must(t, v.release(t.Context(), "dc1", vmid, "u2"))
	must(t, v.release(t.Context(), "dc1", 999, "u1"))
	if held := keys(t, v); !held["dc1.100"] {
		t.Fatal("another VM has released it")
	}
	for range 2 {
		must(t, v.release(t.Context(), "dc1", vmid, "u1"))
	}
	if held := keys(t, v); len(held) != 0 {
		t.Fatalf("%v are held", held)
	}
}

// TestReconcile has one reservation for each thing that can become of one.
func TestReconcile(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	b := openBus(t, func() time.Time { return now }, nil)
	sim := pvesim.New(pvesim.Default())
	t.Cleanup(sim.Close)
	p := &provisioner{Config: Config{Bus: b, Clusters: map[string]*pve.Client{"dc1": client(t, sim)}, Logger: quiet}, vmids: instance(t, b)}

	reserved := func(key string, n int, age time.Duration) {
		must(t, p.vmids.bucket.Create(t.Context(), key, &vmlinev1.VMIDReservation{
			Ref: newVM(n).GetRef(), Uid: newVM(n).GetUid(), At: timestamppb.New(now.Add(-age)),
		}))
	}
	state := func(n int, vmid uint32, status vmlinev1.Status, uid string) {
		vm := newVM(n)
		vm.Vmid, vm.Status, vm.Uid = vmid, status, uid
		vm.Operation = &vmlinev1.Operation{Id: "op", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_RUNNING}
		_, err := b.Append(t.Context(), vm, 0)
		must(t, err)
	}
	const old = time.Hour
	const ready, terminated, begun = vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_TERMINATED, vmlinev1.Status_STATUS_SET_IP
	reserved("dc1.101", 1, old) // nobody's
	reserved("dc1.102", 2, old) // held
	state(2, 102, ready, "u2")
	reserved("dc1.103", 3, old) // its VM took another
	state(3, 500, ready, "u3")
	reserved("dc1.104", 4, old) // its VM is gone
	state(4, 104, terminated, "u4")
	reserved("dc1.105", 5, old) // its ref has a new VM
	state(5, 105, ready, "u5b")
	reserved("dc1.106", 6, old) // about to be given
	state(6, 0, begun, "u6")
	reserved("dc1.107", 7, time.Minute) // being made just now
	reserved("dc1.108", 8, old)         // nobody's, but the VM's machine has the number
	must(t, sim.AddVM(pvesim.VMSpec{VMID: 108, Node: "pve2", Name: "late", Config: map[string]string{"description": machine.Mark(newVM(8))}}))
	reserved("dc1.112", 12, old) // nobody's, and a foreign machine has the number
	must(t, sim.AddVM(pvesim.VMSpec{VMID: 112, Node: "pve2", Name: "foreign"}))
	reserved("dc9.109", 9, old)   // a cluster that is not configured
	reserved("dc1.bad", 10, old)  // no number
	reserved("dc1.1100", 11, old) // nobody's, after the bad one

	err := p.reconcile(t.Context())
	if err == nil || !strings.Contains(err.Error(), "dc1.bad") || strings.Contains(err.Error(), "dc1.1100") {
		t.Errorf("got %v, want an error about dc1.bad alone", err)
	}
	held := keys(t, p.vmids)
	for _, key := range []string{"dc1.102", "dc1.106", "dc1.107", "dc1.108", "dc9.109", "dc1.bad"} {
		if !held[key] {
			t.Errorf("%s is released", key)
		}
		delete(held, key)
	}
	for key := range held {
		t.Errorf("%s is still held", key)
	}
}

// TestReconcileKeepsWhatItCannotSee: no answer of Proxmox is no confirmation.
func TestReconcileKeepsWhatItCannotSee(t *testing.T) {
	b := openBus(t, nil, nil)
	sim := pvesim.New(pvesim.Default())
	t.Cleanup(sim.Close)
	sim.SetDown(true)
	p := &provisioner{Config: Config{Bus: b, Clusters: map[string]*pve.Client{"dc1": client(t, sim)}, Logger: quiet}, vmids: instance(t, b)}
	must(t, p.vmids.bucket.Create(t.Context(), "dc1.101", &vmlinev1.VMIDReservation{Ref: "w1-1", Uid: "u1"}))
	if err := p.reconcile(t.Context()); err == nil {
		t.Error("no error")
	}
	if held := keys(t, p.vmids); !held["dc1.101"] {
		t.Error("released while Proxmox does not answer")
	}
}
