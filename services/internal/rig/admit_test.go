package rig

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vmline/vmline/pkg/chain"
	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// firstCame is what the sender of a command does that came second.
const firstCame = "Look at the VM, then send the command again if it is still wanted."

// TestRefusedCommands has a row for each reason why a command is not admitted. Only lifecycle runs, so
// the VM stands where the row puts it.
func TestRefusedCommands(t *testing.T) {
	r := New(t, Options{})
	r.Start(chain.Lifecycle, Edge{})
	const other = "other"
	cores := with(func(p *vmlinev1.Package) { p.Cores = 2 })
	template := with(func(p *vmlinev1.Package) { p.Template = other })
	cluster := with(func(p *vmlinev1.Package) { p.Cluster = "dc9" })
	for i, tt := range []struct {
		name string
		// before is how the VM stands, nil for a ref that was never used.
		before *vmlinev1.VM
		kind   vmlinev1.Operation_Kind
		pkg    *vmlinev1.Package
		// after is what the command builds on; "" means what is there.
		after       string
		cause, next string
	}{
		{
			name: "built on an older operation", before: standing(t, create, running, setIP), kind: terminate, after: "older",
			cause: "another command came first: operation earlier (create)", next: firstCame,
		},
		{
			name: "built on an operation that never was", kind: create, pkg: cores, after: "older",
			cause: "another command came first: operation  (unspecified)", next: firstCame,
		},
		{
			name: "unknown cluster", kind: create, pkg: cluster,
			cause: `the package names cluster "dc9"; there are: dc1`,
			next:  "Correct the package's cluster, or add the cluster to the configuration.",
		},
		{
			name: "another template for a machine that was begun", before: begun(standing(t, create, parked, setIP)), kind: create, pkg: template,
			cause: "VM 150 was begun on cluster dc1 from template tmpl",
			next:  "Keep cluster and template, or terminate the VM first and order it anew.",
		},
		{
			name: "create during a termination", before: standing(t, terminate, running, vmlinev1.Status_STATUS_REMOVED), kind: create, pkg: cores,
			cause: "operation earlier (terminate) is in progress, last step removed, now on its way to vmid_released",
			next:  "Wait until it has ended, then send the command again.",
		},
		{
			name: "create over a parked termination", before: standing(t, terminate, parked, vmlinev1.Status_STATUS_TERMINATE), kind: create, pkg: cores,
			cause: "operation earlier (terminate) waits for a person after terminate",
			next:  "Possible now: terminate, retry, reset-status.",
		},
		{
			name: "another package while it is made", before: standing(t, create, running, setIP), kind: create, pkg: cores,
			cause: "operation earlier (create) is in progress, last step set_ip, now on its way to clone",
			next:  "Wait until it has ended, then send the command again.",
		},
		{
			name: "another package when it is ready", before: begun(standing(t, create, succeeded, readyStatus)), kind: create, pkg: cores,
			cause: "the VM exists with another package",
			next:  "Send its change as change_package, or terminate the VM first.",
		},
		{
			name: "what is under way", before: standing(t, create, running, setIP), kind: create, pkg: Small("web"),
			cause: "the command asks for what is so already or is under way", next: "Look at operation earlier.",
		},
		{
			name: "what another has sent in the same moment", before: standing(t, create, running, setIP), kind: create, pkg: Small("web"), after: "nothing",
			cause: "the command asks for what is so already or is under way", next: "Look at operation earlier.",
		},
		{
			name: "what stands in the queue", before: queueing(standing(t, create, running, setIP)), kind: vmlinev1.Operation_KIND_SUSPEND,
			cause: "the command asks for what is so already or is under way", next: "Look at operation queued.",
		},
		{
			name: "terminate of nothing", kind: terminate,
			cause: "there is no such VM", next: "Order it first.",
		},
		{
			name: "terminate of what is terminated", before: standing(t, terminate, succeeded, vmlinev1.Status_STATUS_TERMINATED), kind: terminate,
			cause: "the command asks for what is so already or is under way", next: "Look at operation earlier.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			ref := "no-" + string(rune('a'+i))
			r.stand(ref, tt.before)
			before := r.log(ref)
			after := tt.before.GetOperation().GetId()
			if tt.after != "" {
				after = tt.after
			}
			cmd, err := Command(ref, tt.kind, tt.pkg, after)
			must(t, err)
			must(t, r.Bus.SendCommand(t.Context(), cmd))
			r.drained()
			r.checkRefused(cmd, tt.cause, tt.next)
			if now := r.log(ref); len(now) != len(before) {
				t.Errorf("a refused command has written %v", now[len(before):])
			}
		})
	}
}

