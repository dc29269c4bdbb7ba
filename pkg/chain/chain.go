// Package chain is the one table that says which commands there are, which statuses each of them takes
// a VM through, who does the step that leads to each status, and which command may begin when.
// Consumers, admission, the buttons of WHMCS and CLI, and the diagram in the README are made from it.
package chain

import (
	"slices"
	"strings"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Service is a program that owns steps.
type Service string

// The services that own steps.
const (
	IPAM        Service = "ipam"
	Provisioner Service = "provisioner"
	Lifecycle   Service = "lifecycle"
	DNS         Service = "dns"
)

// Services are all of them, in the order in which they are asked for a plan: a machine is made with its
// addresses, is started where it was made, and has its names when it is there.
var Services = []Service{IPAM, Provisioner, Lifecycle, DNS}

// Power is the power state that a step or a command needs to find.
type Power int

// The preconditions. The seed marks them with * and **.
const (
	// AnyPower: the machine may run or not (*).
	AnyPower Power = iota
	// Stopped: only while the machine is stopped (**).
	Stopped
)

// Step is the work that leads to one status.
type Step struct {
	// To is the status that the step reaches.
	To vmlinev1.Status
	// Owner is the one service that does the step.
	Owner Service
	// Power is what the step needs to find.
	Power Power
	// Deadline is how long the step may take before the sweeper looks whether its trigger was lost.
	Deadline time.Duration
}

const (
	quick = time.Minute
	// slow is for steps that wait for a task of Proxmox; a worker that is alive holds its trigger
	// meanwhile, so the sweeper's second look costs nothing but that look.
	slow = 10 * time.Minute
)

// steps has one row for every status that a step leads to.
var steps = []Step{
	{To: vmlinev1.Status_STATUS_SET_IP, Owner: IPAM, Deadline: quick},
	{To: vmlinev1.Status_STATUS_CLONE, Owner: Provisioner, Deadline: slow},
	{To: vmlinev1.Status_STATUS_MIGRATED, Owner: Provisioner, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SET_CPU_RAM, Owner: Provisioner, Power: Stopped, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK, Owner: Provisioner, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_NETWORK, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_FIREWALL, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_CLOUDINIT, Owner: Provisioner, Power: Stopped, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_PASSWORD, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_PLANNED, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_ADOPTED, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_RETURNED, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_STOPPED, Owner: Lifecycle, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SUSPENDED, Owner: Lifecycle, Deadline: quick},
	{To: vmlinev1.Status_STATUS_REBOOTED, Owner: Lifecycle, Deadline: slow},
	{To: vmlinev1.Status_STATUS_RESET, Owner: Lifecycle, Deadline: quick},
	{To: vmlinev1.Status_STATUS_STARTING, Owner: Lifecycle, Deadline: quick},
	{To: vmlinev1.Status_STATUS_READY, Owner: Lifecycle, Deadline: slow},
	{To: vmlinev1.Status_STATUS_REMOVED, Owner: Lifecycle, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SET_DNS_RECORDS, Owner: DNS, Deadline: slow},
	{To: vmlinev1.Status_STATUS_VMID_RELEASED, Owner: Provisioner, Deadline: quick},
	{To: vmlinev1.Status_STATUS_IP_RELEASED, Owner: IPAM, Deadline: quick},
	{To: vmlinev1.Status_STATUS_TERMINATED, Owner: IPAM, Deadline: quick},
}

var (
	stepTo  = index(steps, func(s Step) vmlinev1.Status { return s.To })
	routeOf = index(routes, func(r Route) vmlinev1.Operation_Kind { return r.Kind })
)

func index[K comparable, V any](rows []V, key func(V) K) map[K]V {
	m := make(map[K]V, len(rows))
	for _, row := range rows {
		m[key(row)] = row
	}
	return m
}

// StepTo returns the step that leads to a status.
func StepTo(status vmlinev1.Status) (Step, bool) {
	s, ok := stepTo[status]
	return s, ok
}

// StepsOf returns the steps that a service owns, in the order of the table.
func StepsOf(owner Service) []Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Owner != owner })
}

