package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// defaultLag is how old what a cluster's list shows may be: Proxmox fills it every 10 s.
const defaultLag = 15 * time.Second

// Observer is who has requested the operations that observation begins.
const Observer = "vmline"

// observe compares every VM at rest with one list of its cluster, and writes down what is not as its
// state says. A cluster that cannot be read changes nothing, and holds up no other.
func (l *lifecycle) observe(ctx context.Context) error {
	resting, err := l.resting(ctx)
	if err != nil {
		return err
	}
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		failed []error
	)
	for name, entries := range resting {
		c, ok := l.Clusters[name]
		if !ok {
			continue
		}
		all.Go(func() {
			if err := l.observeCluster(ctx, c, entries); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Errorf("observe cluster %s: %w", name, err))
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// resting returns the VMs whose machines are to be compared, by cluster. Those that changed a moment ago
// are left out, because the list may show what was before.
func (l *lifecycle) resting(ctx context.Context) (map[string][]bus.Entry, error) {
	out := map[string][]bus.Entry{}
	err := l.Bus.Each(ctx, func(e bus.Entry) error {
		if observable(e.VM) && l.Bus.Now().Sub(e.VM.GetUpdatedAt().AsTime()) >= l.Lag {
			out[e.VM.GetCluster()] = append(out[e.VM.GetCluster()], e)
		}
		return nil
	})
	return out, err
}

func (l *lifecycle) observeCluster(ctx context.Context, c *pve.Client, entries []bus.Entry) error {
	all, err := l.list(ctx, c)
	if err != nil {
		return err
	}
	byVMID := make(map[int]*pve.VM, len(all.VMs))
	for i := range all.VMs {
		byVMID[all.VMs[i].VMID] = &all.VMs[i]
	}
	var failed []error
	for _, e := range entries {
		if err := l.observeOne(ctx, c, e, byVMID[int(e.VM.GetVmid())]); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", e.VM.GetRef(), err))
		}
	}
	return errors.Join(failed...)
}

// observeOne writes down what the list shows of one VM, if that is news. seen is nil where the list does
// not have it.
func (l *lifecycle) observeOne(ctx context.Context, c *pve.Client, e bus.Entry, seen *pve.VM) error {
	what, why, err := l.clear(ctx, c, e.VM, seen)
	if err != nil || what == unclear {
		return err
	}
	vm := observed(e.VM, seen, what, why, l.Bus.Now())
	switch {
	case revived(vm):
		vm = l.suspendAgain(vm)
	case !news(e.VM, vm):
		return nil
	}
	if _, err = l.Bus.Append(ctx, vm, e.Seq); errors.Is(err, bus.ErrSuperseded) {
		return nil // somebody works on it; the next tick looks again
	}
	return err
}

// clear asks Proxmox itself where the list alone proves nothing.
func (l *lifecycle) clear(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, seen *pve.VM) (finding, string, error) {
	what, why := judge(vm, seen)
	switch what {
	case perhapsMissing:
		free, err := c.VMIDFree(ctx, int(vm.GetVmid()))
		if err != nil || !free {
			return unclear, "", err // it cannot be seen, and it is not gone
		}
		return missing, "", nil
	case perhapsForeign:
		return identify(ctx, c, vm, seen)
	default:
		return what, why, nil
	}
}

// identify reads the machine's configuration where the list shows it.
func identify(ctx context.Context, c *pve.Client, vm *vmlinev1.VM, seen *pve.VM) (finding, string, error) {
	cfg, err := c.VMConfig(ctx, seen.Node, seen.VMID)
	if pve.KindOf(err) == pve.Gone {
		return unclear, "", nil // the list is old; the next one shows more
	}
	if err != nil {
		return unclear, "", err
	}
	return whose(machine.Prove(vm, seen.Node, cfg))
}

// whose is what a proof says of a machine. One that is being cloned bears no mark yet.
func whose(proof error) (finding, string, error) {
	if not, ok := errors.AsType[*machine.NotOurs](proof); ok {
		return foreign, not.Error(), nil
	}
	if errors.Is(proof, machine.ErrBeingMade) {
		return unclear, "", nil
	}
	return ours, "", proof
}

// suspendAgain begins the operation that stops a suspended machine which somebody has started.
func (l *lifecycle) suspendAgain(vm *vmlinev1.VM) *vmlinev1.VM {
	now := l.Bus.Now()
	l.Logger.Warn("a suspended machine was started behind our back; it is stopped again", "ref", vm.GetRef(), "vmid", vm.GetVmid(), "node", vm.GetNode())
	return chain.Begin(vm, &vmlinev1.Command{
		Id: l.Bus.NewID(), Ref: vm.GetRef(), Kind: vmlinev1.Operation_KIND_SUSPEND, After: vm.GetOperation().GetId(),
		CreatedAt: timestamppb.New(now), RequestedBy: Observer,
		Params: &vmlinev1.Params{Reason: "the machine is suspended, and it was started on Proxmox"},
	}, now, l.Bus.NewID)
}
