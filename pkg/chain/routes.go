package chain

import (
	"slices"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Route is one command: what it is called, when it may begin, and the way of its operation.
type Route struct {
	Kind vmlinev1.Operation_Kind
	// Label is the button's text, under the seed's name where the seed has one.
	Label string
	// Statuses are passed in this order; admission publishes the first. Same stands for the status that
	// the VM had.
	Statuses []vmlinev1.Status
	// From are the statuses in which the command may begin while no operation runs. NoVM stands for a ref
	// that has no VM.
	From []vmlinev1.Status
	// Parked lets the command take the place of any operation but a termination that waits for a person in
	// one of the From statuses. Without it only a parked operation of the same goal is taken up again.
	Parked bool
	// Building lets the command take the place of a parked operation that builds the machine, and of no
	// other: it would harm a machine that its customer uses.
	Building bool
	// Interrupts are the goals of running operations that the command may end before their time.
	Interrupts []vmlinev1.Operation_Kind
	// Queues lets the command wait for the end of an operation that it may not interrupt.
	Queues bool
	// Power is the precondition: ** is Stopped.
	Power Power
	// Step is the status of a button that forces one step. Then Statuses is empty: from ready the way is
	// there and back, in a broken chain the rest of the chain follows.
	Step vmlinev1.Status
	// Needs are the parameters without which the command is refused.
	Needs []Param
	// Takes are parameters that may be given.
	Takes []Param
	// Package says that the command carries a package.
	Package bool
	// Wants is the power state that the customer's machine is to have from now on; unspecified keeps it.
	Wants vmlinev1.RemoteStatus
	// Operator marks commands that mend; they are for operators, not for billing.
	Operator bool
	// Dynamic is set where the way depends on the VM: it returns the statuses and the goal, or why the
	// command is impossible.
	Dynamic func(vm *vmlinev1.VM, cmd *vmlinev1.Command) (way, error)
	// Does says in one line what the command does.
	Does string
}

// Same stands in a route for the status that the VM had when its operation began.
const Same = vmlinev1.Status_STATUS_UNSPECIFIED

// NoVM stands for the status of a ref that has no VM.
const NoVM = vmlinev1.Status_STATUS_UNSPECIFIED

// Param is a parameter of a command.
type Param string

// The parameters.
const (
	// ParamNode is a node of the VM's cluster.
	ParamNode Param = "node"
	// ParamStatus is a local status.
	ParamStatus Param = "status"
	// ParamReason is a person's reason, for the log.
	ParamReason Param = "reason"
	// ParamTemplate replaces the package's template.
	ParamTemplate Param = "template"
	// ParamVMID is an existing machine's VMID.
	ParamVMID Param = "vmid"
	// ParamPassword is a new password. It arrives sealed.
	ParamPassword Param = "password"
	// ParamTimeout is in seconds.
	ParamTimeout Param = "timeout"
)

// given says whether a command has the parameter.
func (p Param) given(params *vmlinev1.Params) bool {
	switch p {
	case ParamNode:
		return params.GetNode() != ""
	case ParamStatus:
		return params.GetStatus() != vmlinev1.Status_STATUS_UNSPECIFIED
	case ParamReason:
		return strings.TrimSpace(params.GetReason()) != ""
	case ParamTemplate:
		return params.GetTemplate() != ""
	case ParamVMID:
		return params.GetVmid() != 0
	case ParamPassword:
		return len(params.GetSealedPassword()) > 0
	case ParamTimeout:
		return params.GetTimeoutSeconds() != 0
	}
	return false
}

// Mark is what stands before a button's name: "*" any power state, "**" stopped only, as in the seed.
func (r Route) Mark() string {
	switch {
	case r.Power == Stopped:
		return "**"
	case r.Step != Same && r.Kind != vmlinev1.Operation_KIND_SET_DEDICATED_IP && r.Kind != vmlinev1.Operation_KIND_CLONE:
		return "*"
	}
	return ""
}

// Continues says that in a broken chain the rest of the chain follows the command's step (->).
func (r Route) Continues() bool { return r.Step != Same }

// Verb is the command's name in the CLI and on the bus, for example set-cpu-ram.
func (r Route) Verb() string { return strings.ReplaceAll(KindName(r.Kind), "_", "-") }

// building are the statuses of a create: the chain.
var building = []vmlinev1.Status{
	vmlinev1.Status_STATUS_CREATION,
	vmlinev1.Status_STATUS_SET_IP,
	vmlinev1.Status_STATUS_CLONE,
	vmlinev1.Status_STATUS_MIGRATED,
	vmlinev1.Status_STATUS_SET_CPU_RAM,
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE,
	vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE,
	vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH,
	vmlinev1.Status_STATUS_SET_NETWORK,
	vmlinev1.Status_STATUS_SET_FIREWALL,
	vmlinev1.Status_STATUS_SET_CLOUDINIT,
	vmlinev1.Status_STATUS_STARTING,
	vmlinev1.Status_STATUS_READY,
}

// from is the part of the chain that begins with a status.
func from(status vmlinev1.Status) []vmlinev1.Status {
	return building[max(slices.Index(building, status), 0):]
}

// between is the part of the chain from one status to another, both included.
func between(first, last vmlinev1.Status) []vmlinev1.Status {
	return building[slices.Index(building, first) : slices.Index(building, last)+1]
}

// The ways of more than one command.
var (
	changing = slices.Concat(
		[]vmlinev1.Status{
			vmlinev1.Status_STATUS_CHANGE_PACKAGE, vmlinev1.Status_STATUS_PLANNED,
			vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_STOPPED,
		},
		between(vmlinev1.Status_STATUS_SET_CPU_RAM, vmlinev1.Status_STATUS_STARTING),
		[]vmlinev1.Status{vmlinev1.Status_STATUS_IP_RELEASED, vmlinev1.Status_STATUS_READY},
	)
	terminating = []vmlinev1.Status{
		vmlinev1.Status_STATUS_TERMINATE, vmlinev1.Status_STATUS_REMOVED,
		vmlinev1.Status_STATUS_VMID_RELEASED, vmlinev1.Status_STATUS_TERMINATED,
	}
	// returning an adopted machine leaves it as it was.
	returning = []vmlinev1.Status{
		vmlinev1.Status_STATUS_RETURNED, vmlinev1.Status_STATUS_VMID_RELEASED, vmlinev1.Status_STATUS_TERMINATED,
	}
)

// Where commands may begin.
var (
	atReady   = []vmlinev1.Status{vmlinev1.Status_STATUS_READY}
	standing  = []vmlinev1.Status{vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_SUSPENDED}
	nothing   = []vmlinev1.Status{NoVM, vmlinev1.Status_STATUS_TERMINATED}
	withVM    = slices.DeleteFunc(allStatuses(), func(s vmlinev1.Status) bool { return slices.Contains(nothing, s) })
	unready   = slices.Concat(building[:len(building)-1], []vmlinev1.Status{vmlinev1.Status_STATUS_REMOVED})
	withParts = between(vmlinev1.Status_STATUS_CLONE, vmlinev1.Status_STATUS_READY)
)

func allStatuses() []vmlinev1.Status {
	var all []vmlinev1.Status
	for number := range vmlinev1.Status_name {
		all = append(all, vmlinev1.Status(number))
	}
	slices.Sort(all)
	return all
}

func allKindsBut(but ...vmlinev1.Operation_Kind) []vmlinev1.Operation_Kind {
	var kinds []vmlinev1.Operation_Kind
	for number := range vmlinev1.Operation_Kind_name {
		if kind := vmlinev1.Operation_Kind(number); number != 0 && !slices.Contains(but, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// thereAndBack leads to one status and back to where the VM was.
func thereAndBack(status vmlinev1.Status) []vmlinev1.Status {
	return []vmlinev1.Status{Same, status, Same}
}

// button is the row of a command that forces one step of the chain.
func button(kind vmlinev1.Operation_Kind, step vmlinev1.Status, label, does string, power Power) Route {
	begin := []vmlinev1.Status{building[slices.Index(building, step)-1], vmlinev1.Status_STATUS_READY}
	return Route{Kind: kind, Label: label, Step: step, From: begin, Building: true, Power: power, Does: does, Dynamic: stepWay(step)}
}

// wanting is a row whose command wants a power state from now on.
func wanting(power vmlinev1.RemoteStatus, r Route) Route {
	r.Wants = power
	return r
}

const (
	running = vmlinev1.RemoteStatus_REMOTE_STATUS_RUNNING
	stopped = vmlinev1.RemoteStatus_REMOTE_STATUS_STOPPED
)

// routes has one row for every command.
var routes = []Route{
	{
		Kind: vmlinev1.Operation_KIND_CREATE, Label: "Create", Statuses: building, From: nothing, Package: true, Wants: running,
		Does: "reserves addresses and a VMID, clones the template, configures and starts the machine",
	},
	{
		Kind: vmlinev1.Operation_KIND_SUSPEND, Label: "Suspend", From: atReady, Queues: true, Takes: []Param{ParamReason, ParamTimeout},
		Statuses: []vmlinev1.Status{Same, vmlinev1.Status_STATUS_STOPPED, vmlinev1.Status_STATUS_SUSPENDED},
		Does:     "shuts the machine down and keeps it so that nobody can start it",
	},
	{
		Kind: vmlinev1.Operation_KIND_UNSUSPEND, Label: "Unsuspend", From: []vmlinev1.Status{vmlinev1.Status_STATUS_SUSPENDED}, Queues: true, Wants: running,
		Statuses: []vmlinev1.Status{Same, vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_READY},
		Does:     "starts a suspended machine",
	},
	{
		Kind: vmlinev1.Operation_KIND_TERMINATE, Label: "Terminate", Statuses: terminating, From: withVM, Parked: true, Queues: true,
		Interrupts: allKindsBut(vmlinev1.Operation_KIND_TERMINATE),
		Does:       "deletes backups, snapshots and the machine, then frees its addresses and its VMID",
	},
	{
		Kind: vmlinev1.Operation_KIND_CHANGE_PACKAGE, Label: "Change Package", Statuses: changing, From: atReady, Package: true,
		Does: "makes the machine what another package says; stops it only where that is needed",
	},
	{
		Kind: vmlinev1.Operation_KIND_CHANGE_PASSWORD, Label: "Change Password", Statuses: thereAndBack(vmlinev1.Status_STATUS_SET_PASSWORD),
		From: atReady, Needs: []Param{ParamPassword}, Does: "gives the guest's account a new password",
	},
	{
		Kind: vmlinev1.Operation_KIND_START, Label: "Start", Statuses: thereAndBack(vmlinev1.Status_STATUS_STARTING),
		From: atReady, Wants: running, Does: "starts the machine if it is stopped",
	},
	{
		Kind: vmlinev1.Operation_KIND_STOP, Label: "Stop", Statuses: thereAndBack(vmlinev1.Status_STATUS_STOPPED),
		From: atReady, Wants: stopped, Does: "takes the machine's power away if it runs",
	},
	{
		Kind: vmlinev1.Operation_KIND_SHUTDOWN, Label: "Shutdown", Statuses: thereAndBack(vmlinev1.Status_STATUS_STOPPED),
		From: atReady, Wants: stopped, Takes: []Param{ParamTimeout}, Does: "asks the guest to shut down; takes the power away after the time-out",
	},
	{
		Kind: vmlinev1.Operation_KIND_REBOOT, Label: "Reboot", Statuses: thereAndBack(vmlinev1.Status_STATUS_REBOOTED),
		From: atReady, Wants: running, Takes: []Param{ParamTimeout}, Does: "shuts the guest down and starts it again",
	},
	{
		Kind: vmlinev1.Operation_KIND_RESET, Label: "Reset", Statuses: thereAndBack(vmlinev1.Status_STATUS_RESET),
		From: atReady, Wants: running, Does: "resets the machine as its button would",
	},
	{
		Kind: vmlinev1.Operation_KIND_REINSTALL, Label: "Reinstall", From: []vmlinev1.Status{vmlinev1.Status_STATUS_READY, vmlinev1.Status_STATUS_REMOVED},
		Statuses: slices.Concat(
			[]vmlinev1.Status{vmlinev1.Status_STATUS_REINSTALL, vmlinev1.Status_STATUS_PLANNED, vmlinev1.Status_STATUS_REMOVED},
			from(vmlinev1.Status_STATUS_CLONE)),
		Takes: []Param{ParamTemplate, ParamPassword}, Wants: running,
		Does: "deletes snapshots and the machine and builds it again with the same VMID, MAC and addresses; backups stay",
	},
	button(vmlinev1.Operation_KIND_SET_DEDICATED_IP, vmlinev1.Status_STATUS_SET_IP, "VMSetDedicatedIp", "gives the addresses of the package that are missing", AnyPower),
	wanting(running, button(vmlinev1.Operation_KIND_CLONE, vmlinev1.Status_STATUS_CLONE, "VMClone", "clones the machine from its template", AnyPower)),
	button(vmlinev1.Operation_KIND_SET_CPU_RAM, vmlinev1.Status_STATUS_SET_CPU_RAM, "Set CPU RAM", "sets processor and memory as the package says", Stopped),
	button(vmlinev1.Operation_KIND_SET_SYSTEM_DISK_SIZE, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, "Set System Disk Size", "enlarges the system disk to the size of the package", AnyPower),
	button(vmlinev1.Operation_KIND_SET_SYSTEM_DISK_BANDWIDTH, vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH, "Set System Disk Bandwidth", "sets the system disk's limits", AnyPower),
	button(vmlinev1.Operation_KIND_SET_CREATED_ADDITIONAL_DISK, vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK, "Set Created Additional Disk", "makes the additional disk if the package has one", AnyPower),
	button(vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_SIZE, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE, "Set Additional Disk Size", "enlarges the additional disk to the size of the package", AnyPower),
	button(vmlinev1.Operation_KIND_SET_ADDITIONAL_DISK_BANDWIDTH, vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH, "Set Additional Disk Bandwidth", "sets the additional disk's limits", AnyPower),
	button(vmlinev1.Operation_KIND_SET_NETWORK, vmlinev1.Status_STATUS_SET_NETWORK, "Set Network", "sets bridge, VLAN and rate of the network card", AnyPower),
	button(vmlinev1.Operation_KIND_SET_FIREWALL, vmlinev1.Status_STATUS_SET_FIREWALL, "Set Firewall", "sets the firewall's options and adds the package's rules; removes none", AnyPower),
	button(vmlinev1.Operation_KIND_SET_CLOUDINIT, vmlinev1.Status_STATUS_SET_CLOUDINIT, "SetCloudinit", "sets what cloud-init tells the guest, and makes its drive again", Stopped),
	{
		Kind: vmlinev1.Operation_KIND_REMOVE, Label: "VMRemove", Statuses: []vmlinev1.Status{Same, vmlinev1.Status_STATUS_REMOVED},
		From: withParts, Building: true, Power: Stopped, Does: "deletes the machine; its backups, its unused disks, its VMID and its addresses stay",
	},
	{
		Kind: vmlinev1.Operation_KIND_SET_DNS_RECORDS, Label: "Set DNS records", Statuses: thereAndBack(vmlinev1.Status_STATUS_SET_DNS_RECORDS),
		From: standing, Does: "makes the DNS records what they should be; ends when it is done",
	},
	{
		Kind: vmlinev1.Operation_KIND_REDEPLOY, Label: "Redeploy", From: unready, Building: true, Operator: true, Wants: running,
		Statuses: slices.Concat([]vmlinev1.Status{vmlinev1.Status_STATUS_CREATION, vmlinev1.Status_STATUS_REMOVED}, from(vmlinev1.Status_STATUS_SET_IP)),
		Does:     "takes away what was built of a machine that never became ready, and builds it anew",
	},
	{
		Kind: vmlinev1.Operation_KIND_RETRY, Label: "Retry", Parked: true, Operator: true, Dynamic: retryWay,
		Does: "takes a parked operation up at the step where it stopped; a machine that its start has left switched off is started again",
	},
	{
		Kind: vmlinev1.Operation_KIND_RESUME, Label: "Resume", From: unready, Building: true, Operator: true, Needs: []Param{ParamStatus}, Dynamic: resumeWay,
		Does: "takes the chain up after a given status",
	},
	{
		Kind: vmlinev1.Operation_KIND_CANCEL, Label: "Cancel", Parked: true, Operator: true, Dynamic: cancelWay, Takes: []Param{ParamReason},
		Interrupts: allKindsBut(vmlinev1.Operation_KIND_TERMINATE, vmlinev1.Operation_KIND_REMOVE),
		Does:       "ends an operation and unmakes what it has made",
	},
	{
		Kind: vmlinev1.Operation_KIND_RESET_STATUS, Label: "Reset status", From: withVM, Parked: true, Operator: true,
		Needs: []Param{ParamStatus, ParamReason}, Dynamic: resetWay, Does: "sets the local status and nothing else",
	},
	{
		Kind: vmlinev1.Operation_KIND_ADOPT, Label: "Adopt", From: nothing, Operator: true, Package: true, Needs: []Param{ParamVMID}, Wants: running,
		Statuses: []vmlinev1.Status{vmlinev1.Status_STATUS_ADOPT, vmlinev1.Status_STATUS_ADOPTED, vmlinev1.Status_STATUS_SET_IP, vmlinev1.Status_STATUS_READY},
		Does:     "binds a ref to a machine that exists, and claims its addresses",
	},
	{
		Kind: vmlinev1.Operation_KIND_MIGRATE, Label: "Migrate", Statuses: thereAndBack(vmlinev1.Status_STATUS_MIGRATED), From: standing, Operator: true,
		Needs: []Param{ParamNode}, Does: "moves the machine to another node, live if it runs",
	},
}

// Routes returns a copy of every row, in the order of the table.
func Routes() []Route { return slices.Clone(routes) }

// RouteOf returns the row of a kind of operation.
func RouteOf(kind vmlinev1.Operation_Kind) (Route, bool) {
	r, ok := routeOf[kind]
	return r, ok
}
