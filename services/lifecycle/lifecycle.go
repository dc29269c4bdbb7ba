// Package lifecycle admits commands, switches machines on and off and sees that they are ready, takes
// them away again, and compares what is known of them with what their clusters show. It never changes a
// VM's configuration.
package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	"github.com/vmline/vmline/pkg/reading"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Config is what the service needs.
type Config struct {
	Bus *bus.Bus
	// Clusters by name, as packages name them.
	Clusters map[string]*pve.Client
	Logger   *slog.Logger
	// Settle is how long a clone that was ordered may still be on its way to Proxmox when a
	// termination overtakes it. 0 means the longest time limit of a request to the clusters, and
	// settleMargin.
	Settle time.Duration
	// Parking has for a cluster the VMIDs of machines that keep disks which nobody uses, when the
	// machine is removed that has them. They are no customer's.
	Parking map[string][]int
	// Lag is how old what a cluster's list shows may be. 0 means 15 s.
	Lag time.Duration
}

// settleMargin is for the time between the last look at the VM's state and the request itself.
const settleMargin = 5 * time.Second

type lifecycle struct {
	Config
	refusals *bus.Bucket
	sight    *sight
	// storages for backups by node of a cluster, as one name.
	storages reading.Keyed[string, []string]
}

// Run admits commands, does lifecycle's steps, looks at the clusters and answers questions until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	refusals, err := cfg.Bus.Bucket(ctx, bus.BucketREFUSAL)
	if err != nil {
		return err
	}
	l := &lifecycle{Config: cfg.withDefaults(), refusals: refusals, sight: newSight(cfg.Bus.Now())}
	worker, err := cfg.Bus.NewWorker(chain.Lifecycle, l.steps())
	if err != nil {
		return err
	}
	worker.Queued(l.queued)
	ticks := map[string]func(context.Context) error{bus.TickSweep: cfg.Bus.Sweep, bus.TickObserve: l.observe}
	questions := map[string]bus.Answer{bus.QuestionPlan: bus.AnswerWith(l.plan), bus.QuestionSight: bus.AnswerWith(l.sights)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return cfg.Bus.Commands(ctx, l.admit) })
	g.Go(func() error { return worker.Run(ctx) })
	g.Go(func() error { return cfg.Bus.Ticks(ctx, chain.Lifecycle, ticks, worker.Retry) })
	g.Go(func() error { return cfg.Bus.Answers(ctx, chain.Lifecycle, questions) })
	return g.Wait()
}

func (c Config) withDefaults() Config {
	if c.Settle == 0 {
		for _, client := range c.Clusters {
			c.Settle = max(c.Settle, client.Timeout()+settleMargin)
		}
	}
	if c.Lag == 0 {
		c.Lag = defaultLag
	}
	return c
}

func (l *lifecycle) steps() map[vmlinev1.Status]bus.StepFunc {
	return map[vmlinev1.Status]bus.StepFunc{
		vmlinev1.Status_STATUS_STARTING:  machine.ShowLock(l.start),
		vmlinev1.Status_STATUS_READY:     machine.ShowLock(l.ready),
		vmlinev1.Status_STATUS_STOPPED:   machine.ShowLock(l.off),
		vmlinev1.Status_STATUS_SUSPENDED: machine.ShowLock(l.off),
		vmlinev1.Status_STATUS_REBOOTED:  machine.ShowLock(l.reboot),
		vmlinev1.Status_STATUS_RESET:     machine.ShowLock(l.reset),
		vmlinev1.Status_STATUS_REMOVED:   machine.ShowLock(l.remove),
	}
}

// cluster returns the VM's cluster.
func (l *lifecycle) cluster(vm *vmlinev1.VM) (*pve.Client, error) {
	c, ok := l.Clusters[vm.GetCluster()]
	if !ok {
		return nil, &bus.NeedsPerson{
			Cause: fmt.Sprintf("no cluster %q is configured", vm.GetCluster()),
			Kept:  "The machine is left as it is.",
			Next:  "Add the cluster to the configuration, then repeat the command.",
		}
	}
	return c, nil
}

// started records a task; see machine.Started.
func (l *lifecycle) started(t *bus.Trigger, upid pve.UPID, purpose string) {
	machine.Started(t, timestamppb.New(l.Bus.Now()), upid, t.Step.To, purpose)
}
