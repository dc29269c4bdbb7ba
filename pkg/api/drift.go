package api

import (
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Drift is one way in which a machine differs from its VM's state.
type Drift struct {
	Kind   string `json:"kind" doc:"missing, foreign, power, hardware or firewall."`
	Detail string `json:"detail" doc:"In words for a person."`
	// Next is what a person can do about it.
	Next  string    `json:"next" doc:"What a person can do about it."`
	Since time.Time `json:"since,omitzero"`
}

// afterDrift is what a person can do about each kind of drift. Of itself only a suspended machine that runs
// is brought back: whoever changed a machine by hand may have had a reason.
var afterDrift = map[vmlinev1.Drift_Kind]string{
	vmlinev1.Drift_KIND_MISSING:  "Reinstall builds it anew with its VMID, MAC and addresses; terminate releases them.",
	vmlinev1.Drift_KIND_FOREIGN:  "Find out whose machine it is; it is not touched. If it is the customer's, restore the mark that is missing; if not, move it to another VMID.",
	vmlinev1.Drift_KIND_POWER:    "Start, stop or shut it down here, as it is meant to be: the last command counts.",
	vmlinev1.Drift_KIND_HARDWARE: "Change package to the package that it has, to have the machine as sold; or to one that is as the machine is.",
	vmlinev1.Drift_KIND_FIREWALL: "Set firewall sets the options and adds the rules that are missing.",
}

// afterDriftSuspended is the same of a suspended machine, where it differs.
var afterDriftSuspended = map[vmlinev1.Drift_Kind]string{
	vmlinev1.Drift_KIND_MISSING: "To have it built anew with its VMID, MAC and addresses, reset its status to ready, reinstall, and suspend it again; terminate releases them.",
	vmlinev1.Drift_KIND_POWER:   "It is stopped again by itself; unsuspend it if it is meant to run.",
}

func fromDrift(vm *vmlinev1.VM) []Drift {
	var drift []Drift
	for _, d := range vm.GetDrift() {
		next, differs := afterDriftSuspended[d.GetKind()]
		if !differs || vm.GetStatus() != vmlinev1.Status_STATUS_SUSPENDED {
			next = afterDrift[d.GetKind()]
		}
		drift = append(drift, Drift{
			Kind: enumName(d.GetKind().String(), "KIND_"), Detail: d.GetDetail(), Next: next, Since: fromTime(d.GetSince()),
		})
	}
	return drift
}
