package bus

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vmline/vmline/pkg/chain"
)

// RecurringTick is a tick that a message schedule fires again and again.
type RecurringTick struct {
	Tick  string
	Every time.Duration
	// Purpose says what its handler does.
	Purpose string
}

// The recurring ticks, without the leading "tick.".
const (
	// TickSweep makes lifecycle look for VMs whose trigger was lost.
	TickSweep = "lifecycle.sweep"
	// TickObserve makes lifecycle compare every VM with what its cluster shows.
	TickObserve = "lifecycle.observe"
	// TickDNSSync makes dns compare every VM's records with the servers.
	TickDNSSync = "dns.sync"
	// TickIPAMReconcile makes ipam compare its index with the truth.
	TickIPAMReconcile = "ipam.reconcile"
	// TickVMIDReconcile makes provisioner look for VMIDs that nobody holds any more.
	TickVMIDReconcile = "provisioner.reconcile"
	// TickDrift makes provisioner compare machines that are ready with their packages.
	TickDrift = "provisioner.drift"
)

// RecurringTicks are all recurring ticks; Apply makes their schedules.
var RecurringTicks = []RecurringTick{
	{Tick: TickSweep, Every: 15 * time.Second, Purpose: "find VMs whose trigger was lost"},
	{Tick: TickObserve, Every: 15 * time.Second, Purpose: "compare every VM with what its cluster shows"},
	{Tick: TickDNSSync, Every: 30 * time.Second, Purpose: "compare every VM's records with the servers"},
	{Tick: TickIPAMReconcile, Every: 5 * time.Minute, Purpose: "compare the index of addresses with the truth"},
	{Tick: TickVMIDReconcile, Every: 5 * time.Minute, Purpose: "release VMIDs that no VM holds"},
	{Tick: TickDrift, Every: 5 * time.Minute, Purpose: "compare hardware and firewall of machines with their packages"},
}

// retryTick is the tick that makes owner look at one VM again.
func retryTick(owner chain.Service, ref string) string { return string(owner) + ".retry." + ref }

// schedule stores a message schedule that fires tick.<name>. A schedule of the same name is
// replaced. The header is written by hand, because the client library cuts "@at" to full seconds,
// which fires early.
func (b *Bus) schedule(ctx context.Context, name, when string, payload []byte) error {
	msg := nats.NewMsg("sched." + name)
	msg.Data = payload
	msg.Header.Set("Nats-Schedule", when)
	msg.Header.Set("Nats-Schedule-Target", "tick."+name)
	msg.Header.Set("Nats-Rollup", "sub")
	return b.call(ctx, "tick.schedule", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg)
		return err
	})
}

// scheduleRetry has the owner look at the VM again at the given time, provided that the VM's state
// is still the one with sequence seq.
func (b *Bus) scheduleRetry(ctx context.Context, owner chain.Service, ref string, seq uint64, at time.Time) error {
	return b.schedule(ctx, retryTick(owner, ref), "@at "+at.UTC().Format(time.RFC3339Nano), binary.BigEndian.AppendUint64(nil, seq))
}

// Tick fires a recurring tick now, beside its schedule.
func (b *Bus) Tick(ctx context.Context, name string) error {
	err := b.call(ctx, "tick.publish", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, nats.NewMsg("tick."+name))
		return err
	})
	if err != nil {
		return fmt.Errorf("fire tick %s: %w", name, err)
	}
	return nil
}

// Retrigger has the owner look at the VM now, provided that its state still has sequence seq. The
// VM's own message is not written again, so nothing else happens.
func (b *Bus) Retrigger(ctx context.Context, owner chain.Service, ref string, seq uint64) error {
	msg := nats.NewMsg("tick." + retryTick(owner, ref))
	msg.Data = binary.BigEndian.AppendUint64(nil, seq)
	inject(ctx, msg.Header)
	err := b.call(ctx, "tick.publish", func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg)
		return err
	})
	if err != nil {
		return fmt.Errorf("retrigger %s for %s: %w", owner, ref, err)
	}
	return nil
}

// Ticks runs the handlers of a service's recurring ticks until ctx ends. Handlers are keyed by the
// tick's name, for example TickDNSSync. A handler never runs beside itself in one process: a tick
// that finds it running is dropped. An error is logged: the next tick comes anyway. retry, which may
// be nil, gets the retry ticks; its error brings the tick back later.
func (b *Bus) Ticks(ctx context.Context, owner chain.Service, handlers map[string]func(context.Context) error, retry func(context.Context, string, uint64) error) error {
	running := make(map[string]*sync.Mutex, len(handlers))
	for name := range handlers {
		running[name] = &sync.Mutex{}
	}
	return b.consume(ctx, StreamTICK, string(owner)+"-tick", every, func(ctx context.Context, msg jetstream.Msg) verdict {
		name := strings.TrimPrefix(msg.Subject(), "tick.")
		if ref, ok := strings.CutPrefix(name, string(owner)+".retry."); ok && retry != nil && len(msg.Data()) == 8 {
			if err := retry(ctx, ref, binary.BigEndian.Uint64(msg.Data())); err != nil {
				return again(err)
			}
			return ack
		}
		handler, ok := handlers[name]
		switch {
		case !ok:
			b.log.Error("tick without a handler", "tick", name)
		case running[name].TryLock():
			defer running[name].Unlock()
			if err := handler(ctx); err != nil && ctx.Err() == nil {
				b.log.Error("tick failed; the next one tries again", "tick", name, "error", err)
			}
		}
		return ack
	})
}
