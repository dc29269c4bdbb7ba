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
	minutes.Store(1)
	reserve(3, 100)
}
