package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// swept is long enough for one look of the sweeper at every machine.
const swept = 16 * time.Second

// BenchmarkUp is `vmline up` with as many machines in its streams: how soon it listens (its streams
// are open), is ready, has admitted an order and has made a machine, and what memory it takes then
// and after a sweep.
func BenchmarkUp(b *testing.B) {
	for _, machines := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			cluster := pvesim.New(pvesim.Default())
			b.Cleanup(cluster.Close)
			i := install(b, cluster, "", "", "github.com/vmline/vmline/services/vmline")
			if machines > 0 {
				populate(b, filepath.Join(i.dataDir(), "jetstream"), cluster, machines)
			}
			// At the first start the consumers are new and look at every machine.
			first := i.up("first")
			first.stop()
			var next *running
			var made, later memory
			for b.Loop() {
				next = i.up("next")
				made = next.memory()
				<-time.After(swept)
				later = next.memory()
				next.stop()
			}
			b.ReportMetric(bustest.Milliseconds(first.made), "first-made-ms")
			b.ReportMetric(bustest.Milliseconds(next.live), "live-ms")
			b.ReportMetric(bustest.Milliseconds(next.ready), "ready-ms")
			b.ReportMetric(bustest.Milliseconds(next.admitted), "admitted-ms")
			b.ReportMetric(bustest.Milliseconds(next.made), "made-ms")
			b.ReportMetric(made.Resident, "rss-MiB")
			b.ReportMetric(later.Resident, "swept-rss-MiB")
			b.ReportMetric(later.Anonymous, "swept-anon-MiB")
			b.ReportMetric(later.Peak, "peak-MiB")
		})
	}
}

// running is the program with the times, from its start, at which it had done something first.
type running struct {
	*program
	live, ready, admitted, made time.Duration
}

// up starts the program and makes one machine.
func (i *installation) up(ref string) *running {
	b := i.b
	b.Helper()
	start := time.Now()
	p := &running{program: i.start("vmline", "up")}
	i.answers("http://"+i.api+"/livez", nil)
	p.live = time.Since(start)
	i.answers("http://"+i.api+"/readyz", nil)
	p.ready = time.Since(start)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &api.Client{BaseURL: "http://" + i.api, Token: i.token(), HTTP: &http.Client{Transport: transport}}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	name := fmt.Sprintf("%s-%d", ref, start.UnixNano())
	op, err := client.PutService(ctx, name, api.Package{
		Cluster: rig.Cluster, Template: "tmpl", Cores: 1, MemoryMiB: 1024, Network: api.Network{Bridge: "vmbr0", IPv4Count: 1},
	})
	if err != nil {
		b.Fatal(err)
	}
	i.until("admitted", func() error {
		_, err := client.GetService(ctx, name)
		return err
	})
	p.admitted = time.Since(start)
	for !op.Ended() {
		if op, err = client.GetOperation(ctx, op.ID, 20*time.Second); err != nil {
			b.Fatal(err)
		}
	}
	if op.Status != api.StatusSucceeded {
		b.Fatalf("the order is %s: %+v", op.Status, op.Error)
	}
	p.made = time.Since(start)
	return p
}

// populate makes a cluster of machines, and streams that hold what the making of one really writes,
// as often as there are machines.
func populate(b *testing.B, dir string, cluster *pvesim.Cluster, machines int) {
	b.Helper()
	r, f := newFleet(b, rig.Options{})
	f.round("b", 1, rig.Small)
	history, err := r.Bus.History(b.Context(), "b-0")
	if err != nil {
		b.Fatal(err)
	}
	s, err := embedded.Start(embedded.Options{Dir: dir, Fast: true})
	if err != nil {
		b.Fatal(err)
	}
	defer embedded.Stop(s)
	nc, err := bus.DialInProcess(s, "bench", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	w := &writer{b: b, js: js}
	w.make()
	address := netip.MustParseAddr("10.64.1.0")
	for n := range machines {
		address = address.Next()
		w.machine(history, fmt.Sprintf("old-%d", n), uint32(10_000+n), address)
		if err := cluster.AddVM(pvesim.VMSpec{VMID: 10_000 + n, Node: "pve2", Name: "old", Storage: "local-lvm", DiskGB: 1}); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// writer fills streams without their fences, which is quick.
type writer struct {
	b  *testing.B
	js jetstream.JetStream
}

func (w *writer) make() {
	w.b.Helper()
	if _, err := w.js.CreateStream(w.b.Context(), bus.Streams[0]); err != nil {
		w.b.Fatal(err)
	}
	for _, kv := range bus.Buckets {
		if _, err := w.js.CreateKeyValue(w.b.Context(), kv); err != nil {
			w.b.Fatal(err)
		}
	}
}

// machine writes the history of one machine as another's, and what that one holds.
func (w *writer) machine(history []bus.Entry, ref string, vmid uint32, address netip.Addr) {
	w.b.Helper()
	uid := "u" + ref
	for _, e := range history {
		vm := proto.CloneOf(e.VM)
		vm.Ref, vm.Uid, vm.Operation.Id = ref, uid, "create."+ref
		if vm.Vmid != 0 {
			vm.Vmid = vmid
		}
		for _, a := range vm.Addresses {
			a.Address = address.String()
		}
		w.put(bus.Subject(ref), vm)
	}
	now := timestamppb.Now()
	w.put(fmt.Sprintf("$KV.%s.v4.%s", bus.BucketIPAM, address), &vmlinev1.Allocation{Ref: ref, Uid: uid, At: now})
	w.put(fmt.Sprintf("$KV.%s.%s.%d", bus.BucketVMID, rig.Cluster, vmid), &vmlinev1.VMIDReservation{Ref: ref, Uid: uid, At: now})
}

func (w *writer) put(subject string, m proto.Message) {
	w.b.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		w.b.Fatal(err)
	}
	if _, err := w.js.PublishAsync(subject, data); err != nil {
		w.b.Fatal(err)
	}
}
