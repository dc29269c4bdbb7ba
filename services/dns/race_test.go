package dns

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/overtake"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns/internal/update"
)

// process is a service whose messages to the DNS server pass through work.
func (w *world) process(work *overtake.Work) *service {
	w.Helper()
	cfg := w.config()
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return throughWork{conn, work}, err
	}
	s, err := newService(cfg)
	w.must(err)
	w.Cleanup(s.client.Close)
	return s
}

type throughWork struct {
	net.Conn
	work *overtake.Work
}

func (c throughWork) Write(p []byte) (n int, err error) {
	err = c.work.Call("message", func() error {
		n, err = c.Conn.Write(p)
		return err
	})
	return n, err
}

// delivered settles a state, and the newest one for as long as that fails, as the message that told of it does.
func (s *service) delivered(ctx context.Context, e bus.Entry) error {
	err := s.settle(ctx, e)
	for update.Passes(err) {
		if e, err = s.bus.Last(ctx, e.VM.GetRef()); err == nil {
			err = s.follow(ctx, e)
		}
	}
	return err
}

// TestALateProcess: one process makes the records of a VM's state so while the VM gets a newer one, for which
// another process does, in every way. In the end they are those of the newer state.
func TestALateProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		newer func(*vmlinev1.VM) *vmlinev1.VM
		want  map[string]string
	}{
		{"it is terminated", terminated, map[string]string{"vm1.example.com. A": "", "_vmline.vm1.example.com. TXT": "", reverse1 + " PTR": ""}},
		{"it has another address", func(vm *vmlinev1.VM) *vmlinev1.VM {
			vm.Operation.Result = &vmlinev1.Result{Released: vm.GetAddresses()}
			vm.Addresses = []*vmlinev1.Address{{Address: "192.0.2.2"}}
			return ready(vm)
		}, map[string]string{"vm1.example.com. A": "192.0.2.2", reverse1 + " PTR": "", reverse2 + " PTR": "vm1.example.com."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			late, last := &overtake.Work{}, &overtake.Work{}
			overtake.EveryWay(t, late, last, func(ref string) overtake.Scene {
				slow, fast, observer := w.process(late), w.process(last), w.service() // none knows anything yet
				vm := w.vm(1)
				vm.Ref, vm.Uid = ref, "uid-"+ref
				older := w.append(vm)
				return overtake.Scene{
					Slow: func() error { return slow.delivered(t.Context(), older) },
					Fast: func() error { return fast.delivered(t.Context(), w.append(tt.newer(proto.CloneOf(vm)))) },
					Check: func(t *testing.T, slowEnd, fastEnd error) {
						w.must(errors.Join(slowEnd, fastEnd))
						for what, want := range tt.want {
							name, rrtype, _ := strings.Cut(what, " ")
							if got := w.dig(name, rrtype); got != want {
								t.Errorf("%s is %q, want %q", what, got, want)
							}
						}
						w.must(observer.settle(t.Context(), w.append(terminated(proto.CloneOf(vm)))))
					},
				}
			})
		})
	}
}
