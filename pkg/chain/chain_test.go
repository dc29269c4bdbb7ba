package chain

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestEveryStepHasOneOwnerAndADeadline(t *testing.T) {
	seen := map[vmlinev1.Status]bool{}
	for _, s := range steps {
		if seen[s.To] {
			t.Errorf("%s has two rows", Name(s.To))
		}
		seen[s.To] = true
		if !slices.Contains(Services, s.Owner) {
			t.Errorf("%s has no known owner: %q", Name(s.To), s.Owner)
		}
		if s.Deadline <= 0 {
			t.Errorf("%s has no deadline", Name(s.To))
		}
	}
}

func TestEveryStepIsOnARoute(t *testing.T) {
	for _, s := range steps {
		if !slices.Contains(returning, s.To) && !slices.ContainsFunc(routes, func(r Route) bool { return len(r.Statuses) > 0 && slices.Contains(r.Statuses[1:], s.To) }) {
			t.Errorf("no route passes %s", Name(s.To))
		}
	}
}

// TestEveryKindHasARow holds the table against the contract.
func TestEveryKindHasARow(t *testing.T) {
	for _, kind := range allKindsBut() {
		r, ok := RouteOf(kind)
		if !ok {
			t.Errorf("%s has no row", KindName(kind))
			continue
		}
		if r.Label == "" || r.Does == "" || (len(r.Statuses) > 0) == (r.Dynamic != nil) {
			t.Errorf("the row of %s is not whole", r.Verb())
		}
		if back, ok := KindNamed(r.Verb()); !ok || back != kind {
			t.Errorf("%s is not found by its verb", r.Verb())
		}
	}
}

// TestEveryRouteReachesItsEnd walks each operation as the services do, from every state in which it may
// begin, to its end.
func TestEveryRouteReachesItsEnd(t *testing.T) {
	for _, r := range routes {
		begun := 0
		for _, vm := range admissionScenes() {
			vm, cmd := vm.vm, sample(r)
			if Admit(vm, cmd).Verdict != Admitted {
				continue
			}
			begun++
			next := Begin(vm, cmd, time.Unix(0, 0), func() string { return "u" })
			for range len(next.GetOperation().GetRoute()) {
				step, ok := Next(next)
				if !ok {
					break
				}
				next.Status = step.To
				next.Operation.Reached = append(next.Operation.Reached, &vmlinev1.Reached{Status: step.To})
			}
			if !Last(next) {
				t.Errorf("%s from %s stopped at %s of %v", r.Verb(), Name(vm.GetStatus()), Name(next.GetStatus()), next.GetOperation().GetRoute())
			}
		}
		if begun == 0 {
			t.Errorf("%s can never begin", r.Verb())
		}
	}
}

func TestNobodyActsOnAParkedOrEndedOperation(t *testing.T) {
	route := routes[0]
	for _, state := range []vmlinev1.Operation_State{
		vmlinev1.Operation_STATE_PARKED, vmlinev1.Operation_STATE_SUCCEEDED, vmlinev1.Operation_STATE_INTERRUPTED,
	} {
		vm := &vmlinev1.VM{Operation: &vmlinev1.Operation{State: state, Route: route.Statuses}}
		if owner, ok := Acts(vm); ok {
			t.Errorf("%s: %s would act", StateName(state), owner)
		}
	}
	if _, ok := Next(nil); ok {
		t.Error("somebody would act on a VM that does not exist")
	}
}

// TestREADMEShowsTheTable holds the diagram in the README against the table.
func TestREADMEShowsTheTable(t *testing.T) {
	holds(t, filepath.Join("..", "..", "README.md"), "```mermaid\n"+Mermaid()+"```\n")
}

// TestLifecyclesREADMEShowsTheTables holds commands and admission in lifecycle's README against the table.
func TestLifecyclesREADMEShowsTheTables(t *testing.T) {
	holds(t, filepath.Join("..", "..", "services", "lifecycle", "README.md"), CommandTable())
	holds(t, filepath.Join("..", "..", "services", "lifecycle", "README.md"), AdmissionTable())
}

// holds fails the test unless the file has the text.
func holds(t *testing.T, file, want string) {
	t.Helper()
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(have), want) {
		t.Errorf("%s does not show the table as it is; put this there:\n%s", filepath.Base(file), want)
	}
}
