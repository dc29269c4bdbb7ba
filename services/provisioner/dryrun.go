package provisioner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
	"github.com/vmline/vmline/services/provisioner/internal/rehearsal"
)

// dryRun answers what this service's steps of an operation would do now. It plans with the steps' own
// code and has their calls noted instead of sent. Nothing is changed, and no VMID is reserved.
func (p *provisioner) dryRun(ctx context.Context, request *vmlinev1.PlanRequest) (*vmlinev1.PlanReply, error) {
	vm := proto.CloneOf(request.GetVm())
	d := &dry{provisioner: p, vm: vm, t: &bus.Trigger{VM: vm}}
	reply := &vmlinev1.PlanReply{}
	for _, status := range slices.Clone(chain.Ahead(vm.GetOperation())) {
		step, ok := chain.StepTo(status)
		if !ok || step.Owner != chain.Provisioner {
			d.stopped = d.stopped || status == vmlinev1.Status_STATUS_STOPPED
			continue
		}
		d.t.Step = step
		d.step = &vmlinev1.PlannedStep{Step: status}
		reply.Steps = append(reply.Steps, d.step)
		if err := d.run(ctx); err != nil {
			reply.Problem = bus.ProblemOf(err, status, p.Bus.Now())
			if reply.Problem == nil {
				return nil, err
			}
			break
		}
		if status == vmlinev1.Status_STATUS_PLANNED {
			reply.Route = vm.GetOperation().GetRoute()
		}
	}
	reply.Vm = vm
	return reply, nil
}

// dry is an operation that is only planned. It keeps in mind what the machine would be.
type dry struct {
	*provisioner
	vm   *vmlinev1.VM
	t    *bus.Trigger
	step *vmlinev1.PlannedStep

	// found is the machine, or what the clone of its template would be.
	found  machine.Found
	looked bool
	// made says that the machine is not there yet: its firewall would be the template's.
	made    bool
	running bool
	// stopped says that a step before takes its power away.
	stopped bool
	agent   bool
	// The plan of the configuration, once a step has asked for it.
	todo *plan.Plan
}

func (d *dry) run(ctx context.Context) error {
	c, err := d.cluster(d.vm)
	if err != nil {
		return err
	}
	op := d.vm.GetOperation()
	if !slices.Contains(op.GetRoute(), d.t.Step.To) {
		return nil // the plan found that there is nothing to do
	}
	switch d.t.Step.To {
	case vmlinev1.Status_STATUS_CLONE:
		return d.clone(ctx, c)
	case vmlinev1.Status_STATUS_MIGRATED:
		return d.migrated(ctx, c)
	case vmlinev1.Status_STATUS_PLANNED:
		return d.planned(ctx, c)
	case vmlinev1.Status_STATUS_ADOPTED:
		return d.adopted(ctx, c)
	case vmlinev1.Status_STATUS_RETURNED:
		return d.returned(ctx, c)
	case vmlinev1.Status_STATUS_SET_PASSWORD:
		return d.password(ctx, c)
	case vmlinev1.Status_STATUS_SET_FIREWALL:
		return d.firewall(ctx, c)
	case vmlinev1.Status_STATUS_VMID_RELEASED:
		if d.vm.GetVmid() != 0 {
			d.note("releases the VMID %d", d.vm.GetVmid())
		}
		return nil
	}
	return d.configure(ctx, c)
}

func (d *dry) note(format string, args ...any) {
	d.step.Notes = append(d.step.Notes, fmt.Sprintf(format, args...))
}

// calls notes the calls that do makes with its client.
func (d *dry) calls(do func(*pve.Client) error) error {
	stage := &rehearsal.Stage{}
	c, err := stage.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	err = do(c)
	d.step.Calls = append(d.step.Calls, stage.Calls()...)
	return err
}

// look reads the machine, once.
func (d *dry) look(ctx context.Context, c *pve.Client) error {
	if d.looked {
		return nil
	}
	found, err := machine.Find(ctx, c, d.vm)
	if err != nil {
		return machine.Explain(err, kept)
	}
	status, err := c.Status(ctx, found.Node, int(d.vm.GetVmid()))
	if err != nil {
		return machine.Explain(err, kept)
	}
	noteStatus(d.vm, status)
	d.vm.Node, d.found, d.looked = found.Node, found, true
	d.running, d.agent = status.Status == "running" && !d.stopped, status.Agent
	return nil
}

