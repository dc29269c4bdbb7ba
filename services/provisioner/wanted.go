package provisioner

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/chain"
	"github.com/vmline/vmline/pkg/machine"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
	"github.com/vmline/vmline/services/provisioner/internal/plan"
)

// builds says that an operation makes the machine, so that nobody uses it yet.
func builds(op *vmlinev1.Operation) bool {
	switch chain.Goal(op) {
	case vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_REINSTALL, vmlinev1.Operation_KIND_REDEPLOY:
		return true
	default:
		return false
	}
}

// setBefore are the packages whose settings the machine may have, so that those which the VM's package does
// not name are taken away: the one before, or that of the change which is taken back, then those that were
// given up half way.
func setBefore(op *vmlinev1.Operation) []*vmlinev1.Package {
	first := op.GetUndone()
	if first == nil {
		first = op.GetBefore().GetPackage()
	}
	if first == nil {
		return op.GetReplaced()
	}
	return append([]*vmlinev1.Package{first}, op.GetReplaced()...)
}

// options are how much of the package the present operation is about: a button its own part, a creation
// everything. A machine that is built again gets the MAC of the one before.
func (p *provisioner) options(t *bus.Trigger, password string, fresh bool) plan.Options {
	op := t.VM.GetOperation()
	o := plan.Options{Parts: plan.Of(op.GetRoute()[1:]...), Before: setBefore(op), Password: password, Fresh: fresh}
	if builds(op) {
		o.MAC = t.VM.GetMac()
	}
	return o
}

// plan works out what is missing. first says that the operation has not configured the machine yet: then
// a machine that is being built gets its password even if the configuration has one, because that one
// came with the template, and so does a machine whose password has changed.
func (p *provisioner) plan(t *bus.Trigger, found machine.Found, first bool) (plan.Plan, error) {
	o := p.options(t, "", false)
	if o.Parts&plan.CloudInit != 0 {
		password, err := p.open(t.VM.GetPackage())
		if err != nil {
			return plan.Plan{}, err
		}
		ran := t.VM.GetRemoteStatus() == vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING // it has had its password
		o.Password = password
		o.Fresh = first && len(t.VM.GetCarried()) == 0 && (builds(t.VM.GetOperation()) && !ran || p.newPassword(t.VM, password))
	}
	todo, err := plan.Make(found.Config, t.VM, o)
	if err != nil {
		return plan.Plan{}, impossible(t, err)
	}
	return todo, nil
}

// newPassword says that a change of package brings another password. Sealed twice, the same password
// looks like two.
func (p *provisioner) newPassword(vm *vmlinev1.VM, password string) bool {
	if chain.Goal(vm.GetOperation()) != vmlinev1.Operation_KIND_CHANGE_PACKAGE || password == "" {
		return false
	}
	return slices.ContainsFunc(setBefore(vm.GetOperation()), func(before *vmlinev1.Package) bool {
		if bytes.Equal(before.GetCloudInit().GetSealedPassword(), vm.GetPackage().GetCloudInit().GetSealedPassword()) {
			return false
		}
		old, err := p.open(before)
		return err != nil || old != password
	})
}

// open opens the package's password; it is empty where there is none.
func (p *provisioner) open(pkg *vmlinev1.Package) (string, error) {
	return p.openSealed(pkg.GetCloudInit().GetSealedPassword())
}

func (p *provisioner) openSealed(sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	opened, err := p.Opener.Open(sealed)
	if err != nil {
		return "", &bus.NeedsPerson{
			Cause: "the order's password cannot be opened with this service's key", Kept: kept, Err: err,
			Next: "Give gateway and provisioner the same key pair, then repeat the order with its password.",
		}
	}
	return string(opened), nil
}

// impossible refuses, or parks where something was changed already, what the machine cannot become. A
// plan is pure: the same configuration would fail again.
func impossible(t *bus.Trigger, err error) error {
	cause, next := fmt.Sprintf("VM %d cannot be configured: %v", t.VM.GetVmid(), err), "Correct the package or the template, then repeat the order."
	var no *plan.Impossible
	if errors.As(err, &no) && no.Next != "" {
		next = no.Next
	}
	if untouched(t.VM.GetOperation()) {
		return &bus.Refused{Cause: cause, Next: next}
	}
	return &bus.NeedsPerson{Cause: cause, Err: err, Kept: "Nothing was changed on the machine. " + kept, Next: next}
}