// checkRefused fails the test unless the command was refused with that cause and next step.
func (r *Rig) checkRefused(cmd *vmlinev1.Command, cause, next string) {
	r.t.Helper()
	refusal := r.refusal(cmd.GetId())
	if refusal == nil {
		r.t.Fatalf("%s was not refused", cmd.GetId())
	}
	if refusal.GetOperationId() != cmd.GetId() || refusal.GetRef() != cmd.GetRef() || refusal.GetKind() != cmd.GetKind() || refusal.GetCreatedAt() == nil {
		r.t.Errorf("the refusal is of another command: %v", refusal)
	}
	p := refusal.GetProblem()
	if p.GetCause() != cause || p.GetNext() != next || p.GetKept() != "Nothing was changed." || p.GetSince() == nil {
		r.t.Errorf("a person reads %q, %q, %q\nwant cause %q, next %q", p.GetCause(), p.GetKept(), p.GetNext(), cause, next)
	}
	if joined, next := refusal.GetJoined(), p.GetNext(); joined != "" && next != "Look at operation "+joined+"." || joined == "" && strings.HasPrefix(next, "Look at operation") {
		r.t.Errorf("it joined %q, and a person reads %q", joined, next)
	}
	if n := len(r.admitted(cmd.GetRef(), cmd.GetId())); n != 0 {
		r.t.Errorf("%s was refused and admitted %d times", cmd.GetId(), n)
	}
}

