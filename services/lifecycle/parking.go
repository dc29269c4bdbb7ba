package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vmline/vmline/pkg/bus"
	"github.com/vmline/vmline/pkg/machine"
	"github.com/vmline/vmline/pkg/pve"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// objection refuses to remove a machine that runs, or that has disks which nothing uses and nowhere to
// hand them to: Proxmox deletes them with the machine.
func objection(ctx context.Context, r removal) error {
	status, err := r.Status(ctx, r.found.Node, r.vmid())
	if err != nil {
		return err
	}
	if status.Status == "running" {
		r.t.VM.RemoteStatus = running
		return r.no(fmt.Sprintf("VM %d runs, and only a stopped machine is removed", r.vmid()), "Stop it, then send the command again.")
	}
	r.t.VM.RemoteStatus = stopped
	disks := unused(r.found.Config)
	if len(disks) == 0 {
		return nil
	}
	_, _, err = r.keeper(ctx)
	return err
}

// no ends the operation while nothing was changed yet, and asks a person afterwards.
func (r removal) no(cause, next string) error {
	if r.t.VM.GetOperation().GetResult() == nil {
		return &bus.Refused{Cause: cause, Next: next}
	}
	return &bus.NeedsPerson{Cause: cause, Kept: keptWhole + " " + r.t.VM.GetOperation().GetResult().GetNote(), Next: next}
}

// keeper returns the machine that takes the disks: one of parking_vmids on the same node, because Proxmox
// hands disks to no other, and no customer's.
func (r removal) keeper(ctx context.Context) (int, pve.VMConfig, error) {
	all, err := r.Resources(ctx)
	if err != nil {
		return 0, pve.VMConfig{}, err
	}
	i := slices.IndexFunc(all.VMs, func(vm pve.VM) bool { return slices.Contains(r.parking, vm.VMID) && vm.Node == r.found.Node })
	if i < 0 {
		return 0, pve.VMConfig{}, r.no(
			fmt.Sprintf("VM %d has disks that nothing uses, which would be deleted with it: %s; on node %s there is no machine of parking_vmids to hand them to",
				r.vmid(), r.unusedList(), r.found.Node),
			"Name a machine on that node under parking_vmids of the cluster, or move or delete the disks; then send the command again.")
	}
	keeper := all.VMs[i].VMID
	cfg, err := r.VMConfig(ctx, r.found.Node, keeper)
	if err == nil && slices.Contains(cfg.Tags(), machine.Tag) {
		err = r.no(fmt.Sprintf("VM %d of parking_vmids is a customer's machine (tag %s)", keeper, machine.Tag), "Name another machine under parking_vmids.")
	}
	return keeper, cfg, err
}

func (r removal) unusedList() string {
	var list []string
	for _, key := range unused(r.found.Config) {
		list = append(list, key+" = "+r.found.Config.Values[key])
	}
	return strings.Join(list, ", ")
}

// handOver gives the next disk that nothing uses to the parking machine, where it stays unused. Its
// volume is renamed; nothing is copied.
func handOver(ctx context.Context, r removal) (pve.UPID, error) {
	disks := unused(r.found.Config)
	if len(disks) == 0 {
		return "", nil
	}
	keeper, cfg, err := r.keeper(ctx)
	if err != nil {
		return "", err
	}
	if err := r.t.Current(ctx); err != nil {
		return "", err
	}
	slot := freeSlot(cfg)
	upid, err := r.MoveDisk(ctx, r.found.Node, r.vmid(), disks[0], pve.MoveOptions{TargetVMID: keeper, TargetDisk: slot, Digest: r.found.Config.Digest})
	if ordered(err) {
		r.note(fmt.Sprintf("disk %s", r.found.Config.Values[disks[0]]), fmt.Sprintf("goes to VM %d as %s", keeper, slot))
	}
	return upid, err
}

// ordered says that Proxmox does what it was told, perhaps: a lost answer counts, because nobody learns later
// what it was.
func ordered(err error) bool { return err == nil || pve.KindOf(err) == pve.MaybeCommitted }

// note writes what becomes of a thing into what the operation leaves behind for a person, in the place of what
// an attempt before this one has written of it.
func (r removal) note(thing, fate string) {
	op := r.t.VM.GetOperation()
	if op.GetResult() == nil {
		op.Result = &vmlinev1.Result{}
	}
	var lines []string
	if before := op.GetResult().GetNote(); before != "" {
		lines = strings.Split(before, noteBreak)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, thing+" ") })
	op.Result.Note = strings.Join(append(lines, thing+" "+fate), noteBreak)
}

// noteBreak stands between the lines of a note.
const noteBreak = "; "

var unusedKey = regexp.MustCompile(`^unused(\d+)$`)

// unused returns the keys of the disks that the machine keeps and does not use, in their order.
func unused(cfg pve.VMConfig) []string {
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(cfg.Values)), func(k string) bool { return !unusedKey.MatchString(k) })
	slices.SortFunc(keys, func(a, b string) int { return number(a) - number(b) })
	return keys
}

func number(key string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(key, "unused")) // the pattern has digits only
	return n
}

// freeSlot is the first unusedN that a machine has not.
func freeSlot(cfg pve.VMConfig) string {
	for n := 0; ; n++ {
		if key := "unused" + strconv.Itoa(n); !cfg.Has(key) {
			return key
		}
	}
}
