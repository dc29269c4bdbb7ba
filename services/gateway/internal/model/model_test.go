package model

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/testbus"
	"github.com/vmline/vmline/pkg/leaktest"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/gateway/internal/cache/cachetest"
	"github.com/vmline/vmline/services/gateway/internal/feed"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// fixture is a model on a real NATS server.
type fixture struct {
	testing.TB
	bus   *bus.Bus
	model *Model
}

func start(t testing.TB, client redis.UniversalClient) *fixture {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	b := testbus.New(t, bus.Options{})
	f := feed.New(b, quiet)
	m := New(b, f, client, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = f.Run(ctx) })
	all.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return &fixture{t, b, m}
}

func (f *fixture) write(vm *vmlinev1.VM) {
	f.Helper()
	var after uint64
	if last, err := f.bus.Last(f.Context(), vm.GetRef()); err == nil {
		after = last.Seq
	}
	if _, err := f.bus.Append(f.Context(), vm, after); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) refs(filter Filter) string {
	f.Helper()
	vms, _, err := f.model.Page(f.Context(), filter, "", 100)
	if err != nil {
		f.Fatal(err)
	}
	return refsOf(vms)
}

func refsOf(vms []*vmlinev1.VM) string {
	var refs []string
	for _, vm := range vms {
		refs = append(refs, vm.GetRef())
	}
	return strings.Join(refs, " ")
}

// sample is a VM whose number says what it is found by.
func sample(i int) *vmlinev1.VM {
	status := []vmlinev1.Status{vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_SUSPENDED}[i%3]
	return &vmlinev1.VM{
		Ref: fmt.Sprintf("w1-%d", i), Status: status, Node: fmt.Sprintf("pve%d", i%2), Vmid: uint32(100 + i), Mac: fmt.Sprintf("BC:24:11:00:00:%02X", i),
		Package:   &vmlinev1.Package{Name: fmt.Sprintf("web%d", i), Customer: fmt.Sprintf("c%d", i/2), Dns: &vmlinev1.Dns{Domain: "vps.example."}},
		Addresses: []*vmlinev1.Address{{Address: fmt.Sprintf("192.0.2.%d", i)}, {Address: fmt.Sprintf("2001:db8::%x", i)}},
		Operation: &vmlinev1.Operation{Id: fmt.Sprintf("op%d", i), Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_PARKED - vmlinev1.Operation_State(i%2)},
	}
}

var questions = map[string]struct {
	filter Filter
	want   string
}{
	"all":              {Filter{}, "w1-0 w1-1 w1-2 w1-3 w1-4 w1-5"},
	"status":           {Filter{Status: "ready"}, "w1-0 w1-3"},
	"status and node":  {Filter{Status: "ready", Node: "pve1"}, "w1-3"},
	"customer":         {Filter{Customer: "c1"}, "w1-2 w1-3"},
	"name":             {Filter{Name: "web4"}, "w1-4"},
	"address":          {Filter{Address: "192.0.2.5"}, "w1-5"},
	"address, written": {Filter{Address: "2001:0db8::0005"}, "w1-5"},
	"parked":           {Filter{OperationStatus: "parked"}, "w1-0 w1-2 w1-4"},
	"begins, ref":      {Filter{Query: "W1-"}, "w1-0 w1-1 w1-2 w1-3 w1-4 w1-5"},
	"begins, name":     {Filter{Query: "web3.vps"}, "w1-3"},
	"begins, address":  {Filter{Query: "192.0.2.4"}, "w1-4"},
	"begins, MAC":      {Filter{Query: "bc:24:11:00:00:02"}, "w1-2"},
	"begins, VMID":     {Filter{Query: "101"}, "w1-1"},
	"begins and node":  {Filter{Query: "web", Node: "pve1"}, "w1-1 w1-3 w1-5"},
	"nothing":          {Filter{Node: "pve9"}, ""},
	"nothing begins":   {Filter{Query: "zzz"}, ""},
}

