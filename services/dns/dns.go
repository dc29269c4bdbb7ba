// Package dns keeps the DNS records of every VM: A, AAAA and PTR, each beside a mark that says whose it is.
//
// It follows the VM stream on its own and is no step of any operation but the one that asks for it
// (set_dns_records), so a DNS server that is down holds nothing back. What counts is always a VM's newest
// state: the records that it should have are computed, compared with what stands, and made so. A tick
// compares all VMs, so nothing depends on any one message.
package dns

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/dns/internal/record"
	"github.com/vmline/vmline/services/dns/internal/update"
	"github.com/vmline/vmline/services/dns/internal/zone"
)

// Zone is a zone whose records are kept, and the server that takes its updates (RFC 2136).
type Zone = zone.Zone

// TSIG is the key that signs a zone's updates (RFC 8945).
type TSIG = zone.TSIG

// Dial connects to a DNS server.
type Dial = update.Dial

// consumer is the durable consumer that follows the VM stream.
const consumer = "dns-follow"

// defaultCompare is how often the servers are read for what others have changed there.
const defaultCompare = 5 * time.Minute

// Config is what the service needs.
type Config struct {
	Bus *bus.Bus
	// Zones whose records are kept. Names outside of them get none, which is logged.
	Zones []Zone
	// Timeout is for one message to a DNS server and its answer; 0 means 10 s.
	Timeout time.Duration
	// Compare is how often the zones are read for what others have changed there; 0 means 5 minutes. A VM
	// whose own records are due does not wait for it.
	Compare time.Duration
	// Dial connects to the DNS servers; nil means a net.Dialer.
	Dial Dial
	// Logger may be nil: slog.Default.
	Logger *slog.Logger
}

// Run keeps the records, does the step to set_dns_records and answers questions until ctx ends. Its error
// is a configuration that cannot work, or a bus whose consumers are gone.
func Run(ctx context.Context, cfg Config) error {
	s, err := newService(cfg)
	if err != nil {
		return err
	}
	defer s.client.Close()
	worker, err := s.bus.NewWorker(chain.DNS, map[vmlinev1.Status]bus.StepFunc{
		vmlinev1.Status_STATUS_SET_DNS_RECORDS: s.setRecords,
	})
	if err != nil {
		return err
	}
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.bus.Follow(running, consumer, s.hint, s.follow) })
	g.Go(func() error { return worker.Run(running) })
	g.Go(func() error { return s.bus.Answers(running, chain.DNS, s.questions()) })
	g.Go(func() error {
		// What happened while no dns service ran has no message that would tell.
		if err := s.sync(running); err != nil && running.Err() == nil {
			s.log.Warn("first comparison of the DNS records failed; the next tick tries again", "error", err)
		}
		return s.bus.Ticks(running, chain.DNS, map[string]func(context.Context) error{bus.TickDNSSync: s.sync}, worker.Retry)
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // it was asked to stop
}

func (s *service) questions() map[string]bus.Answer {
	return map[string]bus.Answer{
		bus.QuestionPlan: bus.AnswerWith(s.plan),
		bus.QuestionDiff: bus.AnswerWith(s.diff),
	}
}

func newService(cfg Config) (*service, error) {
	zones, err := zone.NewSet(cfg.Zones)
	if err != nil {
		return nil, err
	}
	s := &service{
		bus: cfg.Bus, zones: zones, log: cfg.Logger, compare: cfg.Compare,
		known: map[string]known{}, hints: map[record.Mark][]string{},
		client: update.New(zones, update.Options{Timeout: cfg.Timeout, Now: cfg.Bus.Now, Dial: cfg.Dial}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.compare == 0 {
		s.compare = defaultCompare
	}
	return s, nil
}
