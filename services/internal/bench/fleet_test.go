package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/bus/bustest"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/internal/rig"
)

// fleet orders machines and sees them become ready, or go.
type fleet struct {
	b      *testing.B
	bus    *bus.Bus
	chains bustest.Chains

	mu sync.Mutex
	// last has the last operation of every machine.
	last map[string]string
}

// newFleet runs every service and carries one machine to ready and to its end, so that nothing is
// cold.
func newFleet(b *testing.B, o rig.Options) (*rig.Rig, *fleet) {
	b.Helper()
	r := rig.New(b, o)
	r.StartAll()
	f := watchFleet(b, r.Bus, r.URL())
	f.round("warm", 1, rig.Small)
	f.terminateAll()
	f.chains.Forget()
	return r, f
}

// watchFleet watches the machines on a NATS server.
func watchFleet(b *testing.B, stream *bus.Bus, url string) *fleet {
	b.Helper()
	f := &fleet{b: b, bus: stream, last: map[string]string{}}
	f.chains.Where = f.where
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	// A header says enough, so that the watching costs next to nothing.
	ends := map[string]bool{
		chain.Name(vmlinev1.Status_STATUS_READY): true, chain.Name(vmlinev1.Status_STATUS_TERMINATED): true,
	}
	_, err = nc.Subscribe(bus.TailSubject("*"), func(msg *nats.Msg) {
		if ends[msg.Header.Get(bus.HeaderStatus)] && msg.Header.Get(bus.HeaderOwner) == "" {
			f.chains.End(strings.TrimPrefix(msg.Subject, bus.TailSubject("")))
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	return f
}

func (f *fleet) where(ref string) string {
	e, err := f.bus.Last(f.b.Context(), ref)
	return fmt.Sprint(e.VM, err)
}

// order sends the command to create a machine.
func (f *fleet) order(ref string, pkg *vmlinev1.Package) { f.send(ref, create, pkg) }

func (f *fleet) send(ref string, kind vmlinev1.Operation_Kind, pkg *vmlinev1.Package) {
	f.mu.Lock()
	cmd, err := rig.Command(ref, kind, pkg, f.last[ref])
	f.last[ref] = cmd.GetId()
	f.mu.Unlock()
	if err == nil {
		err = f.bus.SendCommand(f.b.Context(), cmd)
	}
	if err != nil {
		f.b.Error(err)
	}
}

// round orders n machines at once and waits until they are ready.
func (f *fleet) round(name string, n int, pkg func(name string) *vmlinev1.Package) {
	f.b.Helper()
	f.chains.Round(f.b, name, n, func(ref string) { f.order(ref, pkg(ref)) })
}

// terminateAll takes every machine away and waits until all are gone.
func (f *fleet) terminateAll() {
	f.b.Helper()
	f.chains.RoundOf(f.b, slices.Collect(maps.Keys(f.last)), func(ref string) { f.send(ref, terminate, nil) })
	clear(f.last)
}
