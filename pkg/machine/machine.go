// Package machine is what the services that work on Proxmox share about one VM: the mark that says
// whose it is, the proof of that before it is touched, finding it where it really is, and waiting
// for a task that its state has recorded.
package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Tag is the Proxmox tag of every VM that this system made.
const Tag = "vmline"

// ErrAbsent says that Proxmox itself has confirmed that no guest of the cluster has the VMID.
var ErrAbsent = errors.New("the VM does not exist on Proxmox")

// ErrBeingMade says that a clone is writing the VM's configuration, which bears no mark yet.
var ErrBeingMade = errors.New("the VM is being cloned")

// NotOurs says that a machine stands under the VM's VMID that is not the VM.
type NotOurs struct {
	VMID int
	Node string
	Name string
	// Why says which part of the proof is missing.
	Why string
}

func (e *NotOurs) Error() string {
	return fmt.Sprintf("the machine %d (%s) on node %s is not ours: %s", e.VMID, e.Name, e.Node, e.Why)
}

// Mark is the line in a VM's description that says whose it is. A person may write around it.
func Mark(vm *vmlinev1.VM) string {
	return fmt.Sprintf("vmline ref=%s uid=%s", vm.GetRef(), vm.GetUid())
}

// markStart is how every mark begins.
const markStart = Tag + " ref="

// MarkIn returns the mark in a configuration's description, whosever it is; empty where there is none.
func MarkIn(cfg pve.VMConfig) string {
	for line := range strings.SplitSeq(cfg.Description(), "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, markStart) {
			return line
		}
	}
	return ""
}

// ProofAge is how long the proof that a machine is ours stands. What touches a machine whose proof is
// older proves it again.
const ProofAge = 10 * time.Second

// Proven says that the present operation has the proof that the machine is ours, and that nothing has failed
// since.
func Proven(vm *vmlinev1.VM, now time.Time) bool {
	if vm.GetProvenAt() == nil || vm.GetRetry() != nil {
		return false
	}
	age := now.Sub(vm.GetProvenAt().AsTime())
	return age.Abs() <= ProofAge // another process's clock may be ahead
}

// cloneText is the description that Proxmox gives a configuration while a clone is beginning
// (PVE::API2::Qemu clone_vm).
const cloneText = "qmclone temporary file"

// Prove returns nil if the configuration is that of the VM: its mark stands in the description and,
// once the VM's generation id is known, tag and generation id are there too.
//
// Proxmox gives a machine a new generation id when it is rolled back to a snapshot or restored from a
// backup, which a person may do at any time. Then the MAC of the first card stands in for it: a rollback
// and a restoration bring the machine's own back, while every copy gets new ones. So the proof still has
// one part that only the machine itself can have, and a copy that was put under its VMID, with mark and
// tag, is refused as before.
func Prove(vm *vmlinev1.VM, node string, cfg pve.VMConfig) error {
	lines := strings.Split(cfg.Description(), "\n")
	marked := slices.ContainsFunc(lines, func(l string) bool { return strings.TrimSpace(l) == Mark(vm) })
	foreign := func(why string) error {
		return &NotOurs{VMID: int(vm.GetVmid()), Node: node, Name: cfg.Name(), Why: why}
	}
	switch {
	case !marked && cfg.Lock == "clone" && strings.TrimSpace(cfg.Description()) == cloneText:
		return ErrBeingMade
	case !marked:
		return foreign(fmt.Sprintf("its description does not say %q", Mark(vm)))
	case vm.GetVmgenid() == "":
		return nil
	case cfg.VMGenID() != vm.GetVmgenid() && !sameCard(vm, cfg):
		return foreign(fmt.Sprintf("its vmgenid is %q, ours is %q", cfg.VMGenID(), vm.GetVmgenid()))
	case !slices.Contains(cfg.Tags(), Tag):
		return foreign(fmt.Sprintf("it has no tag %q", Tag))
	}
	return nil
}

// sameCard says that the machine's first card is the one that the VM is known to have.
func sameCard(vm *vmlinev1.VM, cfg pve.VMConfig) bool {
	card, err := cfg.Net("net0")
	return err == nil && vm.GetMac() != "" && strings.EqualFold(card.MAC, vm.GetMac())
}

// Found is a VM where it is, proven to be ours.
type Found struct {
	Node   string
	Config pve.VMConfig
}

// Find reads the VM's configuration where the VM is, also when it was moved, and proves that it is
// ours. It returns ErrAbsent only when Proxmox has confirmed that no guest has the VMID; what
// cannot be seen is another error.
func Find(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (Found, error) {
	cfg, err := c.VMConfig(ctx, vm.GetNode(), int(vm.GetVmid()))
	if err == nil {
		return Found{vm.GetNode(), cfg}, Prove(vm, vm.GetNode(), cfg)
	}
	switch pve.KindOf(err) {
	case pve.Gone:
		free, err := c.VMIDFree(ctx, int(vm.GetVmid()))
		if err != nil {
			return Found{}, err
		}
		if free {
			return Found{}, ErrAbsent
		}
	case pve.Unreachable: // its node may be down, and the VM on another
	default:
		return Found{}, err
	}
	node, lookErr := elsewhere(ctx, c, vm)
	if lookErr != nil {
		return Found{}, lookErr
	}
	if node == "" {
		return Found{}, fmt.Errorf("VM %d cannot be seen where it was last, and the cluster does not show it elsewhere: %w", vm.GetVmid(), err)
	}
	cfg, err = c.VMConfig(ctx, node, int(vm.GetVmid()))
	if err != nil {
		return Found{}, err
	}
	return Found{node, cfg}, Prove(vm, node, cfg)
}

// elsewhere returns the node that the cluster shows the VM on, if that is another than the one
// last seen. The list lags behind, so it proves nothing by itself.
func elsewhere(ctx context.Context, c *pve.Client, vm *vmlinev1.VM) (string, error) {
	all, err := c.Resources(ctx)
	if err != nil {
		return "", err
	}
	for _, v := range all.VMs {
		if v.VMID == int(vm.GetVmid()) && v.Node != vm.GetNode() {
			return v.Node, nil
		}
	}
	return "", nil
}
