// Package chain is the one table that says which statuses a VM passes, who does the step that
// leads to each, and which command may start when. Consumers, admission and the diagram in the
// README are made from it.
package chain

import (
	"strings"
	"time"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// Service names a program that owns steps.
type Service string

// The services that own steps.
const (
	IPAM        Service = "ipam"
	Provisioner Service = "provisioner"
	Lifecycle   Service = "lifecycle"
)

// Power is the power state that a step needs to find.
type Power int

// The preconditions of a step. The seed marks them with * and **.
const (
	// AnyPower lets the step run whether the VM runs or not (*).
	AnyPower Power = iota
	// Stopped lets the step run only while the VM is stopped (**).
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

// Route is the way of one kind of operation.
type Route struct {
	Kind vmlinev1.Operation_Kind
	// Statuses are passed in this order. The first one is published by admission.
	Statuses []vmlinev1.Status
	// From are the statuses in which the route may start while no operation is running.
	// STATUS_UNSPECIFIED stands for a ref that has no VM.
	From []vmlinev1.Status
	// Interrupts are the kinds of a running operation that this one may end before its time.
	Interrupts []vmlinev1.Operation_Kind
	// Verb is the command's name on the bus and in the CLI.
	Verb string
}

const (
	quick = time.Minute
	// slow is for steps that wait for a task of Proxmox; a worker that is alive holds its trigger
	// meanwhile, so the sweeper's second look costs nothing but that look.
	slow = 10 * time.Minute
)

// steps has one row for every status that a step leads to.
var steps = []Step{
	{To: vmlinev1.Status_STATUS_SET_IP, Owner: IPAM, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_CLONE, Owner: Provisioner, Power: AnyPower, Deadline: slow},
	{To: vmlinev1.Status_STATUS_MIGRATED, Owner: Provisioner, Power: Stopped, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SET_CPU_RAM, Owner: Provisioner, Power: Stopped, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_SYSTEM_DISK_SIZE, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_SYSTEM_DISK_BANDWIDTH, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_CREATED_ADDITIONAL_DISK, Owner: Provisioner, Power: AnyPower, Deadline: slow},
	{To: vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_SIZE, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_ADDITIONAL_DISK_BANDWIDTH, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_NETWORK, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_FIREWALL, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_SET_CLOUDINIT, Owner: Provisioner, Power: Stopped, Deadline: quick},
	{To: vmlinev1.Status_STATUS_STARTING, Owner: Lifecycle, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_READY, Owner: Lifecycle, Power: AnyPower, Deadline: slow},
	{To: vmlinev1.Status_STATUS_REMOVED, Owner: Lifecycle, Power: AnyPower, Deadline: slow},
	{To: vmlinev1.Status_STATUS_VMID_RELEASED, Owner: Provisioner, Power: AnyPower, Deadline: quick},
	{To: vmlinev1.Status_STATUS_TERMINATED, Owner: IPAM, Power: AnyPower, Deadline: quick},
}

// routes has one row for every kind of operation.
var routes = []Route{
	{
		Kind: vmlinev1.Operation_KIND_CREATE,
		Verb: "create",
		Statuses: []vmlinev1.Status{
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
		},
		From: []vmlinev1.Status{vmlinev1.Status_STATUS_UNSPECIFIED, vmlinev1.Status_STATUS_TERMINATED},
	},
	{
		Kind: vmlinev1.Operation_KIND_TERMINATE,
		Verb: "terminate",
		Statuses: []vmlinev1.Status{
			vmlinev1.Status_STATUS_TERMINATE,
			vmlinev1.Status_STATUS_REMOVED,
			vmlinev1.Status_STATUS_VMID_RELEASED,
			vmlinev1.Status_STATUS_TERMINATED,
		},
		From:       []vmlinev1.Status{vmlinev1.Status_STATUS_READY},
		Interrupts: []vmlinev1.Operation_Kind{vmlinev1.Operation_KIND_CREATE},
	},
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

// Routes returns a copy of every route, in the order of the table.
func Routes() []Route { return append([]Route(nil), routes...) }

// RouteOf returns the route of a kind of operation.
func RouteOf(kind vmlinev1.Operation_Kind) (Route, bool) {
	r, ok := routeOf[kind]
	return r, ok
}

// StepTo returns the step that leads to a status.
func StepTo(status vmlinev1.Status) (Step, bool) {
	s, ok := stepTo[status]
	return s, ok
}

// StepsOf returns the steps that a service owns, in the order of the table.
func StepsOf(owner Service) []Step {
	var own []Step
	for _, s := range steps {
		if s.Owner == owner {
			own = append(own, s)
		}
	}
	return own
}

// Next returns the step that a VM waits for. It returns false where nobody is to act: the
// operation has ended or waits for a person.
func Next(vm *vmlinev1.VM) (Step, bool) {
	op := vm.GetOperation()
	if op.GetState() != vmlinev1.Operation_STATE_RUNNING {
		return Step{}, false
	}
	if len(op.GetReached()) >= len(op.GetRoute()) {
		return Step{}, false
	}
	return StepTo(op.GetRoute()[len(op.GetReached())])
}

// Last says whether reaching a status ends the VM's operation.
func Last(vm *vmlinev1.VM) bool {
	return len(vm.GetOperation().GetReached()) == len(vm.GetOperation().GetRoute())
}

// Name is the status under its name in the table, for example set_cpu_ram.
func Name(s vmlinev1.Status) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATUS_"))
}

// KindName is the kind of an operation in lower case, for example create.
func KindName(k vmlinev1.Operation_Kind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "KIND_"))
}

// StateName is the state of an operation in lower case, for example running.
func StateName(s vmlinev1.Operation_State) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}
