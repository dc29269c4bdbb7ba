package feed

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/testbus"
	"github.com/vmline/vmline/pkg/leaktest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// start runs a feed on a real NATS server. write adds changes of a VM.
func start(t *testing.T) (f *Feed, write func(ref string, times int)) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	b := testbus.New(t, bus.Options{})
	f = New(b, quiet)
	last := map[string]uint64{}
	write = func(ref string, times int) {
		t.Helper()
		for range times {
			seq, err := b.Append(t.Context(), &vmlinev1.VM{Ref: ref}, last[ref])
			if err != nil {
				t.Fatal(err)
			}
			last[ref] = seq
		}
	}
	return f, write
}

func run(t *testing.T, f *Feed) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { cancel(); all.Wait() })
	<-f.Ready()
}

func TestReadersGetAllChangesFromWhereverTheyAre(t *testing.T) {
	f, write := start(t)
	write("a", 5) // before the feed runs: only the stream has them
	run(t, f)
	write("b", 150)
	write("c", 150)
	for _, from := range []uint64{0, 3, 5, 104, 304, 305} {
		want := from
		for after := from; ; {
			page, err := f.Page(t.Context(), after, 70)
			if err != nil || page.Gap || len(page.Entries) > 70 {
				t.Fatalf("after %d: %+v, %v", after, page, err)
			}
			for _, e := range page.Entries {
				if want++; e.Seq != want {
					t.Fatalf("from %d: %d came, want %d", from, e.Seq, want)
				}
			}
			if after = page.Cursor; !page.More {
				break
			}
		}
		if want != 305 {
			t.Errorf("from %d: ended at %d", from, want)
		}
	}
}

func TestChangedWakesWhoWaits(t *testing.T) {
	f, write := start(t)
	run(t, f)
	next := f.Changed(0)
	select {
	case <-next:
		t.Error("woken by nothing")
	default:
	}
	write("a", 1)
	select {
	case <-next:
	case <-time.After(20 * time.Second):
		t.Error("not woken")
	}
	<-f.Changed(0) // there is one already
}

func TestBoundsAreAskedForOnceForAllAndNeverOld(t *testing.T) {
	f, write := start(t)
	run(t, f)
	for i := range uint64(20) {
		write("a", 1)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if b, err := f.Bounds(t.Context()); err != nil || b.Last < i+1 {
					t.Errorf("after %d changes the log ends at %d, %v", i+1, b.Last, err)
				}
			})
		}
		all.Wait()
	}
}
