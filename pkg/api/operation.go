package api

import "time"

// The statuses of an operation.
const (
	// StatusAccepted: the command is stored and waits to be admitted.
	StatusAccepted = "accepted"
	StatusRunning  = "running"
	// StatusQueued: it begins once the VM's present operation has ended.
	StatusQueued = "queued"
	// StatusParked: it waits for a person; the error says why.
	StatusParked    = "parked"
	StatusSucceeded = "succeeded"
	// StatusInterrupted: another operation took its place.
	StatusInterrupted = "interrupted"
	// StatusRefused: it was not admitted; nothing was changed.
	StatusRefused = "refused"
)

// The statuses that only a step has.
const (
	// StepPending: its turn has not come.
	StepPending = "pending"
	// StepSkipped: the operation ended before its turn came.
	StepSkipped = "skipped"
)

// Operation is one command on one VM, from acceptance to its last status.
type Operation struct {
	ID         string `json:"id"`
	ServiceRef string `json:"service_ref"`
	Type       string `json:"type" doc:"What was asked: a type of GET /v1/commands."`
	// Goal is the type whose work is done: a retry of a create has the goal create.
	Goal   string `json:"goal,omitempty" doc:"The type whose work is done, where it is another one: a retry of a create has the goal create."`
	Status string `json:"status" enum:"accepted,queued,running,parked,succeeded,interrupted,refused"`
	// CreatedAt is when the command was admitted or refused; zero before.
	CreatedAt   time.Time    `json:"created_at,omitzero" doc:"When the command was admitted or refused."`
	FinishedAt  time.Time    `json:"finished_at,omitzero"`
	RequestedBy string       `json:"requested_by,omitempty"`
	Params      *Params      `json:"params,omitempty" doc:"Without a password."`
	Steps       []Step       `json:"steps" nullable:"false"`
	Result      *Result      `json:"result,omitempty" doc:"What the operation leaves for the billing system's notes."`
	Error       *StepProblem `json:"error,omitempty" doc:"What keeps the operation from going on, or why it was refused."`
}

// Ended says that nothing more will happen to the operation by itself: it has ended, or it is
// parked and waits for a person.
func (o Operation) Ended() bool {
	return o.Status != StatusAccepted && o.Status != StatusQueued && o.Status != StatusRunning
}

// Step is one status of an operation's route.
type Step struct {
	// Name of the status that the step leads to.
	Name       string    `json:"name" doc:"Status that the step leads to."`
	Status     string    `json:"status" enum:"pending,running,parked,succeeded,interrupted,refused,skipped"`
	Owner      string    `json:"owner" doc:"Service that does the step."`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

// Result is what an operation leaves behind.
type Result struct {
	// Released are the addresses that were given back.
	Released []string `json:"released,omitempty" nullable:"false" doc:"Addresses that were given back."`
	Note     string   `json:"note,omitempty" doc:"One line for a person, with the date."`
}

// OperationList is one page of operations, newest first.
type OperationList struct {
	Items      []Operation `json:"items" nullable:"false"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"Set when there are more: ask again with it as cursor."`
}
