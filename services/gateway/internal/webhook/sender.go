package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/bus"
)

// Feed gives the changes of all VMs in the order of the VM stream.
type Feed interface {
	// After returns changes after a sequence, oldest first, and the sequence up to which it has looked:
	// at least that of the last one, and the one given if there is nothing yet.
	After(ctx context.Context, seq uint64) (events []api.Event, upTo uint64, err error)
	// Changes calls changed after every change, until ctx ends or the connection is lost. It may miss
	// some.
	Changes(ctx context.Context, changed func()) error
}

// Sender sends webhooks.
type Sender struct {
	registry *Registry
	feed     Feed
	client   *http.Client
	log      *slog.Logger

	mu sync.Mutex
	// senders wake the loop of each endpoint.
	senders map[string]*loop
}

// loop is what is known of an endpoint beside its record.
type loop struct {
	wake   chan struct{}
	cancel context.CancelFunc
	// scanned is up to where the feed has nothing to send. After a restart it is found again.
	scanned uint64
}

const (
	// lookEvery is how often an endpoint is looked at without being woken.
	lookEvery = 30 * time.Second
	// again is the pause after NATS did not answer, and before the bucket is followed again.
	again = time.Second
	// claim is how long a gateway holds an endpoint for one attempt: longer than that takes.
	claim = attemptTimeout + 15*time.Second
	// stride is how many sequences without anything to send are passed before the position is stored.
	stride = 1000
)

// NewSender returns a sender. Transport gives its TLS settings, for example the root of a private CA;
// nil means the system's.
func NewSender(r *Registry, feed Feed, transport *http.Transport, log *slog.Logger) *Sender {
	return &Sender{registry: r, feed: feed, client: newClient(r.guard, transport), log: log, senders: map[string]*loop{}}
}

// Run sends until ctx ends. Any number of gateways may run it.
func (s *Sender) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		s.insist(ctx, "follow the VMs", func() error { return s.feed.Changes(ctx, func() { s.wake("") }) })
	})
	s.insist(ctx, "follow the webhook endpoints", func() error { return s.follow(ctx, &all) })
	return nil
}

// insist repeats what ends only by failing.
func (s *Sender) insist(ctx context.Context, doing string, do func() error) {
	for {
		err := do()
		if ctx.Err() != nil {
			return
		}
		s.log.Error("webhooks are interrupted", "doing", doing, "error", err)
		if !pause(ctx, again, nil) {
			return
		}
	}
}

// pause waits, or until it is woken. It returns false once ctx has ended.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return ctx.Err() == nil
}

// follow starts a loop for each endpoint, wakes it when its record changes, and ends it when it is
// deleted.
func (s *Sender) follow(ctx context.Context, all *sync.WaitGroup) error {
	bucket, err := s.registry.bus.Bucket(ctx, bus.BucketWEBHOOK)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	return bucket.Watch(ctx, ">", func(i bus.Item) error {
		present[i.Key] = !i.Deleted
		if i.Deleted {
			s.end(i.Key)
			return nil
		}
		s.begin(ctx, i.Key, all)
		s.wake(i.Key)
		return nil
	}, func() error {
		s.endOthers(present)
		return nil
	})
}

func (s *Sender) begin(ctx context.Context, id string, all *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.senders[id] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{wake: make(chan struct{}, 1), cancel: cancel}
	s.senders[id] = l
	all.Go(func() { defer cancel(); s.serve(ctx, id, l) })
}

func (s *Sender) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.senders[id]; l != nil {
		l.cancel()
		delete(s.senders, id)
	}
}

// endOthers ends the loops of endpoints that were deleted while the bucket was not followed.
func (s *Sender) endOthers(present map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.senders {
		if !present[id] {
			l.cancel()
			delete(s.senders, id)
		}
	}
}

// wake wakes the loop of an endpoint, or all for an empty id.
func (s *Sender) wake(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.senders {
		if id != "" && id != key {
			continue
		}
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (s *Sender) serve(ctx context.Context, id string, l *loop) {
	for wait := time.Duration(0); pause(ctx, wait, l.wake); {
		var err error
		wait, err = s.visit(ctx, id, l)
		if err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			s.log.Error("a webhook endpoint could not be served", "endpoint", id, "error", err)
			wait = again
		}
	}
}

// visit makes the attempt that is due for an endpoint, and says how long to wait for the next visit.
func (s *Sender) visit(ctx context.Context, id string, l *loop) (time.Duration, error) {
	r, revision, err := s.registry.read(ctx, id)
	if err != nil {
		return lookEvery, err
	}
	now := s.registry.bus.Now().UTC()
	if wait := r.NotBefore.Sub(now); r.Disabled == "" && wait > 0 {
		return min(wait, lookEvery), nil
	}
	if r.Disabled != "" {
		return lookEvery, nil
	}
	event, err := s.next(ctx, &r, l)
	if err != nil {
		return 0, err
	}
	if event == nil {
		return lookEvery, s.advance(ctx, r, revision, l.scanned)
	}
	r.NotBefore = now.Add(claim)
	if err := s.registry.write(ctx, r, revision); err != nil {
		if errors.Is(err, bus.ErrSuperseded) {
			return 0, nil // another gateway has it, or a person changed it
		}
		return 0, err
	}
	return 0, s.attempt(ctx, r, *event)
}

// next finds the first change after the position that is to be sent.
func (s *Sender) next(ctx context.Context, r *record, l *loop) (*api.Event, error) {
	for from := max(r.Position, l.scanned); ; {
		events, upTo, err := s.feed.After(ctx, from)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if typeOf(e) != "" {
				return &e, nil
			}
			l.scanned = e.Seq
		}
		if upTo <= from {
			return nil, nil
		}
		from, l.scanned = upTo, upTo
	}
}

// advance stores how far the feed was looked through, now and then.
func (s *Sender) advance(ctx context.Context, r record, revision, scanned uint64) error {
	if scanned < r.Position+stride {
		return nil
	}
	r.Position = scanned
	if err := s.registry.write(ctx, r, revision); !errors.Is(err, bus.ErrSuperseded) {
		return err
	}
	return nil
}

// attempt sends an event and notes what became of it.
func (s *Sender) attempt(ctx context.Context, r record, e api.Event) error {
	secrets, err := s.registry.secrets(&r)
	if err == nil {
		err = post(ctx, s.client, r.URL, e, s.registry.bus.Now(), secrets)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the gateway ends; the claim runs out and the event is sent again
	}
	jitter := rand.Float64()
	after, noteErr := s.registry.change(ctx, r.ID, func(r *record) {
		r.settle(e.Seq, err, s.registry.bus.Now().UTC(), jitter)
	})
	switch {
	case noteErr != nil:
		return noteErr
	case after.Disabled != "":
		s.log.Error("a webhook endpoint was disabled", "endpoint", r.ID, "reason", after.Disabled)
	case err != nil:
		s.log.Warn("a webhook was not delivered", "endpoint", r.ID, "seq", e.Seq, "attempts", after.Attempts, "error", err)
	}
	return nil
}
