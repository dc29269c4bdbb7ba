package webhook

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/vmline/vmline/pkg/api"
)

// The types of events that are sent.
const (
	TypeSucceeded = "operation.succeeded"
	TypeParked    = "operation.parked"
	TypeRefused   = "operation.refused"
)

// Event is the body of a webhook.
type Event struct {
	Type string `json:"type"`
	// Timestamp is when the change was written.
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

// Data says where to look; it carries no state.
type Data struct {
	// Seq is the sequence in the event feed.
	Seq uint64 `json:"seq"`
	// Ref of the VM, and id of its operation.
	Ref       string `json:"ref"`
	Operation string `json:"operation"`
}

// typeOf is the type of a change, empty for one that is not sent.
func typeOf(e api.Event) string {
	switch status := e.Service.Operation.Status; {
	case e.Service.Event == "reached" && status == api.StatusSucceeded:
		return TypeSucceeded
	case e.Service.Event == "parked":
		return TypeParked
	case e.Service.Event == "refused":
		return TypeRefused
	}
	return ""
}

// message is what is sent: the same in every attempt.
func message(e api.Event) (id string, body []byte, err error) {
	body, err = json.Marshal(Event{
		Type: typeOf(e), Timestamp: e.Service.UpdatedAt.UTC(),
		Data: Data{Seq: e.Seq, Ref: e.Service.Ref, Operation: e.Service.Operation.ID},
	})
	return "vm_" + strconv.FormatUint(e.Seq, 10), body, err
}
