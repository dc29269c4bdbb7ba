package chain

import (
	"fmt"
	"slices"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// CommandTable is every command as a Markdown table.
func CommandTable() string {
	var b strings.Builder
	b.WriteString("| command | button | what it does | parameters |\n|---|---|---|---|\n")
	for _, r := range routes {
		arrow := ""
		if r.Continues() {
			arrow = " ->"
		}
		var params []string
		for _, p := range r.Needs {
			params = append(params, string(p))
		}
		for _, p := range r.Takes {
			params = append(params, "["+string(p)+"]")
		}
		fmt.Fprintf(&b, "| `%s` | %s%s%s | %s | %s |\n", r.Verb(), r.Mark(), r.Label, arrow, r.Does, strings.Join(params, " "))
	}
	return b.String()
}

// scene is a VM as it may stand when a command comes.
type scene struct {
	name string
	vm   *vmlinev1.VM
}

// restingPlaces are the statuses in which a VM may be while no operation runs.
var restingPlaces = slices.Concat(resettable, []vmlinev1.Status{vmlinev1.Status_STATUS_TERMINATED})

// rest is a VM whose last operation has ended in a status.
func rest(status vmlinev1.Status, power vmlinev1.RemoteStatus) *vmlinev1.VM {
	vm := &vmlinev1.VM{
		Ref: "w1-1", Status: status, Vmid: 100, RemoteStatus: power, Package: &vmlinev1.Package{Cluster: "dc1", Template: "debian"},
		PackageDigest: []byte("a"),
		Operation: &vmlinev1.Operation{
			Id: "earlier", Kind: vmlinev1.Operation_KIND_CREATE, State: vmlinev1.Operation_STATE_SUCCEEDED,
			Before: &vmlinev1.Before{Status: vmlinev1.Status_STATUS_READY},
		},
	}
	if status != vmlinev1.Status_STATUS_READY {
		vm.Operation.Kind = vmlinev1.Operation_KIND_RESET_STATUS
	}
	return vm
}

// busy is a VM on which an operation of the kind is half way.
func busy(kind vmlinev1.Operation_Kind, state vmlinev1.Operation_State, power vmlinev1.RemoteStatus) *vmlinev1.VM {
	r := routeOf[kind]
	origin := NoVM
	if len(r.From) > 0 {
		origin = r.From[len(r.From)-1]
	}
	vm := rest(origin, power)
	statuses := slices.Clone(r.Statuses)
	if len(statuses) == 0 {
		statuses = []vmlinev1.Status{origin, r.Step, origin}
	}
	for i, s := range statuses {
		if s == Same {
			statuses[i] = origin
		}
	}
	vm.Operation = &vmlinev1.Operation{Id: "earlier", Kind: kind, State: state, Before: &vmlinev1.Before{Status: origin}}
	reach(vm, statuses, (len(statuses)+1)/2)
	return vm
}

// reach has the VM's operation come so far on a route.
func reach(vm *vmlinev1.VM, route []vmlinev1.Status, steps int) {
	vm.Operation.Route = route
	for _, s := range route[:steps] {
		vm.Operation.Reached = append(vm.Operation.Reached, &vmlinev1.Reached{Status: s})
		vm.Status = s
	}
}

// waiting are VMs whose operation has parked where its way has another status than the chain.
func waiting() []scene {
	var all []scene
	for _, w := range []struct {
		kind   vmlinev1.Operation_Kind
		origin vmlinev1.Status
		route  []vmlinev1.Status
		at     vmlinev1.Status
	}{
		{vmlinev1.Operation_KIND_CREATE, NoVM, readdress(building), vmlinev1.Status_STATUS_STOPPED},
		{vmlinev1.Operation_KIND_CREATE, NoVM, readdress(building), vmlinev1.Status_STATUS_IP_RELEASED},
		{vmlinev1.Operation_KIND_REINSTALL, vmlinev1.Status_STATUS_READY, routeOf[vmlinev1.Operation_KIND_REINSTALL].Statuses, vmlinev1.Status_STATUS_PLANNED},
	} {
		vm := rest(w.origin, stopped)
		vm.Operation = &vmlinev1.Operation{Id: "earlier", Kind: w.kind, State: vmlinev1.Operation_STATE_PARKED, Before: &vmlinev1.Before{Status: w.origin}}
		reach(vm, w.route, slices.Index(w.route, w.at)+1)
		all = append(all, scene{fmt.Sprintf("%s parked at %s", KindName(w.kind), Name(w.at)), vm})
	}
	return all
}

// during are the operations that the admission table shows under way: one of each way of behaving.
var during = []vmlinev1.Operation_Kind{
	vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_CHANGE_PACKAGE, vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND,
	vmlinev1.Operation_KIND_REINSTALL, vmlinev1.Operation_KIND_START, vmlinev1.Operation_KIND_SET_NETWORK, vmlinev1.Operation_KIND_TERMINATE,
}

// admissionScenes are the columns of the admission table.
func admissionScenes() []scene {
	all := []scene{{"no VM", nil}}
	for _, status := range restingPlaces {
		for _, power := range []vmlinev1.RemoteStatus{running, stopped} {
			all = append(all, scene{Name(status) + ", " + powerName(power), rest(status, power)})
		}
	}
	for _, kind := range during {
		for _, state := range []vmlinev1.Operation_State{vmlinev1.Operation_STATE_RUNNING, vmlinev1.Operation_STATE_PARKED} {
			vm := busy(kind, state, stopped)
			all = append(all, scene{fmt.Sprintf("%s %s at %s", KindName(kind), StateName(state), Name(vm.GetStatus())), vm})
		}
	}
	all = append(all, waiting()...)
	destroying := busy(vmlinev1.Operation_KIND_REINSTALL, vmlinev1.Operation_STATE_RUNNING, stopped)
	destroying.Task = &vmlinev1.Task{Purpose: PurposeDestroy}
	return append(all, scene{"reinstall destroying", destroying})
}

func powerName(p vmlinev1.RemoteStatus) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "REMOTE_STATUS_"))
}

// sample is a command that has all that its row needs, and another package than the VM.
func sample(r Route) *vmlinev1.Command {
	return &vmlinev1.Command{
		Id: "new", Ref: "w1-1", Kind: r.Kind, Package: &vmlinev1.Package{Cluster: "dc1", Template: "debian"}, PackageDigest: []byte("b"),
		Params: &vmlinev1.Params{
			Node: "pve2", Status: vmlinev1.Status_STATUS_SET_NETWORK, Reason: "a reason", Vmid: 100, SealedPassword: []byte("sealed"),
		},
	}
}

// AdmissionTable shows as Markdown what admission says of every command in every state of a VM: the
// commands that are accepted, queued or joined there; every other command is refused.
func AdmissionTable() string {
	var b strings.Builder
	b.WriteString("| the VM | accepted | queued | joined |\n|---|---|---|---|\n")
	for _, s := range admissionScenes() {
		says := map[Verdict][]string{}
		for _, r := range routes {
			v := Admit(s.vm, sample(r)).Verdict
			says[v] = append(says[v], r.Verb())
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.name,
			strings.Join(says[Admitted], " "), strings.Join(says[Queued], " "), strings.Join(says[Joined], " "))
	}
	return b.String()
}