// Next returns the step that a VM waits for. It returns false where no step is to be done: the
// operation has ended, waits for a person, or gives way to a queued command.
func Next(vm *vmlinev1.VM) (Step, bool) {
	op := vm.GetOperation()
	if op.GetState() != vmlinev1.Operation_STATE_RUNNING || len(op.GetReached()) >= len(op.GetRoute()) || QueueDue(vm) {
		return Step{}, false
	}
	return StepTo(op.GetRoute()[len(op.GetReached())])
}

// Acts returns the service that is to act on a VM's state: the owner of its next step, or lifecycle
// where a queued command is due.
func Acts(vm *vmlinev1.VM) (Service, bool) {
	if QueueDue(vm) {
		return Lifecycle, true
	}
	step, ok := Next(vm)
	return step.Owner, ok
}

// Ahead are the statuses that an operation has still to reach, the present step's first. They are a part of its
// route, not a copy.
func Ahead(op *vmlinev1.Operation) []vmlinev1.Status {
	return op.GetRoute()[min(len(op.GetReached()), len(op.GetRoute())):]
}

// Last says whether the VM's operation has reached the end of its route.
func Last(vm *vmlinev1.VM) bool {
	return len(vm.GetOperation().GetReached()) == len(vm.GetOperation().GetRoute())
}

// Goal is the kind of operation whose work is done: a retry of a create has the goal create. Whatever a
// step does differently for different operations, it decides by the goal.
func Goal(op *vmlinev1.Operation) vmlinev1.Operation_Kind {
	if goal := op.GetGoal(); goal != vmlinev1.Operation_KIND_UNSPECIFIED {
		return goal
	}
	return op.GetKind()
}

// Ending says that an operation's work is to take the VM away, also where it is a retry or a cancel. One that was
// refused takes nothing away.
func Ending(op *vmlinev1.Operation) bool {
	return Goal(op) == vmlinev1.Operation_KIND_TERMINATE && op.GetState() != vmlinev1.Operation_STATE_REFUSED
}

// Passed says whether the VM's operation has reached a status so far. The status with which it began
// counts: a retry begins with what the operation before it has reached.
func Passed(vm *vmlinev1.VM, status vmlinev1.Status) bool {
	return slices.ContainsFunc(vm.GetOperation().GetReached(), func(r *vmlinev1.Reached) bool { return r.GetStatus() == status })
}

// switchingOn are the statuses after which a machine is to be seen running.
var switchingOn = []vmlinev1.Status{
	vmlinev1.Status_STATUS_STARTING, vmlinev1.Status_STATUS_REBOOTED, vmlinev1.Status_STATUS_RESET,
}

// SwitchedOn says whether an operation has switched its machine on so far.
func SwitchedOn(op *vmlinev1.Operation) bool {
	return slices.ContainsFunc(op.GetReached(), func(r *vmlinev1.Reached) bool { return slices.Contains(switchingOn, r.GetStatus()) })
}

// PurposeDestroy is the purpose of the task that destroys a machine. Nothing interrupts it.
const PurposeDestroy = "destroy"

// Name is the status under its name in the table, for example set_cpu_ram.
func Name(s vmlinev1.Status) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATUS_"))
}

// StatusNamed is the status with a name of the table.
func StatusNamed(name string) (vmlinev1.Status, bool) {
	s, ok := vmlinev1.Status_value["STATUS_"+strings.ToUpper(name)]
	return vmlinev1.Status(s), ok && s != 0
}

// StatusNames are the names of all statuses, in the order of the contract.
func StatusNames() []string {
	var names []string
	for _, s := range allStatuses()[1:] { // the first is NoVM
		names = append(names, Name(s))
	}
	return names
}

// KindName is the kind of an operation in lower case, for example set_cpu_ram.
func KindName(k vmlinev1.Operation_Kind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "KIND_"))
}

// KindNamed is the kind of operation with a name, written with _ or -.
func KindNamed(name string) (vmlinev1.Operation_Kind, bool) {
	k, ok := vmlinev1.Operation_Kind_value["KIND_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]
	return vmlinev1.Operation_Kind(k), ok && k != 0
}

// StateName is the state of an operation in lower case, for example running.
func StateName(s vmlinev1.Operation_State) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}
