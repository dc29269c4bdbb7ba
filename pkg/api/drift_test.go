package api

import (
	"testing"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

func TestEveryDriftSaysWhatIsNext(t *testing.T) {
	for number, name := range vmlinev1.Drift_Kind_name {
		if number == 0 {
			continue
		}
		vm := &vmlinev1.VM{Drift: []*vmlinev1.Drift{{Kind: vmlinev1.Drift_Kind(number)}}}
		if got := FromVM(vm).Drift; len(got) != 1 || got[0].Next == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for kind, want := range afterDriftSuspended {
		vm := &vmlinev1.VM{Status: vmlinev1.Status_STATUS_SUSPENDED, Drift: []*vmlinev1.Drift{{Kind: kind}}}
		if got := FromVM(vm).Drift[0].Next; got != want {
			t.Errorf("%s of a suspended machine: %s", kind, got)
		}
	}
}