func TestQuestionsAreAnsweredFromRedisAndFromTheStream(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		f := start(t, s.Client)
		for i := range 6 {
			f.write(sample(i))
		}
		for name, q := range questions {
			if got := f.refs(q.filter); got != q.want {
				t.Errorf("%s: %q, want %q", name, got, q.want)
			}
			if vms, _, err := f.model.fromStream(t.Context(), q.filter, "", 100); err != nil || refsOf(vms) != q.want {
				t.Errorf("%s, from the stream: %q, want %q", name, refsOf(vms), q.want)
			}
		}
		fromRedis := func() { // it is built, and built anew, by itself
			for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
				_, _, err := f.model.fromRedis(t.Context(), Filter{}, "", 10)
				if err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("Redis is not built: %v", err)
				}
			}
		}
		fromRedis()
		for name, q := range questions {
			if got := f.refs(q.filter); got != q.want {
				t.Errorf("%s, from Redis: %q, want %q", name, got, q.want)
			}
		}

		moved := sample(3)
		moved.Node, moved.Addresses = "pve7", nil
		f.write(moved)
		if got := f.refs(Filter{Node: "pve7"}) + "|" + f.refs(Filter{Node: "pve1"}) + "|" + f.refs(Filter{Query: "192.0.2.3"}); got != "w1-3|w1-1 w1-5|" {
			t.Errorf("after a change: %q", got)
		}
		fromRedis()

		if err := s.Client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if got := f.refs(Filter{Node: "pve7"}); got != "w1-3" {
			t.Errorf("right after Redis was emptied: %q", got)
		}
		fromRedis()
		if got := f.refs(Filter{Node: "pve7"}); got != "w1-3" {
			t.Errorf("once it is built again: %q", got)
		}
	})
}

func TestWithoutRedis(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		f := start(t, s.Client)
		f.write(sample(0))
		if got := f.refs(Filter{}); got != "w1-0" {
			t.Fatalf("at first: %q", got)
		}
		s.Away()
		f.write(sample(1))
		if got := f.refs(Filter{}); got != "w1-0 w1-1" {
			t.Errorf("while Redis is away: %q", got)
		}
		s.Back()
		if got := f.refs(Filter{}); got != "w1-0 w1-1" {
			t.Errorf("once it is back: %q", got)
		}
	})
}

// TestATableOfAnotherStreamIsNotBelieved has a Redis that served an installation before.
func TestATableOfAnotherStreamIsNotBelieved(t *testing.T) {
	cachetest.OnBoth(t, func(t *testing.T, s *cachetest.Server) {
		old := start(t, s.Client)
		for i := range 3 {
			old.write(sample(i))
		}
		if got := old.refs(Filter{}); got != "w1-0 w1-1 w1-2" {
			t.Fatalf("the old one: %q", got)
		}
		f := start(t, s.Client)
		f.write(sample(5))
		if got := f.refs(Filter{}); got != "w1-5" {
			t.Errorf("the new one: %q", got)
		}
	})
}

func TestPagesGoThroughAll(t *testing.T) {
	f := start(t, nil)
	for i := range 9 {
		f.write(sample(i))
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		filter := Filter{Status: rapid.SampledFrom([]string{"", "ready"}).Draw(t, "status")}
		var got []string
		for after, more := "", true; more; {
			var vms []*vmlinev1.VM
			var err error
			vms, more, err = f.model.Page(context.Background(), filter, after, limit)
			if err != nil || len(vms) > limit || more && len(vms) != limit {
				t.Fatalf("%d VMs, more %t, %v", len(vms), more, err)
			}
			for _, vm := range vms {
				got, after = append(got, vm.GetRef()), vm.GetRef()
			}
		}
		want := 9
		if filter.Status != "" {
			want = 3
		}
		if len(got) != want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != want {
			t.Fatalf("got %q", got)
		}
	})
}
