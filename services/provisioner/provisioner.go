// Package provisioner owns everything that changes a VM's configuration on Proxmox: VMIDs,
// placement, the clone and all that is set on it. Each step observes before it acts and may be run
// twice, killed anywhere, or run by two workers at once.
package provisioner

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/lease"
)

// Opener opens what the gateway sealed for this service.
type Opener interface {
	Open(sealed []byte) ([]byte, error)
}

// Config is what the service needs.
type Config struct {
	Bus *bus.Bus
	// Clusters by name, as packages name them.
	Clusters map[string]*pve.Client
	Opener   Opener
	Logger   *slog.Logger
	// Rest is how long a VMID that was given back is not given out again; 0 means 2 minutes.
	Rest time.Duration
	// Rules by cluster; one without an entry has no limits.
	Rules map[string]Rules
	// Redis has the leases that limit heavy tasks over all processes; nil means that each process limits
	// its own.
	Redis redis.UniversalClient
}

type provisioner struct {
	Config
	vmids       *vmids
	inventories map[string]*inventory
	leases      map[string]*lease.Queue
	inFlight    *inFlight
	rounds      rounds
}

// Run does the provisioner's steps until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	ids, err := openVMIDs(ctx, cfg.Bus, cfg.Rest)
	if err != nil {
		return err
	}
	p := &provisioner{Config: cfg, vmids: ids, inventories: map[string]*inventory{}, leases: map[string]*lease.Queue{}, inFlight: newInFlight(cfg.Bus)}
	for name, c := range cfg.Clusters {
		p.inventories[name] = newInventory(c, cfg.Rules[name], cfg.Bus.Now, cfg.Logger)
		p.leases[name] = lease.New(cfg.Redis, name, cfg.Bus.Now, cfg.Logger)
	}
	worker, err := cfg.Bus.NewWorker(chain.Provisioner, p.steps())
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ids.follow(ctx) })
	for _, queue := range p.leases {
		g.Go(func() error { return queue.Run(ctx) })
	}
	g.Go(func() error { return worker.Run(ctx) })
	g.Go(func() error {
		return cfg.Bus.Ticks(ctx, chain.Provisioner, map[string]func(context.Context) error{
			bus.TickVMIDReconcile: p.reconcile,
			bus.TickDrift:         p.drift,
		}, worker.Retry)
	})
	g.Go(func() error { return cfg.Bus.Answers(ctx, chain.Provisioner, p.questions()) })
	return g.Wait()
}

func (p *provisioner) questions() map[string]bus.Answer {
	return map[string]bus.Answer{
		bus.QuestionPlan:      bus.AnswerWith(p.dryRun),
		bus.QuestionInventory: bus.AnswerWith(p.catalogue),
	}
}

func (p *provisioner) steps() map[vmlinev1.Status]bus.StepFunc {
	return map[vmlinev1.Status]bus.StepFunc{
		vmlinev1.Status_STATUS_CLONE:                         p.clone,
		vmlinev1.Status_STATUS_MIGRATED:                      p.migrate,
		vmlinev1.Status_STATUS_SET_CPU_RAM:                   p.configure,
		vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE:          p.configure,
		vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH:     p.configure,
		vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK:   p.configure,
		vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE:      p.configure,
		vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH: p.configure,
		vmlinev1.Status_STATUS_SET_NETWORK:                   p.configure,
		vmlinev1.Status_STATUS_SET_FIREWALL:                  p.firewall,
		vmlinev1.Status_STATUS_SET_CLOUDINIT:                 p.configure,
		vmlinev1.Status_STATUS_VMID_RELEASED:                 p.release,
		vmlinev1.Status_STATUS_PLANNED:                       p.planned,
		vmlinev1.Status_STATUS_ADOPTED:                       p.adopted,
		vmlinev1.Status_STATUS_RETURNED:                      p.returned,
		vmlinev1.Status_STATUS_SET_PASSWORD:                  p.setPassword,
	}
}

// kept is what every failed step leaves behind.
const kept = "The machine is left as it is, its addresses and its VMID stay reserved."

// cluster returns the VM's cluster.
func (p *provisioner) cluster(vm *vmlinev1.VM) (*pve.Client, error) {
	c, ok := p.Clusters[vm.GetCluster()]
	if !ok {
		return nil, &bus.NeedsPerson{
			Cause: fmt.Sprintf("no cluster %q is configured", vm.GetCluster()), Kept: kept,
			Next: "Add the cluster to the configuration, then repeat the command.",
		}
	}
	return c, nil
}

// started records a task; see machine.Started.
func (p *provisioner) started(t *bus.Trigger, upid pve.UPID, step vmlinev1.Status, purpose string) {
	machine.Started(t, timestamppb.New(p.Bus.Now()), upid, step, purpose)
}
