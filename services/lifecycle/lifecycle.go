// Package lifecycle admits commands, starts VMs and sees that they are ready, and takes them away
// again. It never changes a VM's configuration.
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
}

// settleMargin is for the time between the last look at the VM's state and the request itself.
const settleMargin = 5 * time.Second

type lifecycle struct {
	Config
	refusals *bus.Bucket
}

// Run admits commands and does lifecycle's steps until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Settle == 0 {
		for _, c := range cfg.Clusters {
			cfg.Settle = max(cfg.Settle, c.Timeout()+settleMargin)
		}
	}
	refusals, err := cfg.Bus.Bucket(ctx, bus.BucketREFUSAL)
	if err != nil {
		return err
	}
	l := &lifecycle{Config: cfg, refusals: refusals}
	worker, err := cfg.Bus.NewWorker(chain.Lifecycle, map[vmlinev1.Status]bus.StepFunc{
		vmlinev1.Status_STATUS_STARTING: l.start,
		vmlinev1.Status_STATUS_READY:    l.ready,
		vmlinev1.Status_STATUS_REMOVED:  l.remove,
		vmlinev1.Status_STATUS_STOPPED:  absentStep, vmlinev1.Status_STATUS_SUSPENDED: absentStep,
		vmlinev1.Status_STATUS_REBOOTED: absentStep, vmlinev1.Status_STATUS_RESET: absentStep,
	})
	if err != nil {
		return err
	}
	worker.Queued(l.queued)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return cfg.Bus.Commands(ctx, l.admit) })
	g.Go(func() error { return worker.Run(ctx) })
	g.Go(func() error {
		return cfg.Bus.Ticks(ctx, chain.Lifecycle, map[string]func(context.Context) error{bus.TickSweep: cfg.Bus.Sweep}, worker.Retry)
	})
	return g.Wait()
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

// absentStep stands for the steps that are still to come.
func absentStep(_ context.Context, t *bus.Trigger) (bus.Outcome, error) {
	return 0, &bus.Refused{Cause: "the step to " + chain.Name(t.Step.To) + " is not there yet", Next: "Use another version."}
}
