package chain

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestEveryStepHasOneOwnerAndADeadline(t *testing.T) {
	seen := map[vmlinev1.Status]bool{}
	for _, s := range steps {
		if seen[s.To] {
			t.Errorf("%s has two rows", Name(s.To))
		}
		seen[s.To] = true
		if !slices.Contains([]Service{IPAM, Provisioner, Lifecycle}, s.Owner) {
			t.Errorf("%s has no known owner: %q", Name(s.To), s.Owner)
		}
		if s.Deadline <= 0 {
			t.Errorf("%s has no deadline", Name(s.To))
		}
	}
}

func TestEveryStepIsOnARoute(t *testing.T) {
	for _, s := range steps {
		on := slices.ContainsFunc(routes, func(r Route) bool { return slices.Contains(r.Statuses[1:], s.To) })
		if !on {
			t.Errorf("no route passes %s", Name(s.To))
		}
	}
}

// TestEveryRouteReachesItsEnd walks each route as the services do, from admission to the end.
func TestEveryRouteReachesItsEnd(t *testing.T) {
	for _, r := range routes {
		t.Run(r.Verb, func(t *testing.T) {
			vm := &vmlinev1.VM{Status: r.Statuses[0], Operation: &vmlinev1.Operation{
				Kind: r.Kind, State: vmlinev1.Operation_STATE_RUNNING, Route: r.Statuses,
				Reached: []*vmlinev1.Reached{{Status: r.Statuses[0]}},
			}}
			for range len(r.Statuses) {
				step, ok := Next(vm)
				if !ok {
					break
				}
				vm.Status = step.To
				vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: step.To})
			}
			if !Last(vm) || vm.GetStatus() != r.Statuses[len(r.Statuses)-1] {
				t.Fatalf("stopped at %s, route ends at %s", Name(vm.GetStatus()), Name(r.Statuses[len(r.Statuses)-1]))
			}
		})
	}
}

func TestNobodyActsOnAParkedOrEndedOperation(t *testing.T) {
	route := routes[0]
	for _, state := range []vmlinev1.Operation_State{
		vmlinev1.Operation_STATE_PARKED, vmlinev1.Operation_STATE_SUCCEEDED, vmlinev1.Operation_STATE_INTERRUPTED,
	} {
		vm := &vmlinev1.VM{Operation: &vmlinev1.Operation{State: state, Route: route.Statuses}}
		if step, ok := Next(vm); ok {
			t.Errorf("%s: %s would act", StateName(state), step.Owner)
		}
	}
	if _, ok := Next(nil); ok {
		t.Error("somebody would act on a VM that does not exist")
	}
}

func TestAdmit(t *testing.T) {
	const (
		create    = vmlinev1.Operation_KIND_CREATE
		terminate = vmlinev1.Operation_KIND_TERMINATE
		running   = vmlinev1.Operation_STATE_RUNNING
		parked    = vmlinev1.Operation_STATE_PARKED
		done      = vmlinev1.Operation_STATE_SUCCEEDED
	)
	vm := func(kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, status vmlinev1.Status) *vmlinev1.VM {
		return &vmlinev1.VM{
			Status: status, PackageDigest: []byte("a"),
			Operation: &vmlinev1.Operation{Id: "op", Kind: kind, State: state},
		}
	}
	for _, tt := range []struct {
		name   string
		vm     *vmlinev1.VM
		kind   vmlinev1.Operation_Kind
		digest string
		want   Verdict
		reason string
	}{
		{"create of a new ref", nil, create, "a", Admitted, ""},
		{"create repeated while running", vm(create, running, vmlinev1.Status_STATUS_CLONE), create, "a", Joined, ""},
		{"other package while running", vm(create, running, vmlinev1.Status_STATUS_CLONE), create, "b", Refused, "operation op (create) is in progress, last step clone"},
		{"create repeated when parked", vm(create, parked, vmlinev1.Status_STATUS_CREATION), create, "a", Admitted, ""},
		{"mended package when parked", vm(create, parked, vmlinev1.Status_STATUS_CREATION), create, "b", Admitted, ""},
		{"create repeated when ready", vm(create, done, vmlinev1.Status_STATUS_READY), create, "a", Joined, ""},
		{"other package when ready", vm(create, done, vmlinev1.Status_STATUS_READY), create, "b", Refused, "cannot change a package"},
		{"create after termination", vm(terminate, done, vmlinev1.Status_STATUS_TERMINATED), create, "a", Admitted, ""},
		{"create during termination", vm(terminate, running, vmlinev1.Status_STATUS_REMOVED), create, "a", Refused, "in progress, last step removed"},
		{"create over a parked termination", vm(terminate, parked, vmlinev1.Status_STATUS_TERMINATE), create, "a", Refused, "waits for a person"},
		{"terminate of nothing", nil, terminate, "", Refused, "no such VM"},
		{"terminate a ready VM", vm(create, done, vmlinev1.Status_STATUS_READY), terminate, "", Admitted, ""},
		{"terminate during create", vm(create, running, vmlinev1.Status_STATUS_SET_IP), terminate, "", Admitted, ""},
		{"terminate a parked create", vm(create, parked, vmlinev1.Status_STATUS_SET_IP), terminate, "", Admitted, ""},
		{"terminate repeated", vm(terminate, running, vmlinev1.Status_STATUS_TERMINATE), terminate, "", Joined, ""},
		{"terminate repeated when parked", vm(terminate, parked, vmlinev1.Status_STATUS_TERMINATE), terminate, "", Admitted, ""},
		{"terminate when gone", vm(terminate, done, vmlinev1.Status_STATUS_TERMINATED), terminate, "", Joined, ""},
		{"unknown kind", nil, vmlinev1.Operation_KIND_UNSPECIFIED, "", Refused, "no operation of kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Admit(tt.vm, tt.kind, []byte(tt.digest))
			if got.Verdict != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Fatalf("got %d %q, want %d %q", got.Verdict, got.Reason, tt.want, tt.reason)
			}
			if got.Verdict == Refused && got.Next == "" {
				t.Error("a refusal that does not say what to do next")
			}
		})
	}
}

// TestREADMEShowsTheTable holds the diagram in the README against the table.
func TestREADMEShowsTheTable(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "```mermaid\n" + Mermaid() + "```\n"; !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not show the chain as the table has it; put this there:\n%s", want)
	}
}
