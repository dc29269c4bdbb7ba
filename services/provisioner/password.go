package provisioner

import (
	"context"
	"fmt"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// setPassword gives the guest's account a new password: by its agent at once, where one answers, and by
// cloud-init for the next boot and for a machine that is made again.
func (p *provisioner) setPassword(ctx context.Context, t *bus.Trigger) (bus.Outcome, error) {
	c, err := p.cluster(t.VM)
	if err != nil {
		return 0, err
	}
	password, err := p.openSealed(t.VM.GetOperation().GetParams().GetSealedPassword())
	if err != nil {
		return 0, err
	}
	if password == "" {
		return 0, &bus.Refused{Cause: "the command has no password", Next: "Send the new password with it."}
	}
	ended, err := machine.Await(ctx, c, t)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	found, err := machine.Find(ctx, c, t.VM)
	if err != nil {
		return 0, machine.Explain(err, kept)
	}
	t.VM.Node = found.Node
	drive := plan.CloudInitDrive(found.Config) != ""
	if ended != machine.PurposeConfigure && drive {
		if outcome, err := p.orderPassword(ctx, c, t, password, found); err != nil || outcome == bus.Recorded {
			return outcome, err
		}
	}
	if err := p.reachGuest(ctx, c, t, password, drive); err != nil {
		return 0, machine.Explain(err, kept)
	}
	if t.VM.Package.CloudInit == nil {
		t.VM.Package.CloudInit = &vmlinev1.CloudInit{}
	}
	t.VM.Package.CloudInit.SealedPassword = t.VM.GetOperation().GetParams().GetSealedPassword()
	return bus.Done, nil
}

// orderPassword puts the password into the configuration, from which cloud-init has it.
func (p *provisioner) orderPassword(ctx context.Context, c *pve.Client, t *bus.Trigger, password string, found machine.Found) (bus.Outcome, error) {
	if err := t.Current(ctx); err != nil {
		return 0, err
	}
	upid, err := c.SetVMConfig(ctx, found.Node, int(t.VM.GetVmid()), passwordChange(found.Config, password))
	if err != nil || upid == "" {
		return bus.Done, machine.Explain(err, kept)
	}
	p.started(t, upid, t.Step.To, machine.PurposeConfigure)
	return bus.Recorded, nil
}

func passwordChange(cfg pve.VMConfig, password string) pve.Change {
	return pve.Change{Set: map[string]string{"cipassword": password}, Digest: cfg.Digest}
}

// reachGuest brings the password into a running guest, and says when it takes effect where it cannot.
// drive says that the machine has a cloud-init drive.
func (p *provisioner) reachGuest(ctx context.Context, c *pve.Client, t *bus.Trigger, password string, drive bool) error {
	vmid := int(t.VM.GetVmid())
	status, err := c.Status(ctx, t.VM.GetNode(), vmid)
	if err != nil {
		return err
	}
	noteStatus(t.VM, status)
	user := t.VM.GetPackage().GetCloudInit().GetUser()
	if status.Status != "running" {
		return atNextBoot(t, drive, "the machine does not run")
	}
	if err := t.Current(ctx); err != nil {
		return err
	}
	if drive {
		if err := c.RegenerateCloudInit(ctx, t.VM.GetNode(), vmid); err != nil {
			return err
		}
	}
	switch {
	case user == "":
		return atNextBoot(t, drive, "its package names no account")
	case !status.Agent:
		return atNextBoot(t, drive, "it has no guest agent")
	}
	err = c.AgentSetPassword(ctx, t.VM.GetNode(), vmid, user, password)
	switch pve.KindOf(err) {
	case pve.Transient, pve.Refused, pve.NoPermission, pve.Conflict:
		// The guest may be without an agent, or keep its accounts elsewhere.
		return atNextBoot(t, drive, "the guest agent did not take it: "+err.Error())
	}
	return err
}

// atNextBoot notes that the password takes effect later, where there is a drive that brings it.
func atNextBoot(t *bus.Trigger, drive bool, why string) error {
	if !drive {
		return &bus.Refused{
			Cause: "the password cannot reach the guest: it has no cloud-init drive, and " + why,
			Next:  "Start the machine with its guest agent, or set the password in the guest.",
		}
	}
	note(t.VM.GetOperation(), fmt.Sprintf("The new password holds from the machine's next boot on: %s.", why))
	return nil
}
