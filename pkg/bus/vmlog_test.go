package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

var errLost = errors.New("lost")

// nth meddles with the nth call of a name: before says whether the call is lost or its answer.
func nth(n int, name string, before bool) Interceptor {
	var mu sync.Mutex
	return func(ctx context.Context, call string, do func(context.Context) error) error {
		mu.Lock()
		hit := false
		if call == name {
			n--
			hit = n == 0
		}
		mu.Unlock()
		if !hit {
			return do(ctx)
		}
		if before {
			return errLost
		}
		if err := do(ctx); err != nil {
			return err
		}
		return errLost
	}
}

func TestAppendIsFenced(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	first := begin(t, b, "a-1", create)
	if _, err := b.Append(ctx, admitted("a-1", create), 0); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a second creation: %v, want ErrSuperseded", err)
	}
	second, err := b.Append(ctx, admitted("a-1", create), first)
	if err != nil || second <= first {
		t.Fatalf("next state: %d, %v", second, err)
	}
	if _, err := b.Append(ctx, admitted("a-1", create), first); !errors.Is(err, ErrSuperseded) {
		t.Errorf("a write on an old state: %v, want ErrSuperseded", err)
	}
	last, err := b.Last(ctx, "a-1")
	if err != nil || last.Seq != second {
		t.Errorf("last is %d, %v; want %d", last.Seq, err, second)
	}
	if _, err := b.Last(ctx, "a-2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a VM that does not exist: %v", err)
	}
	if _, err := b.Last(ctx, "a.2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a ref that cannot be: %v", err)
	}
}

func TestAppendAfterLostCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		with Interceptor
	}{
		{"the answer", nth(2, "vm.append", false)},
		{"the call itself", nth(2, "vm.append", true)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, Options{Intercept: tt.with})
			ctx := testContext(t)
			first := begin(t, b, "a-1", create)
			seq, err := b.Append(ctx, admitted("a-1", create), first)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := b.History(ctx, "a-1")
			if err != nil || len(entries) != 2 || entries[1].Seq != seq {
				t.Fatalf("history has %d entries, %v; Append said %d", len(entries), err, seq)
			}
		})
	}
}

// TestAppendAfterLostCallAndAnotherWriter loses the call and lets somebody else write meanwhile.
func TestAppendAfterLostCallAndAnotherWriter(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	other := apply(t, connect(t, s, Options{}))
	first := begin(t, other, "a-1", create)
	b := connect(t, s, Options{Intercept: func(ctx context.Context, call string, do func(context.Context) error) error {
		if call == "vm.append" {
			if _, err := other.Append(ctx, admitted("a-1", create), first); err != nil {
				t.Error(err)
			}
			return errLost
		}
		return do(ctx)
	}})
	if _, err := b.Append(testContext(t), admitted("a-1", create), first); !errors.Is(err, ErrSuperseded) {
		t.Errorf("got %v, want ErrSuperseded", err)
	}
}

func TestAppendRefusesWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	for name, change := range map[string]func(*vmlinev1.VM){
		"over the stream's limit":   func(vm *vmlinev1.VM) { vm.Warnings = []string{strings.Repeat("x", 300<<10)} },
		"over the server's payload": func(vm *vmlinev1.VM) { vm.Warnings = []string{strings.Repeat("x", 2<<20)} },
		"not UTF-8":                 func(vm *vmlinev1.VM) { vm.Node = "\xff" },
		"no ref":                    func(vm *vmlinev1.VM) { vm.Ref = "a.b" },
	} {
		vm := admitted("a-1", create)
		change(vm)
		if _, err := b.Append(ctx, vm, 0); !errors.Is(err, ErrUnstorable) {
			t.Errorf("%s: %v, want ErrUnstorable", name, err)
		}
	}
}

func TestAppendEndsWithItsContextOrConnection(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	lost := 0
	b.intercept = func(context.Context, string, func(context.Context) error) error {
		if lost++; lost == 6 {
			cancel()
		}
		return nats.ErrReconnectBufExceeded // what every call says while the server is away
	}
	if _, err := b.Append(ctx, admitted("a-1", create), 0); !errors.Is(err, context.Canceled) || !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("got %v, want the cancellation and the cause", err)
	}
	closed := open(t, Options{})
	closed.nc.Close()
	if _, err := closed.Append(testContext(t), admitted("a-1", create), 0); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want ErrConnectionClosed", err)
	}
}

func TestRetryable(t *testing.T) {
	api := func(status int, code jetstream.ErrorCode) error {
		return fmt.Errorf("publish: %w", &jetstream.APIError{Code: status, ErrorCode: code})
	}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{api(400, 10071), true},
		{api(400, 10164), true},
		{api(503, 10077), true},
		{api(400, errCodeTooLarge), false},
		{api(404, 10059), false},
		{context.DeadlineExceeded, true},
		{nats.ErrNoResponders, true},
		{nats.ErrReconnectBufExceeded, true},
		{nats.ErrConnectionClosed, false},
	} {
		if got := retryable(tt.err); got != tt.want {
			t.Errorf("%v: retryable %t, want %t", tt.err, got, tt.want)
		}
	}
}

