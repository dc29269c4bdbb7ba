package lease

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// hall is a Redis with a clock, where any number of processes come.
type hall struct {
	t     *testing.T
	redis *miniredis.Miniredis
	ahead atomic.Int64 // of the clock, in seconds
}

func newHall(t *testing.T) *hall { return &hall{t: t, redis: miniredis.RunT(t)} }

// process is one more process; its end is sudden: nothing is given back.
func (h *hall) process() (q *Queue, die func()) {
	client := redis.NewClient(&redis.Options{Addr: h.redis.Addr(), MaxRetries: -1, DialTimeout: sure})
	q = New(client, "dc1", func() time.Time { return noon.Add(time.Duration(h.ahead.Load()) * time.Second) }, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	var once sync.Once
	die = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				h.t.Error(err)
			}
			_ = client.Close() // it dies
		})
	}
	h.t.Cleanup(die)
	return q, die
}

func task(id string, limit int) Task { return Task{ID: id, Uses: use("storage shared1", limit)} }

func (h *hall) acquire(q *Queue, task Task, patience time.Duration) (bool, string) {
	h.t.Helper()
	granted, reason, err := q.Acquire(h.t.Context(), task, patience)
	must(h.t, err)
	return granted, reason
}

// hold takes a lease that is free.
func (h *hall) hold(q *Queue, task Task) {
	h.t.Helper()
	if ok, _ := h.acquire(q, task, sure); !ok {
		h.t.Fatal("a free lease is not given")
	}
}

const (
	soon  = 50 * time.Millisecond
	sure  = 30 * time.Second
	brief = 300 * time.Millisecond
)

func TestTheNextGoesOnAtOnce(t *testing.T) {
	h := newHall(t)
	here, _ := h.process()
	there, _ := h.process()
	h.hold(here, task("a", 1))
	if ok, _ := h.acquire(here, task("a", 1), sure); !ok {
		t.Fatal("asking again is not the same lease")
	}
	const before = "waits for its turn: 1 of 1 heavy tasks run on storage shared1; 0 wait before it"
	eventually(t, func() bool { // the table is looked at soon, perhaps not within so brief a time
		ok, reason := h.acquire(there, task("b", 1), brief)
		if ok {
			t.Fatal("it was given beside the other")
		}
		return reason == before
	})
	released := make(chan struct{})
	time.AfterFunc(soon, func() { here.Release(t.Context(), "a"); close(released) })
	if ok, reason := h.acquire(there, task("b", 1), sure); !ok {
		t.Fatalf("the next does not go on: %s", reason)
	}
	<-released
}

func TestALeaseEndsWithItsHolder(t *testing.T) {
	h := newHall(t)
	here, die := h.process()
	there, _ := h.process()
	h.hold(here, task("a", 1))
	die()
	h.ahead.Store(29)
	if ok, _ := h.acquire(there, task("b", 1), brief); ok {
		t.Fatal("the lease of one that may live was given away")
	}
	h.ahead.Store(31)
	if ok, reason := h.acquire(there, task("b", 1), sure); !ok {
		t.Fatalf("the lease of a dead holder stays: %s", reason)
	}
}

// TestAnotherGoesOnWithTheTask: the first process hands over, the second holds the same lease and renews it.
func TestAnotherGoesOnWithTheTask(t *testing.T) {
	h := newHall(t)
	here, _ := h.process()
	there, _ := h.process()
	h.hold(here, task("a", 1))
	here.Leave("a")
	there.Hold(task("a", 1))
	for i := range 4 {
		if ok, _ := h.acquire(here, task("b", 1), brief); ok {
			t.Fatalf("after %d s the lease was given away", 20*i)
		}
		// The renewal is seen in Redis before the clock goes on.
		until := noon.Add(time.Duration(h.ahead.Load())*time.Second + holdTime).Format(time.RFC3339)
		eventually(t, func() bool { v, _ := h.redis.Get("vmline:leases:dc1"); return strings.Contains(v, until[:19]) })
		h.ahead.Add(20)
	}
	there.Release(t.Context(), "a")
	if ok, reason := h.acquire(here, task("b", 1), sure); !ok {
		t.Fatal(reason)
	}
}

