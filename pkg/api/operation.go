package api

import "time"

// The statuses of an operation.
const (
	// StatusAccepted: the command is stored and waits to be admitted.
	StatusAccepted = "accepted"
	StatusRunning  = "running"
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
	Type       string `json:"type" enum:"create,terminate"`
	Status     string `json:"status" enum:"accepted,running,parked,succeeded,interrupted,refused"`
	// CreatedAt is when the command was admitted or refused; zero before.
	CreatedAt   time.Time    `json:"created_at,omitzero" doc:"When the command was admitted or refused."`
	FinishedAt  time.Time    `json:"finished_at,omitzero"`
	RequestedBy string       `json:"requested_by,omitempty"`
	Steps       []Step       `json:"steps" nullable:"false"`
	Error       *StepProblem `json:"error,omitempty" doc:"What keeps the operation from going on, or why it was refused."`
}

// Ended says that nothing more will happen to the operation by itself: it has ended, or it is
// parked and waits for a person.
func (o Operation) Ended() bool {
	return o.Status != StatusAccepted && o.Status != StatusRunning
}

// Step is one status of an operation's route.
type Step struct {
	// Name of the status that the step leads to.
	Name       string    `json:"name" doc:"Status that the step leads to."`
	Status     string    `json:"status" enum:"pending,running,parked,succeeded,interrupted,skipped"`
	Owner      string    `json:"owner" doc:"Service that does the step."`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}
