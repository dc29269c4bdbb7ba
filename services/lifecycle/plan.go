package lifecycle

import (
	"context"
	"fmt"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// plan answers what lifecycle's steps of an operation would do now. Nothing is changed.
func (l *lifecycle) plan(ctx context.Context, request *vmlinev1.PlanRequest) (*vmlinev1.PlanReply, error) {
	p := &planner{l: l, vm: request.GetVm()}
	reply := &vmlinev1.PlanReply{}
	op, home := p.vm.GetOperation(), p.vm.GetNode()
	for _, status := range chain.Ahead(op) {
		if status == vmlinev1.Status_STATUS_CLONE {
			p.power, p.vm.Node = stopped, home // whatever was there before, and where, a clone stands still
		}
		if step, _ := chain.StepTo(status); step.Owner != chain.Lifecycle {
			continue
		}
		planned := &vmlinev1.PlannedStep{Step: status}
		reply.Steps = append(reply.Steps, planned)
		if err := p.step(ctx, planned); err != nil {
			reply.Problem = bus.ProblemOf(err, status, l.Bus.Now())
			if reply.Problem == nil {
				return nil, err
			}
			return reply, nil
		}
	}
	return reply, nil
}

// planner walks an operation's route and keeps in mind how the machine would stand.
type planner struct {
	l  *lifecycle
	vm *vmlinev1.VM
	// power that the machine would have; unspecified until it is known.
	power vmlinev1.RemoteStatus
	// paused says that the guest cannot be asked to shut down.
	paused bool
}

// step plans one step.
func (p *planner) step(ctx context.Context, planned *vmlinev1.PlannedStep) error {
	switch planned.GetStep() {
	case vmlinev1.Status_STATUS_STARTING:
		return p.starting(ctx, planned)
	case vmlinev1.Status_STATUS_STOPPED, vmlinev1.Status_STATUS_SUSPENDED:
		return p.off(ctx, planned)
	case vmlinev1.Status_STATUS_REBOOTED:
		return p.restart(ctx, planned, "reboot", map[string]string{"timeout": seconds(p.vm)})
	case vmlinev1.Status_STATUS_RESET:
		return p.restart(ctx, planned, "reset", nil)
	case vmlinev1.Status_STATUS_REMOVED:
		return p.removed(ctx, planned)
	case vmlinev1.Status_STATUS_READY:
		if note := waitsFor[p.vm.GetPackage().GetReadiness()]; note != "" && p.power == running {
			planned.Notes = append(planned.Notes, note)
		}
	}
	return nil
}

// waitsFor says what a machine is ready after, where that is more than its power.
var waitsFor = map[vmlinev1.Readiness]string{
	vmlinev1.Readiness_READINESS_AGENT:           "waits until the guest agent answers",
	vmlinev1.Readiness_READINESS_CLOUD_INIT_DONE: "waits until cloud-init has ended in the guest",
}

func seconds(vm *vmlinev1.VM) string { return fmt.Sprint(int(patience(vm).Seconds())) }

// look reads the machine's power, once.
func (p *planner) look(ctx context.Context) error {
	if p.power != vmlinev1.RemoteStatus_REMOTE_STATUS_UNSPECIFIED || p.vm.GetVmid() == 0 {
		return nil
	}
	c, err := p.l.cluster(p.vm)
	if err != nil {
		return err
	}
	found, err := machine.Find(ctx, c, p.vm)
	if err != nil {
		return machine.Explain(err, keptAsIs)
	}
	return p.lookAt(ctx, c, found)
}

func (p *planner) lookAt(ctx context.Context, c *pve.Client, found machine.Found) error {
	status, err := c.Status(ctx, found.Node, int(p.vm.GetVmid()))
	if err != nil {
		return machine.Explain(err, keptAsIs)
	}
	p.vm.Node, p.power, p.paused = found.Node, stopped, status.QMPStatus == "paused"
	if status.Status == "running" {
		p.power = running
	}
	return nil
}

func (p *planner) starting(ctx context.Context, planned *vmlinev1.PlannedStep) error {
	if p.vm.GetWantedPower() == stopped {
		planned.Notes = append(planned.Notes, "the machine stays stopped, as its customer left it")
		return nil
	}
	return p.on(ctx, planned)
}

// on starts a machine that does not run.
func (p *planner) on(ctx context.Context, planned *vmlinev1.PlannedStep) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	if p.power != running {
		p.call(planned, "POST", "/status/start", nil)
	}
	p.power = running
	return nil
}

func (p *planner) off(ctx context.Context, planned *vmlinev1.PlannedStep) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	switch {
	case p.power == stopped:
	case hard(p.vm), p.paused:
		p.call(planned, "POST", "/status/stop", map[string]string{"overrule-shutdown": "1"})
	default:
		p.call(planned, "POST", "/status/shutdown", map[string]string{"timeout": seconds(p.vm), "forceStop": "1"})
	}
	p.power = stopped
	return nil
}

func (p *planner) restart(ctx context.Context, planned *vmlinev1.PlannedStep, how string, params map[string]string) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	if p.power != running {
		return p.on(ctx, planned)
	}
	p.call(planned, "POST", "/status/"+how, params)
	return nil
}

// call adds a call on the machine. What is not chosen yet is named in braces.
func (p *planner) call(planned *vmlinev1.PlannedStep, method, below string, params map[string]string) {
	node, vmid := p.vm.GetNode(), fmt.Sprint(p.vm.GetVmid())
	if node == "" {
		node = "{node}"
	}
	if p.vm.GetVmid() == 0 {
		vmid = "{vmid}"
	}
	planned.Calls = append(planned.Calls, &vmlinev1.PlannedCall{Method: method, Path: "/nodes/" + node + "/qemu/" + vmid + below, Params: params})
}
