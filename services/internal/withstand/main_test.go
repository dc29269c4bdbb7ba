// Package withstand has the tests of what the whole of vmline must withstand: crowds, repetitions,
// outages, orders that cannot be met, and every fault that a Proxmox cluster is known for. "Row n"
// in a test's comment is a complaint from the field about systems of this kind.
package withstand

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/leaktest"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	create    = vmlinev1.Operation_KIND_CREATE
	terminate = vmlinev1.Operation_KIND_TERMINATE
)

// everyService are the services that a VM's chain needs.
var everyService = []chain.Service{chain.IPAM, chain.Provisioner, chain.Lifecycle}

// startAll runs so many instances of every service, all behind one edge.
func startAll(r *rig.Rig, instances int, edge rig.Edge) {
	for range instances {
		for _, s := range everyService {
			r.Start(s, edge)
		}
	}
}

// lapse is the default cluster with its clock a hundred times as fast: a lock that takes Proxmox 10 s
// to give up on takes 100 ms.
func lapse() *pvesim.Config {
	cfg := pvesim.Default()
	cfg.After = func(d time.Duration, f func()) func() {
		t := time.AfterFunc(d/100, f)
		return func() { t.Stop() }
	}
	return &cfg
}

// refs are n refs that have nothing to do with VMIDs (row 16).
func refs(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", prefix, 5001+i)
	}
	return out
}

// awaitAll waits until an operation of the kind has ended well for every ref, and checks its log.
func awaitAll(r *rig.Rig, refs []string, kind vmlinev1.Operation_Kind) {
	for _, ref := range refs {
		r.Await(ref, rig.Ended(kind))
		r.CheckLog(ref)
	}
}

// settled says that the VM's operation goes no further by itself.
func settled(kind vmlinev1.Operation_Kind) func(*vmlinev1.VM) bool {
	ended := rig.Ended(kind)
	return func(vm *vmlinev1.VM) bool { return ended(vm) || rig.Parked(vm) }
}

// again sends a command once more and waits until it goes no further by itself.
func again(r *rig.Rig, ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package) *vmlinev1.VM {
	id := r.Send(ref, kind, pkg)
	done := settled(kind)
	return r.Await(ref, func(vm *vmlinev1.VM) bool { return vm.GetOperation().GetId() == id && done(vm) })
}

// troubled says that the VM's operation is being tried again.
func troubled(vm *vmlinev1.VM) bool { return vm.GetRetry().GetAttempts() > 0 && vm.GetProblem() != nil }

// atOnce runs do n times at the same time.
func atOnce(n int, do func(i int)) {
	var (
		wait  sync.WaitGroup
		start = make(chan struct{})
	)
	for i := range n {
		wait.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wait.Wait()
}

// eventually waits for something that no VM's state shows.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatal("never came: " + what)
		case <-tick.C:
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