// TestAdmittedCommands has a row for each state from which a command's route starts, and says what of
// the state stays.
func TestAdmittedCommands(t *testing.T) {
	r := New(t, Options{Settle: time.Hour})
	r.Start(chain.Lifecycle, Edge{})
	cores := with(func(p *vmlinev1.Package) { p.Cores, p.Node = 2, "pve2" })
	troubled := begun(standing(t, create, parked, vmlinev1.Status_STATUS_CLONE))
	troubled.Problem, troubled.Carried = &vmlinev1.Problem{Cause: "no room"}, []vmlinev1.Status{vmlinev1.Status_STATUS_SET_CPU_RAM}
	for i, tt := range []struct {
		name   string
		before *vmlinev1.VM
		kind   vmlinev1.Operation_Kind
		pkg    *vmlinev1.Package
		// same uid as before, and the same VMID and addresses; else a new uid and none of these.
		same bool
		// seen is whether what was seen of the machine is believed.
		seen bool
		// placement is the node where the machine is to live.
		placement string
		// settles is whether an absent VM is looked for again.
		settles bool
	}{
		{name: "a new ref", kind: create, pkg: Small("web")},
		{name: "a ref whose machine is terminated", before: standing(t, terminate, succeeded, vmlinev1.Status_STATUS_TERMINATED), kind: create, pkg: Small("web")},
		{name: "another template when nothing was begun", before: standing(t, create, parked, setIP), kind: create, same: true, pkg: with(func(p *vmlinev1.Package) { p.Template = "other" })},
		{name: "a corrected package for a machine that was begun", before: troubled, kind: create, pkg: cores, same: true, placement: "pve2"},
		{name: "termination of a machine that is ready", before: begun(standing(t, create, succeeded, readyStatus)), kind: terminate, same: true, seen: true, placement: "pve1"},
		{name: "termination over a create", before: begun(standing(t, create, running, vmlinev1.Status_STATUS_CLONE)), kind: terminate, same: true, seen: true, placement: "pve1"},
		{name: "termination over the order of a clone", before: begun(standing(t, create, running, setIP)), kind: terminate, same: true, seen: true, placement: "pve1", settles: true},
		{name: "termination before a VMID is known", before: standing(t, create, running, setIP), kind: terminate, same: true},
		{name: "repeated termination", before: begun(standing(t, terminate, parked, vmlinev1.Status_STATUS_TERMINATE)), kind: terminate, same: true, seen: true, placement: "pve1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.For(t)
			ref := "yes-" + string(rune('a'+i))
			r.stand(ref, tt.before)
			cmd, err := Command(ref, tt.kind, tt.pkg, tt.before.GetOperation().GetId())
			must(t, err)
			must(t, r.Bus.SendCommand(t.Context(), cmd))
			r.drained()
			if refusal := r.refusal(cmd.GetId()); refusal != nil {
				t.Fatalf("refused: %v", refusal)
			}
			began := r.admitted(ref, cmd.GetId())
			if len(began) != 1 {
				t.Fatalf("admitted %d times", len(began))
			}
			vm := began[0]
			checkOperation(t, vm, cmd)
			want := &vmlinev1.VM{}
			if tt.same {
				want = tt.before
			}
			if vm.GetUid() == "" || (vm.GetUid() == tt.before.GetUid()) != tt.same || vm.GetVmid() != want.GetVmid() || !equal(vm.GetAddresses(), want.GetAddresses()) {
				t.Errorf("it goes on as %s, VM %d, %v", vm.GetUid(), vm.GetVmid(), vm.GetAddresses())
			}
			if believed := vm.GetMac() != "" && vm.GetVmgenid() != ""; believed != tt.seen {
				t.Errorf("MAC %q and vmgenid %q are believed: %v", vm.GetMac(), vm.GetVmgenid(), believed)
			}
			if vm.GetPlacement() != tt.placement || (vm.GetSettleAt() != nil) != tt.settles {
				t.Errorf("placement %q, settles at %v", vm.GetPlacement(), vm.GetSettleAt())
			}
			if tt.pkg != nil && (!proto.Equal(vm.GetPackage(), tt.pkg) || string(vm.GetPackageDigest()) != string(cmd.GetPackageDigest()) || vm.GetCluster() != tt.pkg.GetCluster()) {
				t.Errorf("the package is %v on %s", vm.GetPackage(), vm.GetCluster())
			}
		})
	}
}

// checkOperation fails the test unless the state is the begin of the command's route and nothing else.
func checkOperation(t *testing.T, vm *vmlinev1.VM, cmd *vmlinev1.Command) {
	t.Helper()
	route, _ := chain.RouteOf(cmd.GetKind())
	op := vm.GetOperation()
	if op.GetKind() != cmd.GetKind() || op.GetState() != running || !slices.Equal(op.GetRoute(), route.Statuses) || op.GetRequestedBy() != "test" || !proto.Equal(op.GetCreatedAt(), cmd.GetCreatedAt()) {
		t.Errorf("the operation is %v", op)
	}
	if len(op.GetReached()) != 1 || op.GetReached()[0].GetStatus() != route.Statuses[0] || vm.GetStatus() != route.Statuses[0] {
		t.Errorf("it begins at %v with status %v", op.GetReached(), vm.GetStatus())
	}
	if vm.GetProblem() != nil || vm.GetRetry() != nil || len(vm.GetCarried()) != 0 {
		t.Errorf("it begins with an old trouble: %v, %v, %v", vm.GetProblem(), vm.GetRetry(), vm.GetCarried())
	}
}

// queueing is the VM with a suspension in its queue.
func queueing(vm *vmlinev1.VM) *vmlinev1.VM {
	vm.Queued = &vmlinev1.Queued{Id: "queued", Kind: vmlinev1.Operation_KIND_SUSPEND}
	return vm
}