// raceWriters has writers build on the same state for some rounds. Exactly one may win each.
func raceWriters(t *testing.T, buses []*Bus, rounds int) {
	ctx := testContext(t)
	const writers = 8
	seq := uint64(0)
	for round := range rounds {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			wins []uint64
		)
		for i := range writers {
			wg.Go(func() {
				got, err := buses[i%len(buses)].Append(ctx, admitted("race", create), seq)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					wins = append(wins, got)
				case !errors.Is(err, ErrSuperseded):
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		if len(wins) != 1 {
			t.Fatalf("round %d: %d writers won", round, len(wins))
		}
		seq = wins[0]
	}
	entries, err := buses[0].History(ctx, "race")
	if err != nil || len(entries) != rounds {
		t.Errorf("%d entries after %d rounds, %v", len(entries), rounds, err)
	}
}

func TestOneWriterWins(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	raceWriters(t, []*Bus{apply(t, connect(t, s, Options{})), connect(t, s, Options{})}, 50)
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	begin(t, b, "other", create)
	seq := begin(t, b, "a-1", create)
	for range 205 {
		var err error
		if seq, err = b.Append(ctx, admitted("a-1", create), seq); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := b.History(ctx, "a-1")
	if err != nil || len(entries) != 200 || entries[199].Seq != seq || entries[0].VM.GetRef() != "a-1" {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if _, err := b.History(ctx, "a-2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a VM that does not exist: %v", err)
	}
	if _, err := b.History(ctx, "*"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a ref that cannot be: %v", err)
	}
}

// TestEachSince: a reader that comes again gets every change since, in its order, and no other.
func TestEachSince(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	last := uint64(0)
	since := func() (seqs []uint64) {
		t.Helper()
		err := b.EachSince(ctx, last, func(e Entry) error {
			seqs, last = append(seqs, e.Seq), e.Seq
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return seqs
	}
	if got := since(); got != nil {
		t.Errorf("an empty log: %v", got)
	}
	first, second := begin(t, b, "a-1", create), begin(t, b, "a-2", create)
	if got, want := since(), []uint64{first, second}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := since(); got != nil {
		t.Errorf("nothing has changed: %v", got)
	}
	third, err := b.Append(ctx, admitted("a-1", create), first)
	if err != nil {
		t.Fatal(err)
	}
	fourth, err := b.Append(ctx, admitted("a-1", create), third)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := since(), []uint64{third, fourth}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	seen := map[string]uint64{}
	each := func() error {
		clear(seen)
		return b.Each(ctx, func(e Entry) error { seen[e.VM.GetRef()] = e.Seq; return nil })
	}
	if err := each(); err != nil || len(seen) != 0 {
		t.Fatalf("an empty log: %v, %v", seen, err)
	}
	want := map[string]uint64{}
	for i := range 30 {
		ref := fmt.Sprintf("a-%d", i)
		seq := begin(t, b, ref, create)
		for range i % 3 {
			seq, _ = b.Append(ctx, admitted(ref, create), seq)
		}
		want[ref] = seq
	}
	if _, err := b.js.Publish(ctx, "vm.broken", []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	if err := each(); err != nil || fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("got %v, %v; want %v", seen, err, want)
	}
	stop := errors.New("stop")
	if err := b.Each(ctx, func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the caller's error", err)
	}
	info, err := b.js.Stream(ctx, StreamVM)
	if err != nil {
		t.Fatal(err)
	}
	if n := info.CachedInfo().State.Consumers; n != 5 {
		t.Errorf("%d consumers are left, want the 5 of the topology", n)
	}
}

func TestHeadersNameTheOwnerOfTheNextStep(t *testing.T) {
	t.Parallel()
	b := open(t, Options{})
	ctx := testContext(t)
	seq := begin(t, b, "a-1", create)
	read := func() nats.Header {
		stream, err := b.js.Stream(ctx, StreamVM)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := stream.GetLastMsgForSubject(ctx, "vm.a-1")
		if err != nil {
			t.Fatal(err)
		}
		return msg.Header
	}
	if h := read(); h.Get(HeaderOwner) != string(chain.IPAM) || h.Get(HeaderStatus) != "creation" {
		t.Errorf("headers %v", h)
	}
	vm := admitted("a-1", create)
	vm.Operation.State = vmlinev1.Operation_STATE_PARKED
	if _, err := b.Append(ctx, vm, seq); err != nil {
		t.Fatal(err)
	}
	if h := read(); h.Get(HeaderOwner) != "" {
		t.Errorf("a parked VM asks %s to act", h.Get(HeaderOwner))
	}
}