func TestWhatRedisForgetsIsToldAgain(t *testing.T) {
	h := newHall(t)
	here, _ := h.process()
	there, _ := h.process()
	h.hold(here, task("a", 1))
	h.redis.FlushAll()
	eventually(t, func() bool { return h.redis.Exists("vmline:leases:dc1") })
	if ok, _ := h.acquire(there, task("b", 1), brief); ok {
		t.Fatal("a lease was lost with the table")
	}
	if err := h.redis.Set("vmline:leases:dc1", "what is this?"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { v, _ := h.redis.Get("vmline:leases:dc1"); return strings.HasPrefix(v, "{") })
}

// TestALostTableIsKnownWhateverWasSeenInIt: the one that finds it missing had looked last before another
// got its lease.
func TestALostTableIsKnownWhateverWasSeenInIt(t *testing.T) {
	h := newHall(t)
	here, _ := h.process()
	there, _ := h.process()
	h.hold(here, task("a", 1))
	here.Release(t.Context(), "a")
	h.hold(there, task("b", 1))
	h.redis.FlushAll()
	if ok, _ := h.acquire(here, task("c", 1), brief); ok {
		t.Fatal("a lease was lost with the table")
	}
}

// TestWithoutRedisEachProcessHasTheLimit: what runs goes on to count, and the limit stays.
func TestWithoutRedisEachProcessHasTheLimit(t *testing.T) {
	h := newHall(t)
	q, _ := h.process()
	h.hold(q, task("a", 2))
	h.redis.Close()
	if ok, reason := h.acquire(q, task("b", 2), sure); !ok {
		t.Fatalf("work stands still without Redis: %s", reason)
	}
	if ok, _ := h.acquire(q, task("c", 2), brief); ok {
		t.Fatal("there is no limit without Redis")
	}
	q.Release(t.Context(), "a")
	if ok, reason := h.acquire(q, task("c", 2), sure); !ok {
		t.Fatal(reason)
	}
	must(t, h.redis.Restart())
	eventually(t, func() bool {
		v, _ := h.redis.Get("vmline:leases:dc1")
		return strings.Contains(v, `"b"`) && strings.Contains(v, `"c"`)
	})
}

// TestACrowdKeepsToTheLimit: three processes, forty tasks, two at a time.
func TestACrowdKeepsToTheLimit(t *testing.T) {
	h := newHall(t)
	var running, most atomic.Int64
	var all sync.WaitGroup
	for p := range 3 {
		q, _ := h.process()
		for i := range 14 {
			all.Go(func() {
				id := fmt.Sprintf("vm-%d-%d", p, i)
				for ok := false; !ok; {
					ok, _ = h.acquire(q, Task{ID: id, Customer: fmt.Sprint(i % 3), Uses: use("storage shared1", 2)}, brief)
				}
				for n := running.Add(1); ; {
					old := most.Load()
					if n <= old || most.CompareAndSwap(old, n) {
						break
					}
				}
				<-time.After(5 * time.Millisecond)
				running.Add(-1)
				q.Release(t.Context(), id)
			})
		}
	}
	all.Wait()
	if most.Load() != 2 {
		t.Errorf("%d ran at once, want 2", most.Load())
	}
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	q := New(nil, "dc1", time.Now, quiet)
	q.Hold(task("a", 1))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(soon, cancel)
	if ok, _, err := q.Acquire(ctx, task("b", 1), sure); ok || err == nil {
		t.Errorf("%t, %v", ok, err)
	}
}

func eventually(t *testing.T, so func() bool) {
	t.Helper()
	deadline := time.After(sure)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatal("it never came")
		case <-tick.C:
		}
	}
}
