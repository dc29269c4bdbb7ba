package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/vmline/vmline/pkg/chain"
)

// Names of the streams.
const (
	StreamVM   = "VM"
	StreamCMD  = "CMD"
	StreamTICK = "TICK"
	StreamDLQ  = "DLQ"
)

// Names of the key-value buckets.
const (
	// BucketIPAM holds <pool>.<address>: create = allocate, delete at a revision = release.
	BucketIPAM = "IPAM"
	// BucketVMID holds <cluster>.<vmid>, the VMIDs that this system gave out.
	BucketVMID = "VMID"
	// BucketREFUSAL holds <operation id>, the commands that were not admitted, for 30 days.
	BucketREFUSAL = "REFUSAL"
	// BucketKEY holds <key id>, the API keys: hashed, or sealed where the secret itself is needed.
	BucketKEY = "KEY"
	// BucketWEBHOOK holds <endpoint id>, the receivers of outgoing webhooks and how far each one is.
	BucketWEBHOOK = "WEBHOOK"
)

const (
	day            = 24 * time.Hour
	defaultAckWait = 30 * time.Second
	// inFlight bounds how many VMs one service works on at once. A step that waits for a task or
	// for its next attempt holds one of these.
	inFlight = 5000
	// deliveries bounds how often a message comes back that was neither acknowledged nor answered:
	// its handler died each time. Then the advisory stands in DLQ, and the sweeper finds the VM.
	deliveries = 25
)

// Streams are all streams. Services never create one on the way.
var Streams = []jetstream.StreamConfig{
	{
		Name:        StreamVM,
		Description: "state table, trigger and audit log of every VM: one literal subject each, every write fenced",
		Subjects:    []string{"vm.*"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		// The newest message is the VM's state: it must outlive every limit. So there is no MaxAge,
		// and only a subject's oldest messages go.
		MaxMsgsPerSubject: 200,
		MaxMsgSize:        256 << 10,
		RePublish:         &jetstream.RePublish{Source: ">", Destination: "tail.>"},
		DenyDelete:        true,
	},
	{
		Name:        StreamCMD,
		Description: "commands; full means back-pressure at the gateway, not loss",
		Subjects:    []string{"cmd.>"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxMsgs:     100_000,
		MaxMsgSize:  256 << 10,
		Duplicates:  10 * time.Minute,
		RePublish:   &jetstream.RePublish{Source: ">", Destination: "tail.>"},
	},
	{
		Name:              StreamTICK,
		Description:       "message schedules and what they fire; a schedule only ever targets a tick",
		Subjects:          []string{"sched.>", "tick.>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        64 << 10,
		AllowMsgSchedules: true,
		AllowMsgTTL:       true,
	},
	{
		Name:        StreamDLQ,
		Description: "what could not be done, with payload, error and how to retry",
		Subjects: []string{
			"dlq.>",
			"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
			"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
		},
		Retention:  jetstream.LimitsPolicy,
		Storage:    jetstream.FileStorage,
		MaxAge:     30 * day,
		MaxMsgSize: 512 << 10,
		MaxBytes:   1 << 30,
	},
}

// Consumer is a durable consumer and what its acknowledgement means.
type Consumer struct {
	Stream string
	Config jetstream.ConsumerConfig
	// Contract says when a message is acknowledged.
	Contract string
}

// Consumers are all durable consumers.
var Consumers = []Consumer{
	stepConsumer(chain.IPAM),
	stepConsumer(chain.Provisioner),
	stepConsumer(chain.Lifecycle),
	stepConsumer(chain.DNS),
	{
		Stream:   StreamVM,
		Config:   newest(durable("dns-follow", "vm.*", 1000)),
		Contract: "after the records of the VM's newest state are on the DNS server",
	},
	{
		Stream:   StreamCMD,
		Config:   durable("lifecycle-cmd", "cmd.lifecycle.>", 200),
		Contract: "after the command's first status, or its refusal, is stored",
	},
	tickConsumer(chain.IPAM),
	tickConsumer(chain.Provisioner),
	tickConsumer(chain.Lifecycle),
	tickConsumer(chain.DNS),
}

// maxHistory is how many writes of one key a bucket remembers at most. A write that gives and one that
// takes back are two.
const maxHistory = jetstream.KeyValueMaxHistory

// Buckets are all key-value buckets.
var Buckets = []jetstream.KeyValueConfig{
	{Bucket: BucketIPAM, Description: "the truth about addresses, and who had them", Storage: jetstream.FileStorage, History: maxHistory},
	{Bucket: BucketVMID, Description: "the truth about VMIDs given out", Storage: jetstream.FileStorage},
	{Bucket: BucketREFUSAL, Description: "commands that were not admitted", Storage: jetstream.FileStorage, TTL: 30 * day},
	{Bucket: BucketKEY, Description: "API keys", Storage: jetstream.FileStorage},
	{Bucket: BucketWEBHOOK, Description: "receivers of webhooks", Storage: jetstream.FileStorage},
}

func stepConsumer(owner chain.Service) Consumer {
	return Consumer{
		Stream:   StreamVM,
		Config:   newest(durable(string(owner), "vm.*", inFlight)),
		Contract: "after the step's result is stored behind the fence, or the message was another's",
	}
}

func tickConsumer(owner chain.Service) Consumer {
	return Consumer{
		Stream:   StreamTICK,
		Config:   durable(string(owner)+"-tick", "tick."+string(owner)+".>", inFlight),
		Contract: "after what the tick asks for was done or is stored to be done",
	}
}

func durable(name, filter string, maxAckPending int) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: defaultAckWait, MaxAckPending: maxAckPending, MaxDeliver: deliveries,
	}
}

// newest has a consumer that is made again start with every VM's newest state instead of with the
// whole log.
func newest(c jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	return c
}

// Apply makes the server have exactly these streams, consumers, buckets and recurring ticks, with
// the given number of replicas. It may be repeated at any time, and is to be repeated after an
// error: a cluster that has no leader yet does not answer.
func (b *Bus) Apply(ctx context.Context, replicas int) error {
	for _, s := range Streams {
		s.Replicas = replicas
		if err := b.apply(ctx, func(ctx context.Context) (any, error) { return b.js.CreateOrUpdateStream(ctx, s) }); err != nil {
			return fmt.Errorf("apply stream %s: %w", s.Name, err)
		}
	}
	for _, c := range Consumers {
		c.Config.AckWait = b.ackWait
		if err := b.apply(ctx, func(ctx context.Context) (any, error) { return b.js.CreateOrUpdateConsumer(ctx, c.Stream, c.Config) }); err != nil {
			return fmt.Errorf("apply consumer %s of %s: %w", c.Config.Durable, c.Stream, err)
		}
	}
	for _, kv := range Buckets {
		kv.Replicas = replicas
		if err := b.apply(ctx, func(ctx context.Context) (any, error) { return b.js.CreateOrUpdateKeyValue(ctx, kv) }); err != nil {
			return fmt.Errorf("apply bucket %s: %w", kv.Bucket, err)
		}
	}
	for _, t := range RecurringTicks {
		if every := b.every[t.Tick]; every != 0 {
			t.Every = every
		}
		if err := b.schedule(ctx, t.Tick, "@every "+t.Every.String(), nil); err != nil {
			return fmt.Errorf("apply tick %s: %w", t.Tick, err)
		}
	}
	return nil
}

// apply bounds one change of the topology, whatever time ctx leaves.
func (b *Bus) apply(ctx context.Context, change func(context.Context) (any, error)) error {
	return b.call(ctx, "apply", func(ctx context.Context) error {
		_, err := change(ctx)
		return err
	})
}
