// Package bus is vmline's use of NATS JetStream: the streams, consumers and buckets as data, the
// fenced log of every VM, commands, ticks and dead letters, and the loops that hand them to the
// services.
//
// The rules it keeps for its users: a VM's state is written only behind a fence, a message is
// acknowledged only after what it led to is stored, every error has a kind, and nothing waits
// without being seen.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Interceptor stands around every call that leaves the process: call names it, do makes it. It is
// where tracing, metrics and crash tests sit.
type Interceptor func(ctx context.Context, call string, do func(context.Context) error) error

// Options are what a Bus needs beside its connection. The zero value works.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewID makes unique ids; nil means nuid.
	NewID func() string
	// Intercept stands around every call; nil means none.
	Intercept Interceptor
	// Logger gets what no caller can be told; nil means slog.Default.
	Logger *slog.Logger
	// Retry says how failed steps are retried; zero fields take defaults.
	Retry RetryPolicy
	// AckWait is how long a delivered message may be worked on without a sign of life; 0 means
	// the topology's 30 s. Apply writes it into the consumers.
	AckWait time.Duration
	// Every has other intervals for recurring ticks, by their names. Apply makes their schedules.
	Every map[string]time.Duration
}

// Bus is a connection to JetStream. Its methods are safe for concurrent use.
type Bus struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	now       func() time.Time
	newID     func() string
	intercept Interceptor
	log       *slog.Logger
	retry     RetryPolicy
	ackWait   time.Duration
	every     map[string]time.Duration

	mu      sync.Mutex
	buckets map[string]*Bucket
}

// callTimeout bounds one request to JetStream. A request without an answer is settled by looking,
// never by believing that nothing happened.
const callTimeout = 5 * time.Second

// New returns a Bus on an open connection, which stays the caller's to close.
func New(nc *nats.Conn, o Options) (*Bus, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	b := &Bus{
		nc: nc, js: js, now: o.Now, newID: o.NewID, intercept: o.Intercept, log: o.Logger,
		retry: o.Retry.withDefaults(), ackWait: o.AckWait, every: o.Every, buckets: map[string]*Bucket{},
	}
	if b.now == nil {
		b.now = time.Now
	}
	if b.newID == nil {
		b.newID = nuid.Next
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if b.intercept == nil {
		b.intercept = func(ctx context.Context, _ string, do func(context.Context) error) error { return do(ctx) }
	}
	if b.ackWait == 0 {
		b.ackWait = defaultAckWait
	}
	return b, nil
}

// Now is the bus's clock.
func (b *Bus) Now() time.Time { return b.now() }

// NewID returns a new unique id.
func (b *Bus) NewID() string { return b.newID() }

// Ready says whether the server is there and every stream exists.
func (b *Bus) Ready(ctx context.Context) error {
	for _, s := range Streams {
		if _, err := b.js.Stream(ctx, s.Name); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}

// call makes one bounded request to the server, through the interceptor.
func (b *Bus) call(ctx context.Context, name string, do func(context.Context) error) error {
	return b.intercept(ctx, name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return do(ctx)
	})
}

// isAPIError says whether the server answered err with one of the codes.
func isAPIError(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}
