package provisioner

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

const returnKept = "The machine is left as it is; its VMID and its addresses stay reserved."

// returned takes our mark and our tag off a machine whose adoption is cancelled: adoption has changed nothing
// else of it. A machine without our mark, or none, needs nothing.
func (p *provisioner) returned(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	if _, err := machine.Await(ctx, c, t); err != nil {
		return 0, machine.Explain(err, returnKept)
	}
	found, marked, err := findMarked(ctx, c, t.VM)
	if err != nil {
		return 0, err
	}
	if !marked {
		t.VM.RemoteStatus, t.VM.Vmgenid, t.VM.Drift = vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED, "", nil // it is not ours to know
		return bus.Done, nil
	}
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.SetVMConfig(ctx, found.Node, int(t.VM.GetVmid()), unmarkChange(found.Config, t.VM))
	if err != nil {
		return 0, machine.Explain(err, returnKept)
	}
	if upid != "" {
		p.started(t, upid, t.Step.To, machine.PurposeConfigure)
	}
	return bus.Recorded, nil
}

// findMarked finds the machine, and says whether it bears our mark.
func findMarked(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (found machine.Found, marked bool, err error) {
	found, err = machine.Find(ctx, c, vm)
	if _, unmarked := errors.AsType[*machine.NotOurs](err); unmarked || errors.Is(err, machine.ErrAbsent) {
		return found, false, nil
	}
	return found, err == nil, machine.Explain(err, returnKept)
}

// unmarkChange is markChange taken back.
func unmarkChange(cfg pve.VMConfig, vm *vmlinev1.VM) pve.Change {
	ch := pve.Change{Set: map[string]string{}, Digest: cfg.Digest}
	lines := slices.DeleteFunc(strings.Split(cfg.Description(), "\n"), func(line string) bool {
		return strings.TrimSpace(line) == machine.Mark(vm)
	})
	tags := slices.DeleteFunc(slices.Clone(cfg.Tags()), func(tag string) bool { return tag == machine.Tag })
	for key, rest := range map[string]string{"description": strings.Trim(strings.Join(lines, "\n"), "\n"), "tags": strings.Join(tags, ";")} {
		switch {
		case rest != "":
			ch.Set[key] = rest
		case cfg.Has(key):
			ch.Delete = append(ch.Delete, key)
		}
	}
	slices.Sort(ch.Delete)
	return ch
}

func (d *dry) returned(ctx context.Context, c *pve.Client) error {
	found, marked, err := findMarked(ctx, c, d.vm)
	if !marked {
		return err
	}
	d.note("the machine %d stays, without the VM's mark", d.vm.GetVmid())
	return d.calls(func(c *pve.Client) error {
		_, err := c.SetVMConfig(ctx, found.Node, int(d.vm.GetVmid()), unmarkChange(found.Config, d.vm))
		return err
	})
}
