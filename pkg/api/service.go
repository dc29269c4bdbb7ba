package api

import "time"

// Service is the present state of a billing service's VM.
type Service struct {
	Ref string `json:"ref" doc:"<install>-<serviceid>."`
	UID string `json:"uid" doc:"Tells this VM from every other that had or will have the same ref."`
	// Status is the local status: the last step completed, for example set_cpu_ram.
	Status       string    `json:"status" doc:"Local status: the last step completed. Empty while the order was not admitted yet."`
	Event        string    `json:"event" doc:"Why the state was written: admitted, reached, recorded, retrying, parked or observed."`
	Cluster      string    `json:"cluster,omitempty"`
	Node         string    `json:"node,omitempty" doc:"Node where the VM was last seen, or where it is to be made."`
	VMID         uint32    `json:"vmid,omitempty"`
	MAC          string    `json:"mac,omitempty"`
	Addresses    []Address `json:"addresses" nullable:"false"`
	RemoteStatus string    `json:"remote_status,omitempty" doc:"Power state as Proxmox reports it: running or stopped."`
	RemoteLock   string    `json:"remote_lock,omitempty" doc:"Proxmox's lock, for example backup."`
	WantedPower  string    `json:"wanted_power,omitempty" doc:"What the machine is to do while it is ready: running or stopped."`
	// SystemDiskGB and AdditionalDiskGB are as last seen.
	SystemDiskGB     uint32       `json:"system_disk_gb,omitempty" doc:"As last seen."`
	AdditionalDiskGB uint32       `json:"additional_disk_gb,omitempty" doc:"As last seen."`
	Package          *Package     `json:"package,omitempty" doc:"Without its secrets. Left out in events."`
	Operation        Operation    `json:"operation" doc:"The last operation."`
	Problem          *StepProblem `json:"problem,omitempty" doc:"What keeps the VM from going on."`
	Retry            *Retry       `json:"retry,omitempty" doc:"Set while the present step waits for its next attempt."`
	Warnings         []string     `json:"warnings,omitempty" doc:"Notes of Proxmox tasks that succeeded with warnings."`
	Drift            []Drift      `json:"drift,omitempty" nullable:"false" doc:"Where the machine is not what this state says."`
	Queued           *Operation   `json:"queued,omitempty" doc:"Begins once the last operation has ended."`
	Pending          []Operation  `json:"pending,omitempty" nullable:"false" doc:"Orders that are stored and not admitted yet. Of a single service only."`
	// Possible are the types of the commands that would be accepted now.
	Possible []string `json:"possible,omitempty" nullable:"false" doc:"Types of the commands that would be accepted or queued now. Left out in events."`
	// Actions has every command with the reason why it would be refused now.
	Actions   []Offer   `json:"actions,omitempty" nullable:"false" doc:"Every command, and why it would be refused now. Of a single service only."`
	UpdatedAt time.Time `json:"updated_at"`
}

// Address is one address given to a VM.
type Address struct {
	Pool         string `json:"pool"`
	Address      string `json:"address"`
	PrefixLength uint32 `json:"prefix_length" doc:"In bits."`
	Gateway      string `json:"gateway,omitempty"`
}

// Retry says when a step is attempted again.
type Retry struct {
	Attempts      uint32    `json:"attempts" doc:"Attempts that failed so far in this step."`
	NotBefore     time.Time `json:"not_before"`
	FirstFailedAt time.Time `json:"first_failed_at"`
}

// StepProblem is what keeps a VM from going on, in words for a person.
type StepProblem struct {
	Step  string    `json:"step,omitempty" doc:"Status that could not be reached."`
	Cause string    `json:"cause" doc:"In the words of whoever refused."`
	Kept  string    `json:"kept,omitempty" doc:"What was kept safe."`
	Next  string    `json:"next,omitempty" doc:"What a person can do."`
	Since time.Time `json:"since,omitzero"`
}

// ServiceList is one page of services, in the order of their refs.
type ServiceList struct {
	Items      []Service `json:"items" nullable:"false"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Set when there are more: ask again with it as cursor."`
}

// Event is one change of a VM.
type Event struct {
	// Seq is the sequence of the change in the VM stream.
	Seq     uint64  `json:"seq" doc:"Sequence of the change in the VM stream."`
	Service Service `json:"service" doc:"State after the change, without the package."`
}

// EventPage is a part of the feed of events.
type EventPage struct {
	Events []Event `json:"events" nullable:"false"`
	// Cursor is where the next page begins.
	Cursor  uint64 `json:"cursor" doc:"Where the next page begins."`
	HasMore bool   `json:"has_more" doc:"There is a next page now."`
	// Gap says that changes after the cursor that was asked for are no longer kept.
	Gap bool `json:"gap" doc:"Changes after the cursor that was asked for are no longer kept: list all services, then go on from the new cursor."`
}

// Gap says in a stream of events that changes are missing: list all services, then go on.
type Gap struct {
	// Cursor is where the stream goes on.
	Cursor uint64 `json:"cursor" doc:"Where the stream goes on."`
}
