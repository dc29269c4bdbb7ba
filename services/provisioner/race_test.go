package provisioner

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/embedded"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/overtake"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/pvesim"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/lease"
)

// shop is a NATS server and a cluster, where provisioners overtake each other.
type shop struct {
	t    *testing.T
	nats nats.InProcessConnProvider
	sim  *pvesim.Cluster
}

func newShop(t *testing.T) *shop {
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Fast: true})
	must(t, err)
	t.Cleanup(func() { embedded.Stop(server) })
	s := &shop{t: t, nats: server, sim: pvesim.New(pvesim.Default())}
	t.Cleanup(s.sim.Close)
	must(t, s.bus(nil).Apply(t.Context(), 1))
	return s
}

func (s *shop) bus(intercept bus.Interceptor) *bus.Bus {
	conn, err := bus.DialInProcess(s.nats, "test", quiet)
	must(s.t, err)
	s.t.Cleanup(conn.Close)
	b, err := bus.New(conn, bus.Options{Logger: slog.New(slog.DiscardHandler), Intercept: intercept})
	must(s.t, err)
	return b
}

// hand is one provisioner that does a step when it is told to.
type hand struct {
	*provisioner
	worker *bus.Worker
}

// hand starts one whose calls, to the bus and to Proxmox, pass through work, which may be nil.
func (s *shop) hand(work *overtake.Work) *hand {
	var intercept bus.Interceptor
	transport := http.RoundTripper(s.sim)
	if work != nil {
		intercept = func(ctx context.Context, call string, do func(context.Context) error) error {
			return work.Call(call, func() error { return do(ctx) })
		}
		transport = throughWork{work, s.sim}
	}
	b := s.bus(intercept)
	c, err := pve.New(pve.Config{
		Name: "dc1", URL: "https://pve.invalid:8006", Transport: transport,
		TokenID: "vmline@pve!prov", TokenSecret: pvesim.Default().Tokens["vmline@pve!prov"],
	})
	must(s.t, err)
	s.t.Cleanup(c.Close)
	ids := instance(s.t, b)
	ids.restTime = time.Nanosecond
	p := &provisioner{
		Config: Config{Bus: b, Clusters: map[string]*pve.Client{"dc1": c}, Logger: quiet}, vmids: ids,
		inventories: map[string]*inventory{"dc1": newInventory(c, Rules{}, b.Now, quiet)},
		leases:      map[string]*lease.Queue{"dc1": lease.New(nil, "dc1", b.Now, quiet)}, inFlight: newInFlight(b),
	}
	worker, err := b.NewWorker(chain.Provisioner, p.steps())
	must(s.t, err)
	<-ids.ready
	return &hand{p, worker}
}

type throughWork struct {
	work *overtake.Work
	sim  *pvesim.Cluster
}

func (w throughWork) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	err = w.work.Call(r.Method+" "+r.URL.Path, func() error {
		answer, err = w.sim.RoundTrip(r)
		return err
	})
	return answer, err
}

// send begins a command's operation on the VM as it is, as admission does.
func (h *hand) send(ctx context.Context, cmd *vmlinev1.Command) error {
	for {
		last, err := h.Bus.Last(ctx, cmd.GetRef())
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return err
		}
		vm := chain.Begin(last.VM, cmd, h.Bus.Now(), func() string { return "uid-" + cmd.GetRef() })
		if _, err = h.Bus.Append(ctx, vm, last.Seq); !errors.Is(err, bus.ErrSuperseded) {
			return err
		}
	}
}

// carry does the VM's steps to the end of its operation. Those of others are taken for done.
func (h *hand) carry(ctx context.Context, ref string) error {
	for {
		last, err := h.Bus.Last(ctx, ref)
		if err != nil {
			return err
		}
		step, ok := chain.Next(last.VM)
		switch {
		case !ok:
			return nil
		case step.Owner == chain.Provisioner:
			err = h.worker.Retry(ctx, ref, last.Seq)
		default:
			vm := last.VM
			vm.Status, vm.Operation.Reached = step.To, append(vm.Operation.Reached, &vmlinev1.Reached{Status: step.To, At: timestamppb.Now()})
			if chain.Last(vm) {
				vm.Operation.State = vmlinev1.Operation_STATE_SUCCEEDED
			}
			_, err = h.Bus.Append(ctx, vm, last.Seq)
		}
		if err != nil && !errors.Is(err, bus.ErrSuperseded) {
			return err
		}
	}
}

// once does the VM's next step once.
func (h *hand) once(ctx context.Context, ref string) error {
	last, err := h.Bus.Last(ctx, ref)
	if err != nil {
		return err
	}
	return h.worker.Retry(ctx, ref, last.Seq)
}

