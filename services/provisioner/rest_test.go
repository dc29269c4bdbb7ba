package provisioner

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestAVMIDThatWasGivenBackRests: a call for the VM that had it may still be under way.
func TestAVMIDThatWasGivenBackRests(t *testing.T) {
	var minutes atomic.Int64
	start := time.Now()
	b := openBus(t, func() time.Time { return start.Add(time.Duration(minutes.Load()) * time.Minute) }, nil)
	v := instance(t, b)
	reserve := func(n, want int) {
		t.Helper()
		if got, err := v.reserve(t.Context(), newVM(n), none, 0); err != nil || got != want {
			t.Errorf("VM %d got %d, %v; want %d", n, got, err, want)
		}
	}
	reserve(1, 100)
	must(t, v.release(t.Context(), "dc1", 100, newVM(1).GetUid()))
	reserve(2, 101) // what follows a release in the bucket is seen after it
	restarted := instance(t, b)
	if got, err := restarted.reserve(t.Context(), newVM(4), none, 0); err != nil || got != 102 {
		t.Errorf("after a restart VM 4 got %d, %v; want 102", got, err)
	}
	minutes.Store(1)
	reserve(3, 100)
	must(t, restarted.release(t.Context(), "dc1", 100, newVM(3).GetUid()))
	minutes.Store(3)
	if got, err := instance(t, b).reserve(t.Context(), newVM(5), none, 0); err != nil || got != 100 {
		t.Errorf("after another restart, later, VM 5 got %d, %v; want 100", got, err)
	}
}