func (d *dry) planned(ctx context.Context, c *pve.Client) error {
	if chain.Goal(d.vm.GetOperation()) == vmlinev1.Operation_KIND_REINSTALL {
		d.note("there must be a template %q to make the machine of again, or nothing is changed", d.vm.GetPackage().GetTemplate())
		return d.replaceable(ctx, d.vm)
	}
	if err := d.look(ctx, c); err != nil {
		return refusal(err)
	}
	m, err := d.observe(ctx, c, d.t, d.found)
	if err != nil {
		return refusal(err)
	}
	decision, err := d.decide(ctx, c, d.vm, m)
	if err != nil {
		return refusal(err)
	}
	op := d.vm.GetOperation()
	op.Route = decision.Route(op.GetRoute(), len(op.GetReached())+1)
	switch {
	case len(decision.Stop) > 0:
		d.note("the machine is stopped and started again, for %s", strings.Join(decision.Stop, ", "))
		d.running = false
	case d.running:
		d.note("the machine stays up: the steps to stopped and starting are left out")
	default:
		d.note("the machine does not run: the steps to stopped and starting are left out")
	}
	d.step.Notes = append(d.step.Notes, decision.Warnings...)
	return nil
}

// configure plans the configuration with its first step, as the steps do, and each resize with its own.
func (d *dry) configure(ctx context.Context, c *pve.Client) error {
	if err := d.look(ctx, c); err != nil {
		return err
	}
	if d.todo == nil {
		todo, err := d.plan(d.t, d.found, true)
		if err != nil {
			return err
		}
		d.todo = &todo
		if err := d.change(ctx); err != nil {
			return err
		}
	}
	return d.calls(func(c *pve.Client) error {
		disk := map[vmlinev1.Status]string{
			vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE:     d.todo.SystemDisk,
			vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE: d.todo.AdditionalDisk,
		}[d.t.Step.To]
		if gb, small := d.todo.Grow[disk]; small {
			_, err := c.Resize(ctx, d.vm.GetNode(), int(d.vm.GetVmid()), disk, gb, "")
			return err
		}
		if d.t.Step.To == vmlinev1.Status_STATUS_SET_CLOUDINIT && d.running && !builds(d.vm.GetOperation()) {
			return c.RegenerateCloudInit(ctx, d.vm.GetNode(), int(d.vm.GetVmid()))
		}
		return nil
	})
}

// change is the one configuration call.
func (d *dry) change(ctx context.Context) error {
	if needStop := plan.NeedStop(d.found.Config, d.todo.Change); d.running && len(needStop) > 0 {
		return mustStop(d.t, needStop)
	}
	network := d.vm.GetPackage().GetNetwork()
	if len(d.vm.GetAddresses()) == 0 && network.GetIpv4Count()+network.GetIpv6Count() > 0 {
		d.note("ipconfig0 and nameserver follow from the addresses that the step to set_ip gives")
	}
	if card, ok := d.todo.Change.Set["net0"]; d.made && ok {
		if nic, err := pve.ParseNIC(card); err == nil && nic.MAC == "" {
			d.note("net0 keeps the MAC that Proxmox gives the clone")
		}
	}
	return d.calls(func(c *pve.Client) error {
		_, err := c.SetVMConfig(ctx, d.vm.GetNode(), int(d.vm.GetVmid()), d.todo.Change)
		return err
	})
}

func (d *dry) firewall(ctx context.Context, c *pve.Client) error {
	pkg, before := d.vm.GetPackage(), setBefore(d.vm.GetOperation())
	if !plan.HasFirewall(pkg) && !plan.HasFirewall(before...) {
		return nil
	}
	if err := d.look(ctx, c); err != nil {
		return err
	}
	from := firewalled{Client: c, node: d.vm.GetNode(), vmid: int(d.vm.GetVmid()), newborn: d.made}
	if d.made { // a clone gets its template's
		from.node, from.vmid = d.vm.GetTemplateNode(), int(d.vm.GetTemplateVmid())
	}
	have, err := from.read(ctx, pkg, before)
	if err != nil {
		return machine.Explain(err, kept)
	}
	return d.calls(func(c *pve.Client) error {
		onto := firewalled{Client: c, current: func(context.Context) error { return nil }, node: d.vm.GetNode(), vmid: int(d.vm.GetVmid())}
		return onto.write(ctx, have.Rules, plan.MakeFirewall(have, d.vm, before), plan.Rules(pkg.GetFirewall()))
	})
}

func (d *dry) password(ctx context.Context, c *pve.Client) error {
	if err := d.look(ctx, c); err != nil {
		return err
	}
	return d.calls(func(c *pve.Client) error {
		const hidden = "(hidden)"
		vmid, user := int(d.vm.GetVmid()), d.vm.GetPackage().GetCloudInit().GetUser()
		drive := plan.CloudInitDrive(d.found.Config) != ""
		if drive {
			if _, err := c.SetVMConfig(ctx, d.vm.GetNode(), vmid, passwordChange(d.found.Config, hidden)); err != nil {
				return err
			}
		}
		if drive && d.running {
			if err := c.RegenerateCloudInit(ctx, d.vm.GetNode(), vmid); err != nil {
				return err
			}
		}
		if !d.running || !d.agent || user == "" {
			return atNextBoot(d.t, drive, "no guest agent can be asked")
		}
		return c.AgentSetPassword(ctx, d.vm.GetNode(), vmid, user, hidden)
	})
}