func (s *shop) holdsNothing(t *testing.T, h *hand, slow, fast error) {
	t.Helper()
	must(t, errors.Join(slow, fast))
	if held := keys(t, h.vmids); len(held) != 0 {
		t.Errorf("%v are held", held)
	}
}

// TestATerminationBesideALatePlacement: the VM gets its VMID while it is being taken away, in every way. No VMID
// stays held, also where the answer to its reservation was lost.
func TestATerminationBesideALatePlacement(t *testing.T) {
	for _, lost := range []bool{false, true} {
		s, late, last := newShop(t), &overtake.Work{}, &overtake.Work{}
		slow, fast, observer := s.hand(late), s.hand(last), s.hand(nil)
		if lost {
			slow.vmids.bucket = s.losing(late)
		}
		overtake.EveryWay(t, late, last, func(ref string) overtake.Scene {
			must(t, observer.send(t.Context(), &vmlinev1.Command{
				Id: "create", Ref: ref, Kind: vmlinev1.Operation_KIND_CREATE,
				Package: &vmlinev1.Package{Cluster: "dc1", Template: "tmpl", Name: ref, Network: &vmlinev1.Network{Bridge: "vmbr0"}},
			}))
			s.reach(observer, ref)
			return overtake.Scene{
				Slow: func() error { return slow.once(t.Context(), ref) },
				Fast: func() error {
					err := fast.send(t.Context(), &vmlinev1.Command{Id: "end", Ref: ref, Kind: vmlinev1.Operation_KIND_TERMINATE})
					return errors.Join(err, fast.carry(t.Context(), ref))
				},
				Check: func(t *testing.T, slow, fast error) { s.holdsNothing(t, observer, slow, fast) },
			}
		})
	}
}

// reach takes the VM to set_ip, which is not ours to do.
func (s *shop) reach(h *hand, ref string) {
	last, err := h.Bus.Last(s.t.Context(), ref)
	must(s.t, err)
	vm := last.VM
	vm.Status, vm.Operation.Reached = vmlinev1.Status_STATUS_SET_IP, append(vm.Operation.Reached, &vmlinev1.Reached{Status: vmlinev1.Status_STATUS_SET_IP})
	_, err = h.Bus.Append(s.t.Context(), vm, last.Seq)
	must(s.t, err)
}

var errAnswerLost = errors.New("the answer is lost")

// losing is the bucket of VMIDs on a connection that loses the answer to each creation.
func (s *shop) losing(work *overtake.Work) *bus.Bucket {
	b := s.bus(func(ctx context.Context, call string, do func(context.Context) error) error {
		err := work.Call(call, func() error { return do(ctx) })
		if call == "kv.create" && err == nil {
			err = errAnswerLost
		}
		return err
	})
	bucket, err := b.Bucket(s.t.Context(), bus.BucketVMID)
	must(s.t, err)
	return bucket
}

// TestACancelBesideALateAdoption: an adoption is cancelled while it marks the machine, in every way. The machine
// stays as it was, and no VMID stays held.
func TestACancelBesideALateAdoption(t *testing.T) {
	s, late, last := newShop(t), &overtake.Work{}, &overtake.Work{}
	slow, fast, observer := s.hand(late), s.hand(last), s.hand(nil)
	must(t, s.sim.AddVM(pvesim.VMSpec{VMID: 150, Node: "pve2", Name: "theirs", Storage: "shared1", DiskGB: 1, Config: map[string]string{"description": "a note", "tags": "blue"}}))
	overtake.EveryWay(t, late, last, func(ref string) overtake.Scene {
		must(t, observer.send(t.Context(), &vmlinev1.Command{
			Id: "adopt", Ref: ref, Kind: vmlinev1.Operation_KIND_ADOPT, Params: &vmlinev1.Params{Vmid: 150},
			Package: &vmlinev1.Package{Cluster: "dc1", Network: &vmlinev1.Network{Bridge: "vmbr0"}},
		}))
		return overtake.Scene{
			Slow: func() error { return slow.once(t.Context(), ref) },
			Fast: func() error {
				err := fast.send(t.Context(), &vmlinev1.Command{Id: "cancel", Ref: ref, Kind: vmlinev1.Operation_KIND_CANCEL})
				return errors.Join(err, fast.carry(t.Context(), ref))
			},
			Check: func(t *testing.T, slow, fast error) {
				s.holdsNothing(t, observer, slow, fast)
				cfg, err := observer.Clusters["dc1"].VMConfig(t.Context(), "pve2", 150)
				must(t, err)
				if machine.MarkIn(cfg) != "" || cfg.Description() != "a note" || !slices.Equal(cfg.Tags(), []string{"blue"}) {
					t.Errorf("the machine says %q, with the tags %v", cfg.Description(), cfg.Tags())
				}
			},
		}
	})
}
